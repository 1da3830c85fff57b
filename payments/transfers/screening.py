"""T0: what a row of a statement is, before anybody asks what it pays; and when it is known."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from config.kit.money import yuan
from config.kit.numbers import ALPHABET, LENGTH, is_sound
from payments.ledger.rules import Draft
from payments.transfers.parsers.cells import PERHAPS_TAKEN_BACK, TAKEN_BACK
from payments.transfers.remarks import is_whole_account, normal
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
    @property
    def caution(self) -> str: ...


@dataclass(frozen=True)
class Screening:
    """The first verdict of a row, and where it enters the books.

    `is_posted`: money that came and may be a buyer's, into suspense.  `is_elsewhere`: any other
    movement of the account.  Neither: another currency, nothing, a payout of ours (which has been
    posted when it was sent), or a row that cannot be trusted.
    """

    verdict: Verdict
    is_posted: bool
    rule: str = ""
    reasons: tuple[str, ...] = ()
    is_elsewhere: bool = False
    held_as: str = ""  # number of the line that it may be, under another name (`twins`)


OUR_PAYOUT = "本店退款付出"
FRESH = Screening(Verdict.UNMATCHED, is_posted=True)  # to be judged by the ladder
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=2)  # a value date may lie a day ahead; more is a wrong file
_BANKS_OWN = ("结息", "利息", "存款利息", "利息收入", "手续费", "账户管理费", "工本费")
_A_BANK = re.compile("银行|信用社|信用联社|应付利息|利息支出|手续费收入")  # and its inner accounts
_LONGEST_WORD = 8  # characters, with spaces around it
_IS_PERHAPS = f"{PERHAPS_TAKEN_BACK}，需人工处理"


def screen(
    row: Booking, *, at: datetime, own_accounts: frozenset[str], payouts: frozenset[str]
) -> Screening:
    """T0: only money from somebody else, booked, in yuan, may pay anything.

    `payouts` are those of `payout_marks` that are money which we sent ourselves; `own_accounts`
    those of the account's merchant, and the platform's.
    """
    if why := _why_nothing(row, payouts):
        return Screening(Verdict.IGNORED, False, "T0", (why,))
    if why := _why_taken_back(row):
        is_in = row.amount_fen > 0
        return Screening(Verdict.CONFLICT, is_in, "R", (why,), is_elsewhere=not is_in)
    if not is_credible(row.booked_at, at):
        day = row.booked_at.astimezone(SHANGHAI).date()
        return Screening(Verdict.CONFLICT, False, "T0", (f"入账日期 {day} 不可信，未记账",))
    if why := _why_not_a_buyers(row, own_accounts):
        return Screening(Verdict.IGNORED, False, "T0", (why,), is_elsewhere=True)
    return FRESH


def is_credible(booked_at: datetime, at: datetime) -> bool:
    """Whether a booking heard of at that moment may have that date."""
    return EARLIEST <= booked_at <= at + AHEAD


def _why_nothing(row: Booking, payouts: frozenset[str]) -> str:
    """Why a row enters no books at all."""
    if row.currency != "CNY":
        return f"币种 {row.currency[:8]}，只核销人民币"
    if row.amount_fen == 0:
        return "金额为零"
    return OUR_PAYOUT if not payouts.isdisjoint(_marks(row)) else ""


def _why_not_a_buyers(row: Booking, own_accounts: frozenset[str]) -> str:
    if row.amount_fen < 0:
        return "支出"
    if row.payer_account and row.payer_account in own_accounts:
        return "本店账户之间的调拨"
    return "银行结息或费用" if _is_banks_own(row) else ""


def _is_banks_own(row: Booking) -> bool:
    """Only where the bank names no payer, or itself: a buyer may write 手续费 too."""
    if row.payer_account or row.virtual_account:
        return False
    if not any(text.strip() in _BANKS_OWN for text in (row.remark, *row.texts)):
        return False
    return not row.payer_name or _A_BANK.search(row.payer_name) is not None


def _why_taken_back(row: Booking) -> str:
    """Why a row is a reversal, or money in a payout of ours that came back (退汇).

    Our number may stand in what the payee's bank repeats.  A text that is nothing but the bank's
    word is the bank's; one that only has it is the payer's, unless the format cannot tell.
    """
    if row.is_reversal:
        original = f"，原流水号 {row.reverses}" if row.reverses else "，银行未注明原流水号"
        return f"冲正或退汇{original}，需人工处理"
    if row.amount_fen < 0:
        return ""
    texts = row.texts
    if row.remark not in texts:
        texts = (row.remark, *texts)
    if why := _why_words(tuple(texts)):
        return why
    return _IS_PERHAPS if row.caution == PERHAPS_TAKEN_BACK else ""


@lru_cache(maxsize=4096)  # most payers write what others write: 货款
def _why_words(texts: tuple[str, ...]) -> str:
    """The same of the texts alone."""
    if numbers := named_payouts(["。".join(texts)]):
        return f"文字里有本店的退款单号 {'、'.join(sorted(numbers))}，可能是退款被退回，需人工处理"
    is_banks = (TAKEN_BACK.fullmatch(text.strip()) for text in texts if len(text) < _LONGEST_WORD)
    return _IS_PERHAPS if any(is_banks) else ""


# --- our own payouts ----------------------------------------------------------------------------

# Every refund, return, payout to a merchant (J) and withdrawal (W) says its number in the remark
# that it gives the bank.
_OUR_NUMBERS = re.compile(rf"(?<![0-9A-Z])[RTJW][{ALPHABET}]{{{LENGTH + 1}}}(?![0-9A-Z])")


def payout_marks(rows: Iterable[Booking]) -> set[str]:
    """By what payouts of ours may be known again among these rows: serials, and our numbers."""
    return {mark for row in rows for mark in _marks(row)}


def _marks(row: Booking) -> set[str]:
    if row.amount_fen >= 0 or row.is_reversal:
        return set()
    return named_payouts((row.remark, *row.texts)) | ({row.serial} if row.serial else set())


def named_payouts(texts: Iterable[str]) -> set[str]:
    """Numbers of refunds, returns and merchants' payouts that stand in texts of a booking."""
    found = {number for text in texts for number in _OUR_NUMBERS.findall(normal(text))}
    return {number for number in found if is_sound(number)}


# --- into the books -----------------------------------------------------------------------------

# The last: what a person takes in of what was left out (`desk.take_in`), and takes out again; what
# had come in twice (`second_look`).
INTAKE_KINDS = (
    "INTAKE", "ELSEWHERE_IN", "ELSEWHERE_OUT", "TAKEN_IN", "TAKEN_OUT", "HELD_BACK",
)  # fmt: skip


@dataclass
class Totals:
    """What a batch of new lines moves, in fen; `add` each line that was really stored."""

    posted_fen: int = 0
    in_fen: int = 0  # elsewhere, into the account
    out_fen: int = 0  # elsewhere, out of it; above zero

    def add(self, amount_fen: int, *, is_posted: bool, is_elsewhere: bool) -> None:
        if is_posted:
            self.posted_fen += amount_fen
        elif is_elsewhere and amount_fen > 0:
            self.in_fen += amount_fen
        elif is_elsewhere:
            self.out_fen -= amount_fen


def drafts(account_no: str, totals: Totals, *, reference: str) -> list[Draft]:
    """The postings of a batch: bank against suspense, and bank against what is no buyer's."""
    bank, elsewhere = f"bank:{account_no}", f"elsewhere:{account_no}"
    legs = (
        ("INTAKE", bank, f"suspense:{account_no}", totals.posted_fen),
        ("ELSEWHERE_IN", bank, elsewhere, totals.in_fen),
        ("ELSEWHERE_OUT", elsewhere, bank, totals.out_fen),
    )
    return [
        Draft(kind=kind, reference=reference, debits={debit: fen}, credits={credit: fen})
        for kind, debit, credit, fen in legs
        if fen
    ]


# --- known again --------------------------------------------------------------------------------


SAME_DAYS = timedelta(days=3)  # a push at night and its booking in a statement


def contradicts(row: Booking, *, amount_fen: int, booked_at: datetime, payer_account: str) -> str:
    """Why a row with the key of a known line is not that line; empty when it is the same."""
    if row.amount_fen != amount_fen:
        return f"金额 {yuan(row.amount_fen)} 元，已有记录为 {yuan(amount_fen)} 元"
    if abs(row.booked_at - booked_at) > SAME_DAYS:
        return "入账日期与已有记录相差三天以上"
    ours, theirs = row.payer_account, payer_account
    if ours != theirs and is_whole_account(ours) and is_whole_account(theirs):
        return "付款账号与已有记录不同"
    return ""
