"""交易账单 and 资金账单 of a past day, made from the sandbox's own trades, refunds and flows."""

import gzip
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tests.sandbox.journal import SHANGHAI, Fact
from tests.sandbox.web import Answer, Refused, Request, answer
from tests.sandbox.wechat_pay.books import ACCOUNTS, at_shanghai
from tests.sandbox.wechat_pay.desk import Desk, fee, yuan
from tests.sandbox.wechat_pay.keys import MCHID

READY = time(10)  # of the next day
MOST_DAYS = 90
URL_SECONDS = 300
PATH = "/v3/billdownload/file"
FEE_RATE = "0.60%"
# The columns of each bill as WeChat Pay names them (shared/design/reference/statements.md 2.4).
HEAD = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额"
)
GONE = "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态"
TAIL = "商品名称,商户数据包,手续费,费率,订单金额"
TRADE = {
    "ALL": f"{HEAD},{GONE},{TAIL},申请退款金额,费率备注",
    "SUCCESS": f"{HEAD},{TAIL},费率备注",
    "REFUND": f"{HEAD},退款申请时间,退款成功时间,{GONE},{TAIL},申请退款金额,费率备注",
}
TRADE_SUMS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
FUND = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FUND_SUMS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
REFUND_STATUS = {"ABNORMAL": "CHANGE", "CLOSED": "FAIL"}  # the bill's own words


@dataclass(frozen=True)
class File:
    content: bytes
    packed: bool
    until: float


class Bills:
    """Applied for by day; the download is an address good for five minutes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._books = desk.books
        self._files: dict[str, File] = {}

    def clear(self) -> None:
        self._files.clear()

    # --- the protocol

    def trade_bill(self, request: Request) -> Answer:
        kind = request.query.get("bill_type", "ALL")
        if kind not in TRADE:
            raise Refused(400, "PARAM_ERROR", "bill_type须为ALL、SUCCESS或REFUND")
        day = self._day(request)
        return self._offer(request, trade_bill(self._trades(day, kind), kind))

    def fund_bill(self, request: Request) -> Answer:
        account = request.query.get("account_type", "BASIC")
        if account not in ACCOUNTS:
            raise Refused(400, "PARAM_ERROR", "account_type须为BASIC、OPERATION或FEES")
        day = self._day(request)
        with self._books.lock:
            flows = [one for one in self._books.flows if one["account"] == account]
        return self._offer(request, fund_bill([one for one in flows if _on(one["at"], day)]))

    def download(self, request: Request) -> Answer:
        file = self._files.get(request.query.get("token", ""))
        if file is None or file.until <= self._books.now():
            raise Refused(403, "NO_AUTH", "下载地址已失效，请重新申请账单")
        body = gzip.compress(file.content, mtime=0) if file.packed else file.content
        return Answer(200, body, "application/octet-stream")

    # --- inside

    def _day(self, request: Request) -> date:
        try:
            day = date.fromisoformat(request.query.get("bill_date", ""))
        except ValueError:
            raise Refused(400, "PARAM_ERROR", "bill_date须为yyyy-MM-DD") from None
        if request.query.get("tar_type", "GZIP") != "GZIP":
            raise Refused(400, "PARAM_ERROR", "tar_type须为GZIP")
        now = at_shanghai(self._books.now())
        if not now.date() - timedelta(days=MOST_DAYS) <= day < now.date():
            raise Refused(400, "INVALID_REQUEST", "仅支持三个月内、今日之前的账单")
        if now < datetime.combine(day + timedelta(days=1), READY, SHANGHAI):
            raise Refused(400, "STATEMENT_CREATING", "账单生成中，请10点后再试")
        return day

    def _offer(self, request: Request, content: bytes) -> Answer:
        if not content:
            raise Refused(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        token = secrets.token_urlsafe(32)
        until = self._books.now() + URL_SECONDS
        self._files[token] = File(content, "tar_type" in request.query, until)
        said = {
            "hash_type": "SHA1",
            # Of what is inside the GZIP.
            "hash_value": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            "download_url": f"http://{request.headers.get('Host')}{PATH}?token={token}",
        }
        return answer(said)

    def _trades(self, day: date, kind: str) -> list[Fact]:
        """Rows by column, in the order of time: what was paid, and what was applied to refund."""
        with self._books.lock:
            trades, refunds = self._books.trades, list(self._books.refunds.values())
            paid = [one for one in trades.values() if _on(one.get("paid_at"), day)]
            asked = [one for one in refunds if _on(one["created_at"], day)]
            rows = [(one["paid_at"], _paid(one)) for one in paid if kind != "REFUND"]
            rows += [
                (one["created_at"], _refunded(trades[one["out_trade_no"]], one))
                for one in asked
                if kind != "SUCCESS"
            ]
        return [row for _, row in sorted(rows, key=lambda one: one[0])]


def trade_bill(rows: Sequence[Fact], kind: str) -> bytes:
    """Empty when there is nothing to tell."""
    if not rows:
        return b""
    columns = TRADE[kind].split(",")
    lines = [_ticked(row.get(column, "") for column in columns) for row in rows]
    sums = [
        str(len(rows)),
        yuan(_sum(rows, "应结订单金额")),
        yuan(_sum(rows, "退款金额")),
        "0.00",
        f"{yuan(_sum(rows, '手续费'))}000",
        yuan(_sum(rows, "订单金额")),
        yuan(_sum(rows, "申请退款金额")),
    ]
    return _file([TRADE[kind], *lines, TRADE_SUMS, _ticked(sums)])


def fund_bill(flows: Sequence[Fact]) -> bytes:
    if not flows:
        return b""
    lines = [_ticked(_moved(flow)) for flow in flows]
    came = [flow["fen"] for flow in flows if flow["fen"] > 0]
    went = [-flow["fen"] for flow in flows if flow["fen"] < 0]
    sums = [len(flows), len(came), yuan(sum(came)), len(went), yuan(sum(went))]
    return _file([FUND, *lines, FUND_SUMS, _ticked(map(str, sums))])


def _paid(trade: Fact) -> Fact:
    asked, paid = trade["asked"], yuan(trade["paid_fen"])
    return {
        "交易时间": _moment(trade["paid_at"]),
        "公众账号ID": asked["appid"],
        "商户号": MCHID,
        "特约商户号": "0",
        "微信订单号": trade["transaction_id"],
        "商户订单号": asked["out_trade_no"],
        "用户标识": asked["payer"]["openid"],
        "交易类型": "JSAPI",
        "交易状态": "SUCCESS",
        "付款银行": "OTHERS",
        "货币种类": "CNY",
        "应结订单金额": paid,
        "代金券金额": "0.00",
        "微信退款单号": "0",
        "商户退款单号": "0",
        "退款金额": "0.00",
        "充值券退款金额": "0.00",
        "商品名称": asked["description"],
        "商户数据包": asked.get("attach", ""),
        "手续费": f"{yuan(fee(trade['paid_fen']))}000",
        "费率": FEE_RATE,
        "订单金额": paid,
        "申请退款金额": "0.00",
    }


def _refunded(trade: Fact, refund: Fact) -> Fact:
    back, status = yuan(refund["refund_fen"]), refund["status"]
    asked_at = _moment(refund["created_at"])
    return _paid(trade) | {
        "交易时间": asked_at,
        "退款申请时间": asked_at,
        "退款成功时间": _moment(refund["success_at"]) if "success_at" in refund else "",
        "交易状态": "REFUND",
        "应结订单金额": "0.00",
        "订单金额": "0.00",
        "微信退款单号": refund["refund_id"],
        "商户退款单号": refund["out_refund_no"],
        "退款金额": back,
        "申请退款金额": back,
        "退款类型": "ORIGINAL",
        "退款状态": REFUND_STATUS.get(status, status),
        "手续费": f"{yuan(-refund['fee_back_fen'])}000",
    }


def _moved(flow: Fact) -> list[str]:
    return [
        _moment(flow["at"]),
        flow["business_no"],
        flow["number"],
        flow["name"],
        flow["type"],
        "收入" if flow["fen"] > 0 else "支出",
        yuan(abs(flow["fen"])),
        yuan(flow["balance"]),
        f"{MCHID}API",
        flow["note"],
        flow["voucher"],
    ]


def _sum(rows: Sequence[Fact], column: str) -> int:
    """In fen; a fee's last three decimals are zeros here."""
    total = 0
    for row in rows:
        whole, _, part = row.get(column, "0.00").partition(".")
        fen = abs(int(whole)) * 100 + int(part[:2])
        total += -fen if whole.startswith("-") else fen
    return total


def _ticked(cells: Iterable[str]) -> str:
    return ",".join(f"`{cell}" for cell in cells)


def _file(lines: Sequence[str]) -> bytes:
    return "\r\n".join([*lines, ""]).encode("utf-8-sig")


def _moment(at: float) -> str:
    return at_shanghai(at).strftime("%Y-%m-%d %H:%M:%S")


def _on(at: float | None, day: date) -> bool:
    return at is not None and at_shanghai(at).date() == day
