"""Money that goes back: owed, approved, sent, done."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from django.db import connection, transaction
from django.db.models import F

from config.kit import numbers, sql
from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.jobs import later
from config.kit.outside import assert_no_transaction
from config.kit.states import move, sources
from payments.cashier.models import Payment, PaymentEvent, Refund
from payments.cashier.payables import Sent, check_above_fen, method, payable
from payments.cashier.rules import (
    REFUND_TRANSITIONS,
    Locked,
    Owed,
    Reason,
    RefundStatus,
    Status,
)
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


class Keyed(Protocol):
    @property
    def pk(self) -> int: ...


def record(payments: Iterable[Keyed], kind: str, at: datetime, actor: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [kind, actor, at, sql.ints(row.pk for row in payments)])


_TAKE_OUT = """
UPDATE payments_payment p SET refunded_fen = p.refunded_fen + d.fen
FROM unnest(%s::bigint[], %s::bigint[]) AS d (id, fen)
WHERE p.id = d.id AND p.received_fen >= p.refunded_fen + d.fen
"""
_STORE = """
INSERT INTO payments_refund
    (number, payment_id, amount_fen, reason, status, owed_at, failure, asked_by)
SELECT d.number, d.payment_id, d.fen, %s, d.status, %s, '', d.asked_by
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[])
    AS d (number, payment_id, fen, status, asked_by)
RETURNING id, status
"""


@joined
def owe_back(
    *,
    owed: Sequence[Owed],
    reason: Reason,
    at: datetime,
    status: RefundStatus = RefundStatus.OWED,
    actor: str = "",
) -> list[int]:
    """Take money that was kept for payments out of guarantee: it is the payers' again.

    Each payment at most once; the caller holds them.  `status` APPROVED sends it at once, up to
    the limit; above it `actor` has only asked for it (`approve`).  Answers the refunds' ids.
    """
    if not owed:
        return []
    numbered = numbers.fresh_many("R", len(owed))
    is_approved = status == RefundStatus.APPROVED
    checked = [is_approved and _is_checked(one.payment.merchant, one.fen) for one in owed]
    ids, fens = sql.ints(one.payment.pk for one in owed), sql.ints(one.fen for one in owed)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OUT, [ids, fens])
        if cursor.rowcount != len(owed):
            raise MoreThanReceived(payments=sorted(one.payment.number for one in owed))
        asked = sql.texts(actor if one else "" for one in checked)
        stands = sql.texts(RefundStatus.OWED if one else status for one in checked)
        cursor.execute(_STORE, [reason, at, sql.texts(numbered), ids, fens, stands, asked])
        made = cursor.fetchall()
    ledger.post(
        [
            Draft(
                kind="OWE_BACK",
                reference=number,
                debits={f"held:{one.payment.merchant}": one.fen},
                credits={f"refund_payable:{one.payment.method}": one.fen},
            )
            for number, one in zip(numbered, owed, strict=True)
        ],
        at=at,
    )
    for event, is_checked in ((f"REFUND_{status}", False), ("REFUND_ASKED", True)):
        told = [one.payment for one, asks in zip(owed, checked, strict=True) if asks == is_checked]
        if told:
            record(told, event, at, actor)
    for pk, stands_as in made:
        if stands_as == RefundStatus.APPROVED:
            later("payments.cashier.tasks.send_refund", refund_id=pk)
    return [pk for pk, _ in made]


def uncover(rows: Sequence[Locked], at: datetime) -> list[Locked]:
    """Payments without what their merchant had answered for: that is nobody's to be given back.

    They are closed.  What left guarantee stays the merchant's debt.
    """
    found = {row.pk: row for row in rows}
    covered = [row for row in rows if 0 < row.covered_fen <= row.guaranteed_fen]
    drafts = []
    for row in covered:  # once in a blue moon
        fen = row.covered_fen
        found[row.pk] = row._replace(received_fen=row.received_fen - fen, covered_fen=0)
        Payment.objects.filter(pk=row.pk).update(
            received_fen=F("received_fen") - fen,
            covered_fen=0,
            status=Status.CLOSED,
            closed_at=at,
            confirmed_at=None,
        )
        event = PaymentEvent.objects.create(
            payment_id=row.pk, kind="UNCOVERED", at=at, facts={"fen": fen}
        )
        drafts.append(
            Draft(
                kind="UNCOVER",
                reference=str(event.pk),
                debits={f"held:{row.merchant}": fen},
                credits={f"receivable:{row.merchant}": fen},
            )
        )
    ledger.post(drafts, at=at)
    return list(found.values())


@joined
def refund_all(
    *, purpose: str, reference: str, reason: Reason, at: datetime, actor: str = ""
) -> list[Refund]:
    """Everything that was kept for a thing goes back to where it came from.

    At once, up to the limit; above it staff approve what `actor` has asked for.
    """
    paid = Payment.objects.filter(
        purpose=purpose, reference=reference, received_fen__gt=F("refunded_fen")
    )
    rows = uncover(paid.locked(), at)
    made = owe_back(
        owed=[Owed(row, row.guaranteed_fen) for row in rows if row.guaranteed_fen],
        reason=reason,
        status=RefundStatus.APPROVED,
        at=at,
        actor=actor,
    )
    return list(Refund.objects.filter(pk__in=made).select_related("payment").order_by("pk"))


def _is_checked(merchant: str, amount_fen: int) -> bool:
    """Whether giving back so much takes two people."""
    return amount_fen > check_above_fen(merchant)


@joined
def approve(*, refund: Refund, actor: str, at: datetime) -> Refund:
    """A person says that what is owed goes back now (again, if the channel had refused).

    Above the limit the first person only asks for it: it stays as it is, with `asked_by`, until
    another person approves.  Raises SecondPersonNeeded, StaleState.
    """
    found = Refund.objects.filter(pk=refund.pk)
    waiting = found.filter(status__in=sources(RefundStatus.APPROVED, REFUND_TRANSITIONS))
    if not _is_checked(refund.payment.merchant, refund.amount_fen):
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
                reference=refund.out_no,
                debits={f"refund_payable:{payment.method}": refund.amount_fen},
                credits={sent.account: refund.amount_fen},
            )
        ],
        at=at,
    )


@transaction.atomic
def _fail(refund: Refund, why: str, at: datetime) -> None:
    move(
        Refund.objects.filter(pk=refund.pk, status=RefundStatus.SENDING),  # not what is done
        RefundStatus.FAILED,
        REFUND_TRANSITIONS,
        failure=why[:200],
        asked_by="",  # trying again is another decision, above the limit of two people
    )
    record([refund.payment], "REFUND_FAILED", at)


@joined
def bounced(*, refund: Refund, source: str, reference: str, actor: str, at: datetime) -> None:
    """Money that the channel had paid is here again, in `source`: it is owed as before.

    `reference` names the arrival.  StaleState unless the refund is done.
    """
    move(
        Refund.objects.filter(pk=refund.pk, status=RefundStatus.DONE),
        RefundStatus.FAILED,
        REFUND_TRANSITIONS,
        failure="收款银行退汇，款项已退回本店账户",
        asked_by="",
        done_at=None,
        bounces=F("bounces") + 1,
    )
    PaymentEvent.objects.create(
        payment_id=refund.payment_id,
        kind="REFUND_BOUNCED",
        actor=actor,
        at=at,
        facts={"refund": refund.number, "serial": refund.channel_txn, "line": reference},
    )
    ledger.post(
        [
            Draft(
                kind="REFUND_BOUNCED",
                reference=reference,
                debits={source: refund.amount_fen},
                credits={f"refund_payable:{refund.payment.method}": refund.amount_fen},
            )
        ],
        at=at,
    )
