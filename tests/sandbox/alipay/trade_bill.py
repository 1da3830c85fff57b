"""业务明细: a line for what was paid and for each refund, with what Alipay keeps of it."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from tests.sandbox.alipay.notify import BUYER_LOGON
from tests.sandbox.alipay.trades import Refund, Trade
from tests.sandbox.alipay.wire import ACCOUNT, clock, yuan
from tests.sandbox.journal import SHANGHAI

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


def lines(trades: Sequence[Trade]) -> Iterator[tuple[int, Line]]:
    """Moment and line, of all times."""
    for trade in trades:
        if trade.paid_at is not None:
            yield trade.paid_at, (trade, None)
        for refund in trade.refunds:
            yield refund.at, (trade, refund)


def files(first: date, end: date, found: Sequence[Line], at: float) -> dict[str, str]:
    return {
        "业务明细": _detail(first, end, found, at),
        "业务明细(汇总)": _summary(first, end, found),
    }


def fee(trade: Trade) -> int:
    return (trade.total_fen * FEE_BP + 5_000) // 10_000


def _detail(first: date, end: date, lines: Sequence[Line], at: float) -> str:
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


def _summary(first: date, end: date, lines: Sequence[Line]) -> str:
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
