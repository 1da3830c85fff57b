from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from config.kit.errors import Refusal, StaleState
from config.kit.states import move
from members.guarantee import queries
from members.guarantee.models import Guarantee, GuaranteeEvent
from members.guarantee.rules import TRANSITIONS, Status
from members.merchants.models import Merchant

LONGEST_REASON = 200


class CriteriaNotMet(Refusal):
    message = "还不符合担保条件"


@transaction.atomic
def apply(*, merchant: Merchant, actor: str, at: datetime) -> Guarantee:
    """A merchant asks to be guaranteed, for the first time or after it left.

    Raises CriteriaNotMet; StaleState while it has asked already, or is in.
    """
    _check(merchant)
    guarantee, is_new = Guarantee.objects.get_or_create(
        merchant=merchant, defaults={"status": Status.APPLIED, "since_at": at}
    )
    if is_new:
        _tell(guarantee, Status.APPLIED, actor, at)
    else:
        _move(guarantee, Status.APPLIED, actor, at)
    return guarantee


@transaction.atomic
def approve(*, guarantee: Guarantee, actor: str, at: datetime) -> None:
    """Let in, or in again after a suspension.  Raises CriteriaNotMet, StaleState."""
    _check(guarantee.merchant)
    _move(guarantee, Status.ACTIVE, actor, at)


@transaction.atomic
def suspend(*, guarantee: Guarantee, reason: str, actor: str, at: datetime) -> None:
    """No badge, no boost until it is approved again; StaleState unless it is active."""
    _move(guarantee, Status.SUSPENDED, actor, at, reason)


@transaction.atomic
def leave(*, guarantee: Guarantee, actor: str, at: datetime, reason: str = "") -> None:
    """The promise is over for what is bought from now on; money that is held stays held."""
    _move(guarantee, Status.LEFT, actor, at, reason)


def suspend_by_rule(*, limit: int, after: int, at: datetime) -> tuple[int, int]:
    """Suspend those of a batch of active ones that meet the criteria no more; S002.21.

    Answers how many, and after which key the next batch begins (0: there is none).  Each is a
    transaction of its own; who left meanwhile is left alone.
    """
    rows = Guarantee.objects.filter(status=Status.ACTIVE, pk__gt=after).select_related("merchant")
    batch = list(rows.order_by("pk")[:limit])
    failing = queries.failing([one.merchant for one in batch])
    suspended = 0
    for one in batch:
        if missing := failing.get(one.merchant.number):
            try:
                suspend(guarantee=one, reason=_reason(missing), actor="", at=at)
                suspended += 1
            except StaleState:
                continue
    return suspended, batch[-1].pk if len(batch) == limit else 0


def _check(merchant: Merchant) -> None:
    if missing := queries.failing([merchant]).get(merchant.number):
        raise CriteriaNotMet(_reason(missing))


def _reason(missing: Sequence[str]) -> str:
    return ("不符合：" + "、".join(missing))[:LONGEST_REASON]


def _move(guarantee: Guarantee, to: Status, actor: str, at: datetime, reason: str = "") -> None:
    move(Guarantee.objects.filter(pk=guarantee.pk), to, TRANSITIONS, since_at=at)
    _tell(guarantee, to, actor, at, reason)


def _tell(guarantee: Guarantee, status: Status, actor: str, at: datetime, reason: str = "") -> None:
    GuaranteeEvent.objects.create(
        guarantee=guarantee, status=status, actor=actor, at=at, reason=reason[:LONGEST_REASON]
    )
