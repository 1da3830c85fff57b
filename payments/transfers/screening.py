"""T0: what a row of a statement is, before anybody asks what it pays; and when it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from config.kit.money import yuan
from payments.ledger.rules import Draft
from payments.transfers.rules import Verdict

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Booking(Protocol):
    """One row of a statement or a push, as `parsers.Row` has it."""

    @property
    def serial(self) -> str | None: ...
    @property
    def booked_at(self) -> datetime: ...
    @property
    def amount_fen(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def balance_fen(self) -> int | None: ...
    @property
    def payer_name(self) -> str: ...
    @property
    def payer_account(self) -> str: ...
    @property
    def remark(self) -> str: ...
    @property
    def texts(self) -> tuple[str, ...]: ...
    @property
    def virtual_account(self) -> str | None: ...
    @property
    def is_reversal(self) -> bool: ...
    @property
    def reverses(self) -> str | None: ...


@dataclass(frozen=True)
class Screening:
    """The first verdict of a row, and where its money stands in the books.

    `is_posted`: it came and may be a buyer's, so it waits in suspense.  `is_elsewhere`: it moved,
    and is nobody's payment.  Neither: the books have it already, or cannot have it.
    """

    verdict: Verdict
    is_posted: bool
    rule: str = ""
    reasons: tuple[str, ...] = ()
    is_elsewhere: bool = False


FRESH = Screening(Verdict.UNMATCHED, is_posted=True)  # to be judged by the ladder
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=2)  # a value date may lie a day ahead; more is a wrong file
_BANKS_OWN = ("结息", "利息", "存款利息", "利息收入", "手续费", "账户管理费", "工本费")


def screen(
    row: Booking, *, at: datetime, own_accounts: frozenset[str], payouts: frozenset[str]
) -> Screening:
    """T0: only money from somebody else, booked, in yuan, may pay anything.

    `payouts` are bank serials of what we sent ourselves.
    """
    if row.currency != "CNY":
        return _ignored(f"币种 {row.currency[:8]}，只核销人民币", is_elsewhere=False)
    if row.is_reversal:
        original = f"，原流水号 {row.reverses}" if row.reverses else "，银行未注明原流水号"
        why = f"冲正或退汇{original}，需人工处理"
        return Screening(Verdict.CONFLICT, row.amount_fen > 0, "R", (why,))
    if not EARLIEST <= row.booked_at <= at + AHEAD:
        day = row.booked_at.astimezone(SHANGHAI).date()
        return Screening(Verdict.CONFLICT, False, "T0", (f"入账日期 {day} 不可信，未记账",))
    return _not_a_buyers(row, own_accounts, payouts) or FRESH


def _ignored(why: str, *, is_elsewhere: bool) -> Screening:
    return Screening(Verdict.IGNORED, False, "T0", (why,), is_elsewhere)


def _not_a_buyers(
    row: Booking, own_accounts: frozenset[str], payouts: frozenset[str]
) -> Screening | None:
    if row.amount_fen == 0:
        return _ignored("金额为零", is_elsewhere=False)
    if row.amount_fen < 0:
        is_ours = bool(row.serial) and row.serial in payouts
        return _ignored("本店退款付出" if is_ours else "支出", is_elsewhere=not is_ours)
    if row.payer_account and row.payer_account in own_accounts:
        return _ignored("本店账户之间的调拨", is_elsewhere=True)
    return _ignored("银行结息或费用", is_elsewhere=True) if _is_banks_own(row) else None


def _is_banks_own(row: Booking) -> bool:
    """Only where the bank names no payer: a buyer may write 手续费 too."""
    if row.payer_account or row.virtual_account:
        return False
    return any(text.strip() in _BANKS_OWN for text in (row.remark, *row.texts))


def drafts(
    account_no: str, reference: str, rows: Sequence[Booking], firsts: Sequence[Screening]
) -> list[Draft]:
    """How a batch enters the books: one posting of what may be buyers', one of all other money."""
    posted = [row.amount_fen for row, one in zip(rows, firsts, strict=True) if one.is_posted]
    others = [row.amount_fen for row, one in zip(rows, firsts, strict=True) if one.is_elsewhere]
    bank, waits, elsewhere = (f"{kind}:{account_no}" for kind in ("bank", "suspense", "elsewhere"))
    into, out = sum(fen for fen in others if fen > 0), -sum(fen for fen in others if fen < 0)
    return [
        Draft(kind, reference, {debit: fen}, {credit: fen})
        for kind, debit, credit, fen in (
            ("INTAKE", bank, waits, sum(posted)),
            ("ELSEWHERE_IN", bank, elsewhere, into),
            ("ELSEWHERE_OUT", elsewhere, bank, out),
        )
        if fen
    ]


SAME_DAYS = timedelta(days=3)  # a push at night and its booking in a statement


def contradicts(row: Booking, *, amount_fen: int, booked_at: datetime, payer_account: str) -> str:
    """Why a row with the key of a known line is not that line; empty when it is the same."""
    if row.amount_fen != amount_fen:
        return f"金额 {yuan(row.amount_fen)} 元，已有记录为 {yuan(amount_fen)} 元"
    if abs(row.booked_at - booked_at) > SAME_DAYS:
        return "入账日期与已有记录相差三天以上"
    ours, theirs = row.payer_account, payer_account
    if ours and theirs and "*" not in ours + theirs and ours != theirs:
        return "付款账号与已有记录不同"
    return ""
