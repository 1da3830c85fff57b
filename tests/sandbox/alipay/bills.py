"""业务明细 of a day: a zip of GBK files with GBK names, made from the sandbox's own trades."""

import io
import re
import secrets
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from tests.sandbox.alipay import wire
from tests.sandbox.alipay.notify import BUYER_LOGON
from tests.sandbox.alipay.trades import Refund, Trade, Trades
from tests.sandbox.alipay.wire import SELLER_ID, Biz, Failed, Inner, clock, yuan
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.web import Answer, Request

ACCOUNT = f"{SELLER_ID}0156"
URL_SECONDS = 30
FEE_BP = 60  # basis points of what was paid; a refund gives none of it back
HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,"
    "分润（元）,备注"
)
SUMMARY = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,服务费（元）"
)
Line = tuple[Trade, Refund | None]


class Bills:
    """Of days that are over; an address lives 30 seconds."""

    def __init__(self, trades: Trades) -> None:
        self._trades = trades
        self.clear()

    def clear(self) -> None:
        self._addresses: dict[str, tuple[date, date, float]] = {}

    def url(self, biz: Biz, common: Biz) -> Inner:
        if biz.get("bill_type") != "trade":
            raise Failed("isp.INVALID_ARGUMENTS", "沙箱只有 trade 账单")
        first, end = _days(wire.word(biz, "bill_date"))
        today = datetime.fromtimestamp(self._trades.now(), SHANGHAI).date()
        if end > today or not self._lines(first, end):
            raise Failed("isp.bill_not_exist", "账单不存在")
        token = secrets.token_hex(16)
        self._addresses[token] = (first, end, self._trades.now() + URL_SECONDS)
        return {"bill_download_url": f"{common['base']}/alipay/bill?fileId={token}"}

    def download(self, request: Request) -> Answer:
        first, end, until = self._addresses.get(
            request.query.get("fileId", ""), (date.min, date.min, 0)
        )
        if self._trades.now() >= until:
            return Answer(404, "下载链接已失效".encode(), "text/plain; charset=utf-8")
        day = f"{first:%Y%m%d}" if end - first == timedelta(days=1) else f"{first:%Y%m}"
        lines = self._lines(first, end)
        files = {
            f"{ACCOUNT}_{day}_业务明细.csv": _detail(first, end, lines, self._trades.now()),
            f"{ACCOUNT}_{day}_业务明细(汇总).csv": _summary(first, end, lines),
        }
        name = {"Content-Disposition": f'attachment; filename="{ACCOUNT}_{day}.csv.zip"'}
        return Answer(200, _zip(files), "application/zip", name)

    def _lines(self, first: date, end: date) -> list[Line]:
        """What was paid and given back on these days, oldest first."""

        def of_all() -> Iterator[tuple[int, Line]]:
            for trade in self._trades.trades.values():
                if trade.paid_at is not None:
                    yield trade.paid_at, (trade, None)
                for refund in trade.refunds:
                    yield refund.at, (trade, refund)

        within = [(at, line) for at, line in of_all() if _at(first) <= at < _at(end)]
        return [
            line
            for _, line in sorted(within, key=lambda found: (found[0], found[1][1] is not None))
        ]


class _Gbk(zipfile.ZipInfo):
    """A member whose name is GBK, without the flag that would say UTF-8, as Alipay writes it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def fee(trade: Trade) -> int:
    return (trade.total_fen * FEE_BP + 5_000) // 10_000


def _at(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()


def _days(said: str) -> tuple[date, date]:
    """[first, end) of `yyyy-MM-dd` or `yyyy-MM`."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}", said, re.ASCII):
            first = date.fromisoformat(f"{said}-01")
            return first, (first + timedelta(days=31)).replace(day=1)
        first = date.fromisoformat(said if len(said) == 10 else "")
    except ValueError:
        raise Failed("isp.INVALID_ARGUMENTS", "bill_date 须为 yyyy-MM-dd 或 yyyy-MM") from None
    return first, first + timedelta(days=1)


def _detail(first: date, end: date, lines: list[Line], at: float) -> str:
    paid = [trade.total_fen for trade, refund in lines if refund is None]
    back = [refund.amount_fen for _, refund in lines if refund is not None]
    dashes = "-" * 41
    return "\r\n".join(
        [
            "#支付宝业务明细查询",
            f"#账号：[{ACCOUNT}]",
            f"#起始日期：[{first:%Y年%m月%d日} 00:00:00]   终止日期：[{end:%Y年%m月%d日} 00:00:00]",
            f"#{dashes}业务明细列表{dashes}",
            HEADER,
            *(_line(trade, refund) for trade, refund in lines),
            f"#{dashes}业务明细列表结束{dashes}",
            f"#交易合计：{len(paid)}笔，商家实收共{yuan(sum(paid))}元，商家优惠共0.00元",
            f"#退款合计：{len(back)}笔，商家实收退款共{yuan(-sum(back))}元，商家优惠退款共0.00元",
            f"#导出时间：[{datetime.fromtimestamp(at, SHANGHAI):%Y年%m月%d日 %H:%M:%S}]",
            "",
        ]
    )


def _line(trade: Trade, refund: Refund | None) -> str:
    """Text cells end in a tab; a refund has the trade's number and its own request number."""
    amount = yuan(-refund.amount_fen if refund else trade.total_fen)
    done = refund.at if refund else trade.paid_at or 0
    texts = {
        "支付宝交易号": trade.trade_no,
        "商户订单号": trade.offer.out_trade_no,
        "业务类型": "退款" if refund else "交易",
        "商品名称": trade.offer.subject,
        "门店编号": "",
        "门店名称": "",
        "操作员": "",
        "终端号": "",
        "对方账户": f"*小明({BUYER_LOGON})",
        "券名称": "",
        "退款批次号/请求号": refund.request_no if refund else "",
        "备注": refund.reason if refund else "",
    }
    plain = {
        "创建时间": clock(trade.created_at),
        "完成时间": clock(done),
        "订单金额（元）": amount,
        "商家实收（元）": amount,
        "服务费（元）": "0.00" if refund else yuan(-fee(trade)),
    }
    cells = {name: f"{value}\t" for name, value in texts.items()} | plain
    return ",".join(cells.get(name, "0.00") for name in HEADER.split(","))


def _summary(first: date, end: date, lines: list[Line]) -> str:
    paid = [trade for trade, refund in lines if refund is None]
    back = [refund.amount_fen for _, refund in lines if refund is not None]
    ordered = sum(trade.total_fen for trade in paid)
    fees = yuan(-sum(map(fee, paid)))
    dashes = "-" * 41
    return "\r\n".join(
        [
            "#支付宝业务汇总查询",
            f"#账号：[{ACCOUNT}]",
            f"#起始日期：[{first:%Y年%m月%d日} 00:00:00]   终止日期：[{end:%Y年%m月%d日} 00:00:00]",
            f"#{dashes}业务汇总列表{dashes}",
            SUMMARY,
            f"合计\t,\t,{len(paid)},{len(back)},{yuan(ordered)},{yuan(ordered - sum(back))},{fees}",
            f"#{dashes}业务汇总列表结束{dashes}",
            "",
        ]
    )


def _zip(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            member = _Gbk(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content.encode("gbk", "replace"))
    return out.getvalue()
