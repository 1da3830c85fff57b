"""Bills that are there already: everything but the wire."""

import gzip
from datetime import date, datetime, timedelta
from types import SimpleNamespace

from django.db import connection

from payments.bills import alipay, wechat
from payments.bills.rules import SHANGHAI
from payments.cashier.models import Payment
from tests.factories import make_user
from tests.payments.parsers.made_bills import (
    FLOWS,
    FUND,
    FUND_FOOTER,
    MCHID,
    PAID,
    TRADE,
    TRADE_FOOTER,
)
from tests.sandbox.alipay import account_bill, trade_bill, wire
from tests.sandbox.alipay.bills import zipped
from tests.sandbox.alipay.trades import PRECREATE, SUCCESS, Offer, Trade

DAY = date(2026, 1, 5)
AT = datetime(2026, 1, 5, 8, 0, 24, tzinfo=SHANGHAI)


def channel(folder):
    """WeChat Pay, whose bills of any day are those in this folder."""
    told = {
        "trade_bill": lambda day: gzip.open(folder / "trades.gz"),  # noqa: SIM115  the caller closes
        "fund_bill": lambda day: gzip.open(folder / "funds.gz"),  # noqa: SIM115
        "account_no": lambda: MCHID,
    }
    return SimpleNamespace(**(vars(wechat) | told))


def alipay_channel(folder):
    """Alipay, in the same way."""
    told = {
        "trade_bill": lambda day: open(folder / "trade.zip", "rb"),  # noqa: SIM115, PTH123
        "fund_bill": lambda day: open(folder / "account.zip", "rb"),  # noqa: SIM115, PTH123
        "account_no": lambda: wire.SELLER_ID,
    }
    return SimpleNamespace(**(vars(alipay) | told))


def alipay_bills(folder, fens):
    """Both bills of trades P0, P1, … of so many fen, as the sandbox writes them."""
    at = int(AT.timestamp())
    trades = [
        Trade(_trade_no(n), _offer(n, fen), fen, at, at, SUCCESS, paid_at=at)
        for n, fen in enumerate(fens)
    ]
    lines = [line for _, line in trade_bill.lines(trades)]
    days = (DAY, DAY + timedelta(days=1))
    for name, files in {
        "trade.zip": trade_bill.files(*days, lines, at),
        "account.zip": account_bill.files(*days, account_bill.entries(trades, []), at),
    }.items():
        named = {f"{wire.ACCOUNT}_{DAY:%Y%m%d}_{one}.csv": text for one, text in files.items()}
        (folder / name).write_bytes(zipped(named))


def _trade_no(n):
    return f"2026010522{n:018d}"


def _offer(n, fen):
    return Offer(
        token=f"{n}", product=PRECREATE, out_trade_no=f"P{n}", subject="订单", total_fen=fen,
        notify_url="", return_url="", until=0, expires_at=None, pay_seconds=0,
    )  # fmt: skip


def bills(folder, fens, moved=None):
    """Both bills of trades P0, P1, … of so many fen, whose fee is 0.6 %; `moved` in the second."""
    moved = fens if moved is None else moved
    sums = fees = 0
    balance = 100_000
    with gzip.open(folder / "trades.gz", "wt", encoding="utf-8-sig", newline="") as trades:
        trades.write(",".join(TRADE) + "\r\n")
        for n, fen in enumerate(fens):
            fee = (fen * 6 + 500) // 1000
            sums, fees = sums + fen, fees + fee
            row = PAID | {
                "微信订单号": f"42{n:026d}",
                "商户订单号": f"P{n}",
                "应结订单金额": yuan(fen),
                "订单金额": yuan(fen),
                "手续费": yuan(fee) + "000",
            }
            trades.write(",".join("`" + row.get(name, "") for name in TRADE) + "\r\n")
        said = [str(len(fens)), yuan(sums), "0.00", "0.00", yuan(fees), yuan(sums), "0.00"]
        trades.write(f"{TRADE_FOOTER}\r\n{','.join('`' + one for one in said)}\r\n")
    with gzip.open(folder / "funds.gz", "wt", encoding="utf-8-sig", newline="") as funds:
        funds.write(",".join(FUND) + "\r\n")
        for n, fen in enumerate(moved):
            fee = (fen * 6 + 500) // 1000
            for kind, side, step in (("交易", "收入", fen), ("扣除交易手续费", "支出", -fee)):
                balance += step
                row = FLOWS[0] | {
                    "资金流水单号": f"F{n}{kind[0]}",
                    "业务类型": kind,
                    "收支类型": side,
                    "收支金额(元)": yuan(abs(step)),
                    "账户结余(元)": yuan(balance),
                }
                funds.write(",".join("`" + row.get(name, "") for name in FUND) + "\r\n")
        count = len(moved)
        kept = sum((fen * 6 + 500) // 1000 for fen in moved)
        said = [str(2 * count), str(count), yuan(sum(moved)), str(count), yuan(kept)]
        funds.write(f"{FUND_FOOTER}\r\n{','.join('`' + one for one in said)}\r\n")


def yuan(fen):
    return f"{fen // 100}.{fen % 100:02d}"


def _payment(method):
    return Payment.objects.create(
        number="P", payer=make_user(), merchant="M1", purpose="ORDER", reference="O1",
        method=method, amount_fen=10_000, pay_before=AT, opened_at=AT,
    )  # fmt: skip


def alipay_ours(count):
    """Trades at Alipay, as `ours`."""
    payment = _payment("ALIPAY_QR")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO payments_alipaytrade (payment_id, out_trade_no, amount_fen, status,
                qr_code, trade_no, opened_at, ask_at, paid_at, success_at)
            SELECT %s, 'P' || n, 10000, 'PAID', '', '2026010522' || lpad(n::text, 18, '0'),
                   %s, %s, %s, %s
            FROM generate_series(0, %s - 1) n
            """,
            [payment.pk, AT, AT, AT, AT, count],
        )


def ours(count):
    """Trades P0, P1, … of 100.00 each, all of one payment: only their numbers matter here."""
    payment = _payment("WECHAT")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO payments_wechattrade (payment_id, out_trade_no, openid, amount_fen, status,
                prepay_id, transaction_id, opened_at, ask_at, paid_at, success_at)
            SELECT %s, 'P' || n, 'o', 10000, 'PAID', '', '42' || lpad(n::text, 26, '0'),
                   %s, %s, %s, %s
            FROM generate_series(0, %s - 1) n
            """,
            [payment.pk, AT, AT, AT, AT, count],
        )
