"""账务明细: every movement of the seller's account at Alipay, with the balance after it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tests.sandbox.alipay import trade_bill
from tests.sandbox.alipay.notify import BUYER_LOGON
from tests.sandbox.alipay.trades import Trade
from tests.sandbox.alipay.wire import ACCOUNT, clock, yuan
from tests.sandbox.journal import SHANGHAI, Fact

OPENING_FEN = 100_000_000
HEADER = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,"
    "账户余额（元）,交易渠道,业务类型,备注"
)
SUMMARY = "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）"
Move = tuple[int, int, Fact]


@dataclass(frozen=True)
class Entry:
    """`fen` is signed; `business` is Alipay's number, `order` the shop's."""

    at: int
    fen: int
    kind: str
    business: str
    order: str
    goods: str
    other: str
    remark: str = ""
    balance_fen: int = 0

    @property
    def serial(self) -> str:
        seed = f"{self.business} {self.kind} {self.at} {self.remark}"
        return f"{int(hashlib.sha256(seed.encode()).hexdigest(), 16) % 10**15:015d}"


def entries(trades: Sequence[Trade], moves: Sequence[Move]) -> list[Entry]:
    """The whole account, oldest first."""
    balance, whole = OPENING_FEN, []
    for entry in sorted([*_of(trades), *_out(moves)], key=lambda entry: entry.at):
        balance += entry.fen
        whole.append(Entry(**{**vars(entry), "balance_fen": balance}))
    return whole


def files(first: date, end: date, found: Sequence[Entry], at: float) -> dict[str, str]:
    return {
        "账务明细": _detail(first, end, found, at),
        "账务明细(汇总)": _summary(first, end, found),
    }


def _of(trades: Sequence[Trade]) -> Iterator[Entry]:
    for at, (trade, refund) in trade_bill.lines(trades):
        names = (trade.trade_no, trade.offer.out_trade_no, trade.offer.subject)
        buyer = f"*小明({BUYER_LOGON})"
        if refund is not None:
            yield Entry(at, -refund.amount_fen, "交易退款", *names, buyer, refund.request_no)
            continue
        yield Entry(at, trade.total_fen, "在线支付", *names, buyer)
        if trade_bill.fee(trade):
            yield Entry(at, -trade_bill.fee(trade), "收费", *names, "支付宝", "服务费")


def _out(moves: Sequence[Move]) -> Iterator[Entry]:
    for at, fen, payout in moves:
        order = payout["order"]
        yield Entry(
            at,
            fen,
            "转账" if fen < 0 else "转账退回",
            payout["fund_order_id"],
            order["out_biz_no"],
            order["title"],
            f"{order['name'] or '*小明'}({order['identity']})",
            order["remark"],
        )


def _detail(first: date, end: date, found: Sequence[Entry], at: float) -> str:
    credits = [entry.fen for entry in found if entry.fen > 0]
    debits = [entry.fen for entry in found if entry.fen < 0]
    dashes = "-" * 41
    return "\r\n".join(
        [
            "#支付宝账务明细查询",
            f"#账号：[{ACCOUNT}]",
            f"#起始日期：[{first:%Y年%m月%d日} 00:00:00]   终止日期：[{end:%Y年%m月%d日} 00:00:00]",
            f"#{dashes}账务明细列表{dashes}",
            HEADER,
            *map(_line, found),
            f"#{dashes}账务明细列表结束{dashes}",
            f"#支出合计：{len(debits)}笔，共{yuan(sum(debits))}元",
            f"#收入合计：{len(credits)}笔，共{yuan(sum(credits))}元",
            f"#导出时间：[{datetime.fromtimestamp(at, SHANGHAI):%Y年%m月%d日 %H:%M:%S}]",
            "",
        ]
    )


def _line(entry: Entry) -> str:
    into, out = yuan(max(entry.fen, 0)), yuan(min(entry.fen, 0))
    return (
        f"{entry.serial}\t,{entry.business}\t,{entry.order}\t,{entry.goods}\t,{clock(entry.at)},"
        f"{entry.other}\t,{into},{out},{yuan(entry.balance_fen)},支付宝\t,{entry.kind}\t,"
        f"{entry.remark}\t"
    )


def _summary(first: date, end: date, found: Sequence[Entry]) -> str:
    dashes = "-" * 41
    kinds = [*sorted({entry.kind for entry in found}), "合计"]
    return "\r\n".join(
        [
            "#支付宝账务汇总查询",
            f"#账号：[{ACCOUNT}]",
            f"#起始日期：[{first:%Y年%m月%d日} 00:00:00]   终止日期：[{end:%Y年%m月%d日} 00:00:00]",
            f"#{dashes}账务汇总列表{dashes}",
            SUMMARY,
            *(_sums(kind, [one for one in found if kind in {one.kind, "合计"}]) for kind in kinds),
            f"#{dashes}账务汇总列表结束{dashes}",
            "",
        ]
    )


def _sums(kind: str, of: Sequence[Entry]) -> str:
    credits = [entry.fen for entry in of if entry.fen > 0]
    debits = [entry.fen for entry in of if entry.fen < 0]
    into, out = sum(credits), sum(debits)
    return f"{kind},{len(credits)},{yuan(into)},{len(debits)},{yuan(out)},{yuan(into + out)}"
