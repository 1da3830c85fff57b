"""Money that goes back: owed, approved, sent, done."""

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F

from config.kit import numbers, sql
from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.jobs import later
from config.kit.outside import assert_no_transaction
from config.kit.states import move, sources
from payments.cashier.models import Payment, Refund
from payments.cashier.payables import Sent, check_above_fen, method, payable
from payments.cashier.rules import REFUND_TRANSITIONS, Reason, RefundStatus
from payments.ledger import services as ledger
from payments.ledger.rules import Draft

logger = logging.getLogger(__name__)


class MoreThanReceived(Refusal):
    message = "退款金额超过实收金额"


class SecondPersonNeeded(Refusal):
    message = "金额超过限额，须由另一人复核"


_RECORD = """
INSERT INTO payments_paymentevent (payment_id, kind, actor, at, facts)
SELECT id, %s, %s, %s, '{}' FROM unnest(%s::bigint[]) AS d (id)
"""


def record(payments: Iterable[Payment], kind: str, at: datetime, actor: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [kind, actor, at, sql.ints(row.pk for row in payments)])


@joined
def owe_back(
    *,
    payment: Payment,
    amount_fen: int,
    reason: Reason,
    at: datetime,
    status: RefundStatus = RefundStatus.OWED,
    actor: str = "",
) -> Refund:
    """Take money that was kept for a payment out of guarantee: it is the payer's again.

    `status` APPROVED sends it at once, up to the limit; above it `actor` has only asked for it
    (`approve`).
    """
    is_checked = status == RefundStatus.APPROVED and _is_checked(payment, amount_fen)
    if is_checked:
        status = RefundStatus.OWED
    enough = Payment.objects.filter(pk=payment.pk, received_fen__gte=F("refunded_fen") + amount_fen)
    if enough.update(refunded_fen=F("refunded_fen") + amount_fen) != 1:
        raise MoreThanReceived(payment=payment.number)
    refund = Refund.objects.create(
        number=numbers.fresh("R"),
        payment=payment,
        amount_fen=amount_fen,
        reason=reason,
        status=status,
        asked_by=actor if is_checked else "",
        owed_at=at,
    )
    ledger.post(
        [
            Draft(
                kind="OWE_BACK",
                reference=refund.number,
                debits={f"held:{payment.merchant}": amount_fen},
                credits={f"refund_payable:{payment.method}": amount_fen},
            )
        ],
        at=at,
    )
    record([payment], f"REFUND_{status}", at, actor)
    if status == RefundStatus.APPROVED:
        later("payments.cashier.tasks.send_refund", refund_id=refund.pk)
    return refund


@joined
def refund_all(
    *, purpose: str, reference: str, reason: Reason, at: datetime, actor: str = ""
) -> list[Refund]:
    """Everything that was kept for a thing goes back to where it came from.

    At once, up to the limit; above it staff approve what `actor` has asked for.
    """
    paid = Payment.objects.filter(
        received_fen__gt=F("refunded_fen"), purpose=purpose, reference=reference
    )
    return [
        owe_back(
            payment=row,
            amount_fen=row.received_fen - row.refunded_fen,
            reason=reason,
            status=RefundStatus.APPROVED,
            at=at,
            actor=actor,
        )
        for row in paid.select_for_update().order_by("pk")
    ]


def _is_checked(payment: Payment, amount_fen: int) -> bool:
    """Whether giving back so much takes two people."""
    return amount_fen > check_above_fen(payment.merchant)


@joined
def approve(*, refund: Refund, actor: str, at: datetime) -> Refund:
    """A person says that what is owed goes back now (again, if the channel had refused).

    Above the limit the first person only asks for it: it stays as it is, with `asked_by`, until
    another person approves.  Raises SecondPersonNeeded, StaleState.
    """
    found = Refund.objects.filter(pk=refund.pk)
    waiting = found.filter(status__in=sources(RefundStatus.APPROVED, REFUND_TRANSITIONS))
    if not _is_checked(refund.payment, refund.amount_fen):
        move(found, RefundStatus.APPROVED, REFUND_TRANSITIONS, failure="")
    elif waiting.filter(asked_by="").update(asked_by=actor):
        record([refund.payment], "REFUND_ASKED", at, actor)
        refund.refresh_from_db()
        return refund
    elif waiting.filter(asked_by=actor).exists():
        raise SecondPersonNeeded
    else:
        others = found.exclude(asked_by__in=["", actor])
        move(others, RefundStatus.APPROVED, REFUND_TRANSITIONS, failure="")
    record([refund.payment], "REFUND_APPROVED", at, actor)
    later("payments.cashier.tasks.send_refund", refund_id=refund.pk)
    refund.refresh_from_db()
    return refund


def send(*, refund: Refund, at: datetime) -> None:
    """Hand one refund to its channel.  Not atomic on purpose: the network lies in between.

    The refund's number is the channel's idempotency key, so repeating is safe; an answer that
    never came leaves it SENDING and the sweep asks again.
    """
    assert_no_transaction()
    if refund.status == RefundStatus.APPROVED:
        move(
            Refund.objects.filter(pk=refund.pk),
            RefundStatus.SENDING,
            REFUND_TRANSITIONS,
            sent_at=at,
        )
    try:
        sent = method(refund.payment.method).send_back(refund)
    except Refusal as refusal:
        if refusal.status >= 500:
            logger.warning("refund %s: %s", refund.number, refusal)
            return
        _fail(refund, str(refusal), at)
        return
    if sent is not None:
        _finish(refund, sent, at)


@transaction.atomic
def _finish(refund: Refund, sent: Sent, at: datetime) -> None:
    payment = refund.payment
    move(
        Refund.objects.filter(pk=refund.pk),
        RefundStatus.DONE,
        REFUND_TRANSITIONS,
        channel_txn=sent.channel_txn,
        done_at=at,
    )
    record([payment], "REFUND_DONE", at)
    payable(payment.purpose).refunded(references=[payment.reference], at=at)
    ledger.post(
        [
            Draft(
                kind="REFUND_PAID",
                reference=refund.number,
                debits={f"refund_payable:{payment.method}": refund.amount_fen},
                credits={sent.account: refund.amount_fen},
            )
        ],
        at=at,
    )


@transaction.atomic
def _fail(refund: Refund, why: str, at: datetime) -> None:
    move(
        Refund.objects.filter(pk=refund.pk),
        RefundStatus.FAILED,
        REFUND_TRANSITIONS,
        failure=why[:200],
        asked_by="",  # trying again is another decision, above the limit of two people
    )
    record([refund.payment], "REFUND_FAILED", at)
