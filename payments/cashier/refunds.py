"""Money that goes back: owed, approved, sent, done."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from django.db import connection, transaction
from django.db.models import F, Q, Sum, Value
from django.db.models.functions import Coalesce

from config.kit import numbers, sql
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.jobs import later
from config.kit.outside import assert_no_transaction
from config.kit.states import move, sources
from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund, RefundPart
from payments.cashier.payables import check_above_fen, method, payable
from payments.cashier.rules import (
    REFUND_TRANSITIONS,
    WALLET,
    Locked,
    Owed,
    PartStatus,
    Reason,
    RefundStatus,
    Status,
    divide,
    ways_back,
)
from payments.ledger import services as ledger
from payments.ledger.rules import Draft

logger = logging.getLogger(__name__)
NOT_THERE = "到账记录不足以退款，请人工核对"


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
    (number, payment_id, amount_fen, reason, status, owed_at, failure, asked_by, way)
SELECT d.number, d.payment_id, d.fen, %s, d.status, %s, '', d.asked_by, d.way
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
    AS d (number, payment_id, fen, status, asked_by, way)
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
    the limit; above it `actor` has only asked for it (`approve`).  To a wallet there is no limit:
    it does not leave the house.  Answers the refunds' ids.
    """
    if not owed:
        return []
    numbered = numbers.fresh_many("R", len(owed))
    is_approved = status == RefundStatus.APPROVED
    checked = [
        is_approved and one.way != WALLET and _is_checked(one.payment.merchant, one.fen)
        for one in owed
    ]
    ids, fens = sql.ints(one.payment.pk for one in owed), sql.ints(one.fen for one in owed)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OUT, [ids, fens])
        if cursor.rowcount != len(owed):
            raise MoreThanReceived(payments=sorted(one.payment.number for one in owed))
        asked = sql.texts(actor if one else "" for one in checked)
        stands = sql.texts(RefundStatus.OWED if one else status for one in checked)
        ways = sql.texts(one.way for one in owed)
        cursor.execute(_STORE, [reason, at, sql.texts(numbered), ids, fens, stands, asked, ways])
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


@joined
def owe_all(*, rows: Sequence[Locked], reason: Reason, at: datetime) -> None:
    """All that was kept for payments: it waits for a decision; what wallets paid goes back now."""
    outside, wallets = ways_back(rows)
    owe_back(owed=outside, reason=reason, at=at)
    owe_back(owed=wallets, reason=reason, at=at, status=RefundStatus.APPROVED)


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


def leave_fees(rows: Sequence[Locked], at: datetime) -> list[Locked]:
    """Payments without what banks had kept on the way (T8): that never came, and cannot go back.

    They are closed; the shop has no expense any more, for nothing is sold.
    """
    found = {row.pk: row for row in rows}
    ids = [row.pk for row in rows if row.guaranteed_fen]
    fees = Receipt.objects.filter(payment__in=ids, undone_at=None, source__startswith="fee:")
    drafts = []
    for fee in fees.order_by("pk"):  # seldom more than one a payment
        row, fen = found[fee.payment_id], fee.kept_fen
        found[row.pk] = row._replace(received_fen=row.received_fen - fen)
        Payment.objects.filter(pk=row.pk).update(
            received_fen=F("received_fen") - fen,
            status=Status.CLOSED,
            closed_at=at,
            confirmed_at=None,
        )
        Receipt.objects.filter(pk=fee.pk).update(undone_at=at)
        drafts.append(
            Draft(
                kind="RECEIPT_UNDONE",
                reference=str(fee.pk),
                debits={f"held:{row.merchant}": fen},
                credits={fee.source: fen},
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
    rows = leave_fees(uncover(paid.locked(), at), at)
    made = [
        pk
        for owed in ways_back(rows)
        for pk in owe_back(
            owed=owed, reason=reason, status=RefundStatus.APPROVED, at=at, actor=actor
        )
    ]
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


def look_again(*, of_method: str, number: str) -> bool:
    """The channel has news of a request: it is asked soon, as by the sweep.  False: not ours."""
    part = RefundPart.objects.filter(number=number, receipt__method=of_method).first()
    if part is None:
        return False
    later("payments.cashier.tasks.send_refund", refund_id=part.refund_id)
    return True


# --- on its way -----------------------------------------------------------------------------------


@transaction.atomic
def take_turns(*, before: datetime, at: datetime, limit: int = 50) -> list[int]:
    """Refunds to send: approved, or sent before a time and without an answer.

    Who has waited longest for it comes first, and goes to the end: however many never get an
    answer, all others get their turn.  Two sweeps at once take different ones.
    """
    due = Q(status=RefundStatus.APPROVED) | Q(status=RefundStatus.SENDING, sent_at__lt=before)
    waiting = Refund.objects.filter(due, hand_txn="").order_by(
        Coalesce("chased_at", "owed_at"), "pk"
    )
    free = waiting.select_for_update(skip_locked=True, no_key=True)
    ids = list(free.values_list("pk", flat=True)[:limit])
    Refund.objects.filter(pk__in=ids).update(chased_at=at)
    return ids


def send(*, refund: Refund, at: datetime) -> None:
    """Hand one refund to its channel.  Not atomic on purpose: the network lies in between.

    A part's number is the channel's idempotency key, so repeating is safe; an answer that never
    came leaves the refund SENDING and the sweep asks again.  StaleState: another was first.
    """
    assert_no_transaction()
    for pk in _begin(refund, at):
        _send(pk, at)
    conclude(refund, at)


@transaction.atomic
def _begin(refund: Refund, at: datetime) -> list[int]:
    """Write down what is given back of which arrival; the ids of the parts to be asked for.

    Under the payment's lock: a reversal finds either a refund that has not left, or its parts.
    """
    Payment.objects.filter(pk=refund.payment_id).locked()
    found = Refund.objects.filter(pk=refund.pk)
    if refund.status == RefundStatus.APPROVED:
        move(found, RefundStatus.SENDING, REFUND_TRANSITIONS, sent_at=at)
    elif not found.filter(status=RefundStatus.SENDING, hand_txn="").exists():
        raise StaleState
    if not refund.parts.exclude(status=PartStatus.VOID).exists():
        share_out(refund, at)
    sending = refund.parts.filter(status=PartStatus.SENDING)
    return list(sending.order_by("pk").values_list("pk", flat=True))


def share_out(refund: Refund, at: datetime) -> None:
    """Its parts: what is given back of which arrival; none where these do not cover it."""
    receipts = Receipt.objects.filter(payment=refund.payment_id, undone_at=None)
    if refund.way:
        receipts = receipts.filter(method=refund.way)
    if refund.receipt_id:
        there = list(receipts.filter(pk=refund.receipt_id).values_list("pk", "owed_fen"))
    else:
        made = RefundPart.objects.filter(refund__payment=refund.payment_id, refund__receipt=None)
        spent = dict(
            made.exclude(status=PartStatus.VOID)
            .values_list("receipt")
            .annotate(fen=Sum("amount_fen"))
        )
        there = [
            (pk, fen - spent.get(pk, 0))
            for pk, fen in receipts.order_by("pk").values_list("pk", "kept_fen")
        ]
    shares = divide(refund.amount_fen, there) or []
    tried = refund.parts.count()  # a number that was refused is not used again
    RefundPart.objects.bulk_create(
        RefundPart(
            refund=refund,
            receipt_id=pk,
            number=refund.number if (tried, len(shares)) == (0, 1) else f"{refund.number}-{n}",
            amount_fen=fen,
            sent_at=at,
        )
        for n, (pk, fen) in enumerate(shares, tried + 1)
    )


def _send(part_id: int, at: datetime) -> None:
    part = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=part_id)
    try:
        txn = method(part.receipt.method).send_back(part)
    except Refusal as refusal:
        if refusal.status >= 500:
            logger.warning("refund %s: %s", part.number, refusal)
            return
        waiting = RefundPart.objects.filter(pk=part.pk, status=PartStatus.SENDING)
        waiting.update(status=PartStatus.REFUSED, failure=str(refusal)[:200])
        return
    if txn is not None:
        _leave(part, txn, at)


@transaction.atomic
def _leave(part: RefundPart, txn: str, at: datetime) -> None:
    payment = part.refund.payment
    account = method(part.receipt.method).left_from(part, txn)
    Payment.objects.filter(pk=payment.pk).locked()
    waiting = RefundPart.objects.filter(pk=part.pk, status=PartStatus.SENDING)
    if waiting.update(status=PartStatus.DONE, channel_txn=txn, done_at=at) != 1:
        if RefundPart.objects.filter(pk=part.pk, channel_txn=txn).exists():
            return  # another worker heard it, too
        raise RuntimeError(f"{part.number} left as {txn} after it was given up")
    ledger.post([paid(part, account)], at=at)


def paid(part: RefundPart, account: str) -> Draft:
    """That a part has left this account of the ledger."""
    return Draft(
        kind="REFUND_PAID",
        reference=part.number,
        debits={f"refund_payable:{part.refund.payment.method}": part.amount_fen},
        credits={account: part.amount_fen},
    )


@transaction.atomic
def conclude(refund: Refund, at: datetime) -> None:
    """Every part was answered: done; or what has left is, and what has not left has failed.

    What has not left and was taken back by the bank meanwhile is owed to nobody.
    """
    Payment.objects.filter(pk=refund.payment_id).locked()
    parts = list(refund.parts.exclude(status=PartStatus.VOID).select_related("receipt"))
    is_open = any(part.status == PartStatus.SENDING for part in parts)
    if is_open or not Refund.objects.filter(pk=refund.pk, status=RefundStatus.SENDING).exists():
        return
    refused = [part for part in parts if part.status == PartStatus.REFUSED]
    refund.parts.filter(status=PartStatus.REFUSED).update(status=PartStatus.VOID)
    if lost_fen := sum(part.amount_fen for part in refused if part.receipt.undone_at):
        _write_off(refund, lost_fen, at)
    left = [part for part in parts if part.status == PartStatus.DONE]
    left_fen = sum(part.amount_fen for part in left)
    if left:
        done = {"channel_txn": left[0].channel_txn, "done_at": at, "amount_fen": left_fen}
        move(Refund.objects.filter(pk=refund.pk), RefundStatus.DONE, REFUND_TRANSITIONS, **done)
        record([refund.payment], "REFUND_DONE", at)
    if rest_fen := refund.amount_fen - left_fen - lost_fen:
        why = next((part.failure for part in refused if not part.receipt.undone_at), NOT_THERE)
        _fail(refund, rest_fen, why, at)
    elif left:
        payable(refund.payment.purpose).refunded(references=[refund.payment.reference], at=at)
    else:
        move(Refund.objects.filter(pk=refund.pk), RefundStatus.VOID, REFUND_TRANSITIONS)


def _fail(refund: Refund, fen: int, why: str, at: datetime) -> None:
    """So much has not left; where another part has, it is a refund of its own from now on.

    Trying again is another decision: above the limit, of two people.
    """
    found = Refund.objects.filter(pk=refund.pk)
    if found.filter(status=RefundStatus.DONE).exists():
        Refund.objects.create(
            number=numbers.fresh("R"),
            payment_id=refund.payment_id,
            amount_fen=fen,
            reason=refund.reason,
            way=refund.way,
            status=RefundStatus.FAILED,
            failure=why,
            owed_at=refund.owed_at,
            sent_at=refund.sent_at,
        )
    else:
        changes = {"failure": why, "amount_fen": fen, "asked_by": ""}
        move(found, RefundStatus.FAILED, REFUND_TRANSITIONS, **changes)
    record([refund.payment], "REFUND_FAILED", at)


@joined
def bounced(
    *, refund: Refund, sources: Mapping[str, int], reference: str, actor: str, at: datetime
) -> None:
    """Money that the channel had paid is here again: it is owed as before, all of it.

    `sources`: the accounts that have it, in fen, an expense for what banks kept among them;
    `reference` names the arrival.  StaleState unless the refund is done.
    """
    Payment.objects.filter(pk=refund.payment_id).locked()
    done = Refund.objects.filter(pk=refund.pk, status=RefundStatus.DONE)
    move(done, RefundStatus.SENDING, REFUND_TRANSITIONS, done_at=None)
    came_back = refund.parts.filter(status=PartStatus.DONE)
    came_back.update(status=PartStatus.REFUSED, failure="收款银行退汇，款项已退回本店账户")
    PaymentEvent.objects.create(
        payment_id=refund.payment_id,
        kind="REFUND_BOUNCED",
        actor=actor,
        at=at,
        facts={"refund": refund.number, "serial": refund.channel_txn, "line": reference},
    )
    draft = Draft(
        kind="REFUND_BOUNCED",
        reference=reference,
        debits=dict(sources),
        credits={f"refund_payable:{refund.payment.method}": refund.amount_fen},
    )
    ledger.post([draft], at=at)
    conclude(refund, at)  # what the bank has taken back meanwhile is owed to nobody


def _write_off(refund: Refund, fen: int, at: datetime) -> None:
    """Nobody has it twice: the reversal was booked as a loss while this might have left."""
    payment = refund.payment
    if refund.receipt_id is None:
        rows = Payment.objects.filter(pk=payment.pk)
        rows.update(
            received_fen=F("received_fen") - fen,
            refunded_fen=F("refunded_fen") - fen,
            covered_fen=F("covered_fen") - fen,
            status=Status.CLOSED,
            confirmed_at=None,
            closed_at=Coalesce("closed_at", Value(at)),
        )
    facts = {"fen": fen, "refund": refund.number}
    event = PaymentEvent.objects.create(
        payment_id=payment.pk, kind="REFUND_WRITTEN_OFF", at=at, facts=facts
    )
    draft = Draft(
        kind="REFUND_WRITTEN_OFF",
        reference=str(event.pk),
        debits={f"refund_payable:{payment.method}": fen},
        credits={f"receivable:{payment.merchant}": fen},
    )
    ledger.post([draft], at=at)
