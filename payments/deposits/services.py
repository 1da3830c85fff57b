from datetime import datetime

from django.db import transaction

from config.kit import numbers
from config.kit.states import move
from payments.cashier.refunds import SecondPersonNeeded
from payments.deposits.models import DepositMove, DepositRule
from payments.deposits.rules import TRANSITIONS, Kind, Status
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.settlement import debts


@transaction.atomic
def top_up(*, merchant: str, amount_fen: int, actor: str, at: datetime) -> DepositMove:
    """Out of what is available, debts first; raises NotCovered."""
    debts.square(merchant=merchant, at=at)
    made = enter(Kind.TOP_UP, Status.DONE, merchant, amount_fen, actor=actor, at=at)
    _post("DEPOSIT_PAID", made, _available(merchant), deposit_of(merchant), at)
    return made


@transaction.atomic
def punish(
    *, merchant: str, amount_fen: int, reason: str, evidence: str, actor: str, at: datetime
) -> DepositMove:
    """So much is frozen for a violation until another person has decided; raises NotCovered."""
    words = {"reason": reason[:200], "evidence": evidence[:2000]}
    made = enter(Kind.PENALTY, Status.ASKED, merchant, amount_fen, actor=actor, at=at, **words)
    _post("DEPOSIT_FROZEN", made, deposit_of(merchant), _frozen(merchant), at)
    return made


@transaction.atomic
def ask_back(
    *, merchant: str, amount_fen: int, reason: str, actor: str, at: datetime
) -> DepositMove:
    """Who leaves wants it back: frozen until the platform has decided; raises NotCovered."""
    made = enter(
        Kind.REFUND, Status.ASKED, merchant, amount_fen, actor=actor, at=at, reason=reason[:200]
    )
    _post("DEPOSIT_FROZEN", made, deposit_of(merchant), _frozen(merchant), at)
    return made


@transaction.atomic
def check(
    *, asked: DepositMove, approve: bool, actor: str, at: datetime, reason: str = ""
) -> DepositMove:
    """Another person decides: a penalty is the platform's, what was asked back is available.

    Raises SecondPersonNeeded, StaleState.
    """
    if actor == asked.asked_by:
        raise SecondPersonNeeded
    to = Status.DONE if approve else Status.DECLINED
    said = {"checked_by": actor, "checked_at": at, "said": reason[:200]}
    move(DepositMove.objects.filter(pk=asked.pk), to, TRANSITIONS, **said)
    frozen = _frozen(asked.merchant)
    if not approve:
        _post("DEPOSIT_THAWED", asked, frozen, deposit_of(asked.merchant), at)
    elif asked.kind == Kind.PENALTY:
        _post("DEPOSIT_DEDUCTED", asked, frozen, "penalties:platform", at)
    else:
        _post("DEPOSIT_RETURNED", asked, frozen, _available(asked.merchant), at)
    asked.refresh_from_db()
    return asked


def set_rule(*, category: str, required_fen: int) -> DepositRule:
    """For what is put on sale from now on."""
    row, _ = DepositRule.objects.update_or_create(
        category=category, defaults={"required_fen": required_fen}
    )
    return row


def _available(merchant: str) -> str:
    return f"merchant:{merchant}:available"


def deposit_of(merchant: str) -> str:
    return f"deposit:{merchant}"


def _frozen(merchant: str) -> str:
    return f"deposit_frozen:{merchant}"


def enter(
    kind: str, status: str, merchant: str, fen: int, *, actor: str, at: datetime, **words: str
) -> DepositMove:
    return DepositMove.objects.create(
        number=numbers.fresh("V"),
        merchant=merchant,
        kind=kind,
        status=status,
        amount_fen=fen,
        asked_by=actor,
        asked_at=at,
        **words,
    )


def _post(kind: str, made: DepositMove, debit: str, credit: str, at: datetime) -> None:
    fen = made.amount_fen
    ledger.post([Draft(kind, made.number, {debit: fen}, {credit: fen})], at=at)
