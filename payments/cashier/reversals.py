"""Receipts are undone: by the bank (冲正), whatever has become of the money, or by a person."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.jobs import later
from payments.cashier import refunds
from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund, RefundPart
from payments.cashier.payables import payable
from payments.cashier.rules import (
    Claim,
    Locked,
    PartStatus,
    RefundStatus,
    Status,
    Unwound,
    unwind,
)
from payments.ledger import services as ledger
from payments.ledger.rules import Draft


class TooLateToUndo(Refusal):
    message = "已退款或已发货，不能撤销"


@transaction.atomic
def reverse(*, channel_txns: Sequence[str], method: str, actor: str, at: datetime) -> None:
    """Undo these arrivals by compensating entries; the money is back where it waited before.

    What is in guarantee or still owed back is taken from there; what has gone, to the merchant or
    back to the buyer, becomes the merchant's debt (`receivable:`).  What was paid is frozen.
    Reversals come singly: a receipt a time.  One that is undone already is left out.
    """
    mine = Receipt.objects.filter(method=method, channel_txn__in=channel_txns, undone_at=None)
    ids = set(mine.values_list("payment_id", flat=True))
    payments = {row.pk: row for row in Payment.objects.filter(pk__in=ids).locked()}
    receipts = list(mine.order_by("pk"))  # again: now they stay as they are
    claims = _claims(Refund.objects.filter(payment__in=ids), ids)
    sent = _sent(receipts)
    released = _freeze(payments, receipts, claims, sent, at)
    for receipt in receipts:
        row = payments[receipt.payment_id]
        found = unwind(
            receipt.kept_fen,
            receipt.owed_fen,
            receipt.pk,
            max(0, row.guaranteed_fen - released.get((row.purpose, row.reference), 0)),
            claims[row.pk],
            sent_fen=sent.get(receipt.pk, 0),
        )
        payments[row.pk] = _apply(row, found, at)
        claims[row.pk] = [claim for claim in claims[row.pk] if claim not in found.voided]
        claims[row.pk] += _owe_rest(row, found, at)
        Receipt.objects.filter(pk=receipt.pk).update(undone_at=at)
        ledger.post([_draft("RECEIPT_REVERSED", receipt, row, found)], at=at)
    refunds.record(payments.values(), "REVERSED", at, actor)


@transaction.atomic
def take_back(*, channel_txns: Sequence[str], method: str, actor: str, at: datetime) -> None:
    """Undo arrivals that were credited to the wrong payment, by compensating entries.

    The money goes back to where it waited before, with what is owed back of it and nobody has
    approved.  TooLateToUndo once anybody has; the payable refuses when the goods are gone.
    """
    mine = Receipt.objects.filter(method=method, channel_txn__in=channel_txns, undone_at=None)
    ids = set(mine.values_list("payment_id", flat=True))
    payments = {row.pk: row for row in Payment.objects.filter(pk__in=ids).locked()}
    receipts = list(mine.order_by("pk"))
    if len(receipts) != len(channel_txns):
        raise StaleState
    claims = _undecided(payments)
    unpaid = _unpaid_without(receipts, payments)
    drafts = []
    for receipt in receipts:
        row = payments[receipt.payment_id]
        found = unwind(
            receipt.kept_fen, receipt.owed_fen, receipt.pk, row.guaranteed_fen, claims[row.pk]
        )
        if found.is_short:
            raise TooLateToUndo
        payments[row.pk] = _apply(row, found, at)
        claims[row.pk] = [claim for claim in claims[row.pk] if claim not in found.voided]
        claims[row.pk] += _owe_rest(row, found, at)
        drafts.append(_draft("RECEIPT_UNDONE", receipt, row, found))
    if mine.update(undone_at=at) != len(receipts):
        raise StaleState
    refunds.record(payments.values(), "UNDONE", at, actor)
    for purpose in sorted(unpaid):
        payable(purpose).unpaid(references=unpaid[purpose], at=at)
    ledger.post(drafts, at=at)


def _undecided(payments: Mapping[int, Locked]) -> dict[int, list[Claim]]:
    """What is owed back and nobody has approved; TooLateToUndo where that is not all."""
    # Of what was kept before it was owed (an order expired, a second payment for one thing), a
    # first person may have asked for it already where two are needed.
    undecided = Q(status=RefundStatus.OWED) & (Q(receipt__isnull=False) | Q(asked_by=""))
    ids = set(payments)
    claims = _claims(Refund.objects.filter(undecided, payment__in=ids), ids)
    for pk, row in payments.items():
        owed = sum(claim.fen for claim in claims[pk] if claim.receipt_id is None)
        if row.covered_fen or row.refunded_fen != owed:
            raise TooLateToUndo
    return claims


def _unpaid_without(
    receipts: Sequence[Receipt], payments: Mapping[int, Locked]
) -> dict[str, dict[str, bool]]:
    """By purpose and reference what these receipts pay for: whether all its money was here.

    Also where it is not whole any more: the goods may be gone all the same.  Not those of a payment
    whose money is all owed back: another one pays for that.
    """
    found: dict[str, dict[str, bool]] = {}
    for receipt in receipts:
        row = payments[receipt.payment_id]
        if row.status != Status.CLOSED and receipt.kept_fen and row.guaranteed_fen:
            was_paid = row.status == Status.CONFIRMED
            found.setdefault(row.purpose, {})[row.reference] = was_paid
    return found


def _claims(owed: QuerySet[Refund], payment_ids: set[int]) -> dict[int, list[Claim]]:
    rows = owed.exclude(status=RefundStatus.VOID)
    found: dict[int, list[Claim]] = {pk: [] for pk in payment_ids}
    for row in rows.select_for_update(of=("self",)).order_by("pk"):
        claim = Claim(
            row.pk,
            row.number,
            row.payment_id,
            row.receipt_id,
            row.amount_fen,
            row.reason,
            row.status,
            row.way,
        )
        found[row.payment_id].append(claim)
    return found


def _sent(receipts: Sequence[Receipt]) -> dict[int, int]:
    """How much of what was kept has left, or may have, by receipt; none of it is voidable."""
    parts = RefundPart.objects.filter(receipt__in=receipts, refund__receipt=None)
    gone = parts.exclude(status=PartStatus.VOID)
    return dict(gone.values_list("receipt").annotate(fen=Sum("amount_fen")))


def _freeze(
    payments: dict[int, Locked],
    receipts: Sequence[Receipt],
    claims: dict[int, list[Claim]],
    sent: dict[int, int],
    at: datetime,
) -> dict[tuple[str, str], int]:
    """Tell what was paid that it is not any more, or that a loss came of it; fen released of it.

    A payment that had not been full, and whose money is all here, concerns nobody; one that was
    full, and lost money before, may have been released in part.
    """
    lost: dict[str, dict[str, bool]] = {}
    undone = Receipt.objects.filter(payment__in=payments, undone_at__isnull=False)
    stand_still = set(undone.values_list("payment_id", flat=True))
    for receipt in receipts:
        row = payments[receipt.payment_id]
        trial = unwind(
            receipt.kept_fen,
            receipt.owed_fen,
            receipt.pk,
            row.guaranteed_fen,
            claims[row.pk],
            sent_fen=sent.get(receipt.pk, 0),
        )
        is_paid = row.status == Status.CONFIRMED
        is_unpaid = trial.held_fen > 0 and (is_paid or row.pk in stand_still)
        if is_unpaid or trial.is_short:
            of_purpose = lost.setdefault(row.purpose, {})
            of_purpose[row.reference] = is_unpaid or of_purpose.get(row.reference, False)
    return {
        (purpose, reference): fen
        for purpose in sorted(lost)
        for reference, fen in payable(purpose).reversed(references=lost[purpose], at=at).items()
    }


def _apply(row: Locked, found: Unwound, at: datetime) -> Locked:
    """The payment without that money; closed where nothing is to be paid for it any more."""
    after = row._replace(
        received_fen=row.received_fen - found.held_fen - found.owed_fen,
        refunded_fen=row.refunded_fen - found.owed_fen,
        covered_fen=row.covered_fen + found.gone_fen,
    )
    changes: dict[str, object] = {}
    if row.status == Status.CONFIRMED and after.received_fen < row.amount_fen:
        after = after._replace(status=Status.WAITING if found.held_fen else Status.CLOSED)
        changes = {"status": after.status, "confirmed_at": None}
        if after.status == Status.CLOSED:
            changes["closed_at"] = at
    Payment.objects.filter(pk=row.pk).update(
        received_fen=after.received_fen,
        refunded_fen=after.refunded_fen,
        covered_fen=after.covered_fen,
        **changes,
    )
    return after


def _owe_rest(row: Locked, found: Unwound, at: datetime) -> list[Claim]:
    """What remains of a claim is owed under a new number: the old one may be on its way."""
    Refund.objects.filter(pk__in=[claim.pk for claim in found.voided]).update(
        status=RefundStatus.VOID
    )
    made = []
    for claim, fen in found.rest:
        refund = Refund.objects.create(
            number=numbers.fresh("R"),
            payment_id=row.pk,
            amount_fen=fen,
            reason=claim.reason,
            status=claim.status,
            way=claim.way,
            owed_at=at,
        )
        if refund.status == RefundStatus.APPROVED:
            later("payments.cashier.tasks.send_refund", refund_id=refund.pk)
        made.append(claim._replace(pk=refund.pk, number=refund.number, fen=fen))
    return made


def _draft(kind: str, receipt: Receipt, row: Locked, found: Unwound) -> Draft:
    debited = {
        f"held:{row.merchant}": found.held_fen,
        f"refund_payable:{row.method}": found.owed_fen + receipt.owed_fen - found.gone_of_owed_fen,
        f"receivable:{row.merchant}": found.gone_fen + found.gone_of_owed_fen,
    }
    return Draft(
        kind=kind,
        reference=str(receipt.pk),
        debits={code: fen for code, fen in debited.items() if fen},
        credits={receipt.source: receipt.amount_fen},
    )


@joined
def cover(*, purpose: str, reference: str, actor: str, at: datetime) -> None:
    """The merchant answers for what the bank took back: the thing counts as paid.

    Nothing happens where nothing is missing.
    """
    waiting = Payment.objects.filter(purpose=purpose, reference=reference, status=Status.WAITING)
    ids = set(waiting.filter(receipts__undone_at__isnull=False).values_list("pk", flat=True))
    for row in Payment.objects.filter(pk__in=ids).locked()[:1]:
        fen = row.amount_fen - row.received_fen
        Payment.objects.filter(pk=row.pk).update(
            received_fen=row.amount_fen,
            covered_fen=F("covered_fen") + fen,
            status=Status.CONFIRMED,
            confirmed_at=at,
        )
        event = PaymentEvent.objects.create(
            payment_id=row.pk, kind="COVERED", actor=actor, at=at, facts={"fen": fen}
        )
        ledger.post(
            [
                Draft(
                    kind="COVER",
                    reference=str(event.pk),
                    debits={f"receivable:{row.merchant}": fen},
                    credits={f"held:{row.merchant}": fen},
                )
            ],
            at=at,
        )
