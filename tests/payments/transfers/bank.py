"""Bookings as a bank makes them, without a bank."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from typing import Any, NamedTuple

from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.transfers import intake, services
from payments.transfers.models import Statement, StatementLine
from payments.transfers.parsers import Row
from tests.members.people import make_user
from tests.payments import payable

NOON = datetime(2026, 6, 18, 4, 0, tzinfo=UTC)
ACCOUNT = "755900000110"
_serials = count(1)
_orders = count(1)
BLANK = Row(
    serial=None,
    booked_at=NOON,
    amount_fen=0,
    currency="CNY",
    balance_fen=None,
    payer_name="王小美",
    payer_account="6222020200112233",
    payer_bank="中国工商银行",
    remark="",
    texts=(),
    virtual_account=None,
    is_reversal=False,
    reverses=None,
    position=1,
)


def serial() -> str:
    return f"S{next(_serials):09d}"


def booking(fen: int, *, remark: str = "", **changes: Any) -> Row:
    """A credit of so many fen; its serial is fresh unless one is given."""
    changes = {"serial": serial(), "texts": (remark,) if remark else ()} | changes
    return replace(BLANK, amount_fen=fen, remark=remark, **changes)


def account(account_no: str = ACCOUNT, *, units: int = 30, **changes: Any) -> ReceivingAccount:
    """A receiving account with virtual accounts in store; the same one on every call."""
    fields = {"account_name": "杭州私域科技", "bank_name": "招商银行", "provider": "sandbox"}
    row, is_new = ReceivingAccount.objects.get_or_create(
        account_no=account_no, defaults=fields | changes
    )
    if is_new:
        VirtualAccount.objects.bulk_create(
            VirtualAccount(
                number=f"{account_no}{unit:010d}", unit=f"{unit:010d}", receiving_account=row
            )
            for unit in range(1, units + 1)
        )
    return row


def expected(fen: int = 9900, *, payer: Any = None, at: datetime = NOON) -> Payment:
    """A payment by transfer that waits for so many fen (tests.payments.payable)."""
    reference = f"O{next(_orders)}"
    payable.told.amounts[reference] = fen
    return cashier.open_payment(
        payer_id=(payer or make_user()).pk,
        purpose="ORDER",
        reference=reference,
        method="BANK_TRANSFER",
        at=at,
    )


def code_of(payment: Payment) -> str:
    return payment.transfer_intent.code


def virtual_of(payment: Payment) -> str:
    virtual = payment.transfer_intent.virtual_account
    assert virtual is not None
    return virtual.number


def arrive(*rows: Row, account_no: str = ACCOUNT, at: datetime = NOON) -> list[StatementLine]:
    """These bookings come in at once; the lines of those with a serial, in the given order."""
    own = ReceivingAccount.objects.get(account_no=account_no)
    services.take(account=own, rows=list(rows), at=at)
    lines = {line.key: line for line in StatementLine.objects.filter(receiving_account=own)}
    return [lines[row.serial] for row in rows if row.serial]


def push(row: Row, *, account_no: str = ACCOUNT, at: datetime = NOON) -> intake.Taken:
    return services.take_push(provider="sandbox", account_no=account_no, row=row, at=at)


def transfer_in(
    payment: Payment, *, fen: int, at: datetime = NOON + timedelta(minutes=5), **changes: Any
) -> StatementLine:
    """A transfer to the payment's own virtual account arrives by push and is judged."""
    intent = payment.transfer_intent
    virtual = intent.virtual_account.number if intent.virtual_account else None
    row = booking(fen, remark=intent.code, virtual_account=virtual, booked_at=at, **changes)
    push(row, account_no=intent.receiving_account.account_no, at=at)
    return StatementLine.objects.get(serial=row.serial)


def ccb_csv(
    rows: Sequence[Row], *, own: str = ACCOUNT, encoding: str = "gb18030", opening: int = 0
) -> bytes:
    """A statement of these rows as 建设银行 exports it, balances running from `opening` fen."""
    head = (
        "账号,账户名称,交易时间,借方发生额（支取）,贷方发生额（收入）,余额,币种,对方户名,对方账号,"
        "对方开户机构,记账日期,摘要,备注,账户明细编号-交易流水号,企业流水号,凭证种类,凭证号"
    )

    def cells(row: Row, printed: Printed) -> list[str]:
        return [
            row.virtual_account or own,
            "杭州私域科技",
            f"{printed.moment:%Y%m%d %H:%M:%S}",
            printed.out,
            printed.into,
            printed.balance,
            "人民币元",
            row.payer_name,
            row.payer_account,
            row.payer_bank,
            f"{printed.moment:%Y%m%d}",
            "转账",
            row.remark,
            row.serial or "",
            *("", "", ""),
        ]

    return _csv(head, rows, cells, opening).encode(encoding)


def icbc_csv(rows: Sequence[Row], *, own: str = ACCOUNT, opening: int = 0) -> bytes:
    """The same as 工商银行 exports it: no serials, what tells equal rows apart is the balance."""
    head = (
        "凭证号,本方账号,对方账号,交易时间,借/贷,借方发生额,贷方发生额,对方行号,"
        "摘要,用途,对方单位名称,余额,个性化信息"
    )

    def cells(row: Row, printed: Printed) -> list[str]:
        return [
            "",
            row.virtual_account or own,
            row.payer_account,
            f"{printed.moment:%Y-%m-%d %H:%M:%S}",
            "借" if row.amount_fen < 0 else "贷",
            printed.out,
            printed.into,
            "",
            "转账",
            row.remark,
            row.payer_name,
            printed.balance,
            "",
        ]

    return _csv(head, rows, cells, opening).encode("gb18030")


class Printed(NamedTuple):
    """What every bank prints of a row: when in Shanghai, and yuan out, in, and there after it."""

    moment: datetime
    out: str
    into: str
    balance: str


def _csv(
    head: str, rows: Sequence[Row], cells: Callable[[Row, Printed], list[str]], opening: int
) -> str:
    lines, balance = [head], opening
    for row in rows:
        balance += row.amount_fen
        fens = max(-row.amount_fen, 0), max(row.amount_fen, 0), balance
        moment = row.booked_at.astimezone(UTC) + timedelta(hours=8)
        printed = Printed(moment, *(f"{fen / 100:.2f}" for fen in fens))
        lines.append(",".join(cells(row, printed)))
    return "\r\n".join(lines) + "\r\n"


def imported(content: bytes, *, at: datetime = NOON, account_no: str = ACCOUNT) -> Statement:
    """A file of the receiving account, taken and imported."""
    statement = services.upload(
        file=BytesIO(content),
        filename="明细.csv",
        account_no=account_no,
        tenants=None,
        uploaded_by_id=None,
        at=at,
    )
    services.import_statement(statement=statement, at=at)
    statement.refresh_from_db()
    assert statement.status == "DONE", statement.reason
    return statement
