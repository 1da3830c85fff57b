from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from config.kit import numbers, sql
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from payments.cashier import refunds
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.payables import method as method_named
from payments.cashier.payables import payable
from payments.cashier.rules import Arrival, Reason, RefundStatus, Share, Status, Till, share_out
from payments.ledger import services as ledger
from payments.ledger.rules import Draft


class MethodNotOffered(Refusal):
    status = 400
    message = "暂不支持该支付方式"


class TooLateToUndo(Refusal):
    message = "已退款或已发货，不能撤销"


@joined
def open_payment(
    *, payer_id: int, purpose: str, reference: str, method: str, at: datetime
) -> Payment:
    """Start collecting; an open one for the same thing and method is answered again.

    The amount comes from the thing being paid, never from the client.
    """
    if method not in settings.PAYMENT_METHODS:
        raise MethodNotOffered(method=method)
    due = payable(purpose).due(reference=reference, payer_id=payer_id, method=method, at=at)
    waiting = Payment.objects.filter(
        purpose=purpose, reference=reference, method=method, status=Status.WAITING
    )
    # Looked for before the INSERT: that one would wait for whoever is confirming it, who waits
    # for the order that `due` has locked.
    if earlier := waiting.filter(payer_id=payer_id).first():
        return earlier
    payment = Payment(
        number=numbers.fresh("P"),
        payer_id=payer_id,
        merchant=due.merchant,
        purpose=purpose,
        reference=reference,
        method=method,
        amount_fen=due.amount_fen,
        opened_at=at,
        pay_before=due.pay_before,
    )
    # A second click loses on payment_one_open_per_method and finds the first.
    created = Payment.objects.bulk_create([payment], ignore_conflicts=True)[0]
    found = waiting.get(payer_id=payer_id)
    if found.number == created.number:
        method_named(method).opened(found, at=at)
    return found


_LOCK = "SELECT * FROM payments_payment WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE"
_KNOWN = """
SELECT method, channel_txn FROM payments_receipt
WHERE method = ANY(%s::text[]) AND channel_txn = ANY(%s::text[]) AND undone_at IS NULL
"""
_STORE_RECEIPTS = """
INSERT INTO payments_receipt
    (payment_id, method, channel_txn, source, amount_fen, kept_fen, owed_fen, received_at)
SELECT d.*, %s FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[],
                           %s::bigint[], %s::bigint[]) AS d
"""
_STORE_TILLS = """
UPDATE payments_payment p SET received_fen = d.received_fen,
    status = CASE WHEN p.status = 'WAITING' AND d.received_fen = p.amount_fen
             THEN 'CONFIRMED' ELSE p.status END,
    confirmed_at = CASE WHEN p.status = 'WAITING' AND d.received_fen = p.amount_fen
                   THEN %s ELSE p.confirmed_at END
FROM unnest(%s::bigint[], %s::bigint[]) AS d (id, received_fen) WHERE p.id = d.id
"""


@transaction.atomic
def confirm(*, arrivals: Sequence[Arrival], at: datetime) -> dict[str, Share]:
    """Money is here, for one payment or ten thousand: a constant number of statements per call.

    Payments, what they pay for and the ledger change together or not at all.  Money is never
    refused: what is late, too much or twice is owed back.  Answers the shares by channel_txn;
    an arrival that is known already is left out.
    """
    payments = _locked({arrival.payment_id for arrival in arrivals})
    fresh = _unknown(arrivals, payments)
    tills = {
        pk: Till(row.amount_fen, row.received_fen, Status(row.status))
        for pk, row in payments.items()
    }
    shares = share_out(tills, fresh)
    full = [
        row
        for pk, row in payments.items()
        if row.status == Status.WAITING and tills[pk].shares and tills[pk].is_full
    ]
    _store(payments, tills, shares, at)
    refunds.record(full, "CONFIRMED", at)
    refused = _tell_payables(full, at)
    _post_receipts(payments, shares, at)
    _owe(payments, shares, at)
    for row in refused:
        refunds.owe_back(payment=row, amount_fen=row.amount_fen, reason=Reason.TWICE, at=at)
    return {share.arrival.channel_txn: share for share in shares}


def _locked(ids: set[int]) -> dict[int, Payment]:
    return {row.pk: row for row in Payment.objects.raw(_LOCK, [sql.ints(ids)])}


def _unknown(arrivals: Sequence[Arrival], payments: dict[int, Payment]) -> list[Arrival]:
    methods = {row.method for row in payments.values()}
    with connection.cursor() as cursor:
        txns = sql.texts(arrival.channel_txn for arrival in arrivals)
        cursor.execute(_KNOWN, [sql.texts(methods), txns])
        known = set(cursor.fetchall())
    return [
        arrival
        for arrival in arrivals
        if (payments[arrival.payment_id].method, arrival.channel_txn) not in known
    ]


def _store(
    payments: dict[int, Payment], tills: dict[int, Till], shares: list[Share], at: datetime
) -> None:
    columns = [
        sql.ints(share.arrival.payment_id for share in shares),
        sql.texts(payments[share.arrival.payment_id].method for share in shares),
        sql.texts(share.arrival.channel_txn for share in shares),
        sql.texts(share.arrival.source for share in shares),
        sql.ints(share.arrival.fen for share in shares),
        sql.ints(share.kept_fen for share in shares),
        sql.ints(share.owed_fen for share in shares),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE_RECEIPTS, [at, *columns])
        cursor.execute(
            _STORE_TILLS,
            [at, sql.ints(tills), sql.ints(till.received_fen for till in tills.values())],
        )


def _tell_payables(full: list[Payment], at: datetime) -> list[Payment]:
    refused: list[Payment] = []
    for purpose in sorted({row.purpose for row in full}):
        of_purpose = {row.reference: row for row in full if row.purpose == purpose}
        answer = payable(purpose).paid(references=sorted(of_purpose), at=at)
        # Two payments for one thing in one batch: the thing was paid by one of them.
        twice = [
            row for row in full if row.purpose == purpose and of_purpose[row.reference] is not row
        ]
        refused += [of_purpose[reference] for reference in sorted(answer)] + twice
    return refused


def _post_receipts(payments: dict[int, Payment], shares: list[Share], at: datetime) -> None:
    drafts = []
    for share in shares:
        payment = payments[share.arrival.payment_id]
        credited = {
            f"held:{payment.merchant}": share.kept_fen,
            f"refund_payable:{payment.method}": share.owed_fen,
        }
        drafts.append(
            Draft(
                kind="RECEIPT",
                reference=f"{payment.method}:{share.arrival.channel_txn}",
                debits={share.arrival.source: share.arrival.fen},
                credits={code: fen for code, fen in credited.items() if fen},
            )
        )
    ledger.post(drafts, at=at)


def _owe(payments: dict[int, Payment], shares: list[Share], at: datetime) -> None:
    """What was not kept waits for a person or the buyer to say where it goes."""
    owed = {share.arrival.channel_txn: share for share in shares if share.owed_fen}
    if not owed:
        return
    receipts = Receipt.objects.filter(
        payment__in=payments, channel_txn__in=owed, undone_at=None, owed_fen__gt=0
    )
    Refund.objects.bulk_create(
        Refund(
            number=numbers.fresh("R"),
            payment_id=receipt.payment_id,
            receipt=receipt,
            amount_fen=receipt.owed_fen,
            reason=owed[receipt.channel_txn].reason,
            status=RefundStatus.OWED,
            owed_at=at,
        )
        for receipt in receipts
    )
    refunds.record((payments[share.arrival.payment_id] for share in owed.values()), "OWED_BACK", at)


@joined
def hold(*, purpose: str, references: Sequence[str]) -> None:
    """Lock the payments of these things until the transaction ends.

    For those who then change the things themselves: payments are always locked before them.
    """
    rows = Payment.objects.filter(purpose=purpose, reference__in=references)
    list(rows.select_for_update().order_by("pk").values_list("pk"))


@joined
def close(*, purpose: str, references: Sequence[str], at: datetime) -> None:
    """Nobody need pay these any more; what came in part is owed back.

    Callers close payments before they touch what is paid for: payments are locked first.
    """
    waiting = Payment.objects.filter(
        purpose=purpose, reference__in=references, status=Status.WAITING
    )
    closing = list(waiting.select_for_update().order_by("pk"))
    if not closing:
        return
    Payment.objects.filter(pk__in=[row.pk for row in closing]).update(status=Status.CLOSED)
    refunds.record(closing, "CLOSED", at)
    for row in closing:
        if row.received_fen:
            refunds.owe_back(
                payment=row, amount_fen=row.received_fen, reason=Reason.UNFINISHED, at=at
            )


@joined
def return_owed(*, refund: Refund, actor: str, at: datetime) -> None:
    """The payer chooses that what is owed goes back to the account it came from.

    Only once: what is under way, done or has failed is no longer his to choose (StaleState).
    """
    if refund.status != RefundStatus.OWED:
        raise StaleState
    refunds.approve(refund=refund, actor=actor, at=at)


@transaction.atomic
def take_back(*, channel_txns: Sequence[str], method: str, actor: str, at: datetime) -> None:
    """Undo arrivals that were credited to the wrong payment, by compensating entries.

    The money goes back to where it waited before.  TooLateToUndo once any of it was refunded;
    the payable refuses when the goods are gone.
    """
    receipts = list(
        Receipt.objects.filter(method=method, channel_txn__in=channel_txns, undone_at=None)
    )
    if len(receipts) != len(channel_txns):
        raise StaleState
    payments = _locked({receipt.payment_id for receipt in receipts})
    kept: dict[int, int] = {}
    for receipt in receipts:
        kept[receipt.payment_id] = kept.get(receipt.payment_id, 0) + receipt.kept_fen
    if any(row.refunded_fen for row in payments.values()) or any(
        receipt.owed_fen for receipt in receipts
    ):
        raise TooLateToUndo
    taken = Receipt.objects.filter(pk__in=[receipt.pk for receipt in receipts], undone_at=None)
    if taken.update(undone_at=at) != len(receipts):
        raise StaleState
    for pk, fen in kept.items():
        Payment.objects.filter(pk=pk).update(
            received_fen=F("received_fen") - fen, status=Status.WAITING, confirmed_at=None
        )
    refunds.record(payments.values(), "UNDONE", at, actor)
    confirmed = [row for row in payments.values() if row.status == Status.CONFIRMED]
    for purpose in sorted({row.purpose for row in confirmed}):
        references = sorted(row.reference for row in confirmed if row.purpose == purpose)
        payable(purpose).unpaid(references=references, at=at)
    ledger.post([_reversed(receipt, payments[receipt.payment_id]) for receipt in receipts], at=at)


def _reversed(receipt: Receipt, payment: Payment) -> Draft:
    return Draft(
        kind="RECEIPT_UNDONE",
        reference=str(receipt.pk),
        debits={f"held:{payment.merchant}": receipt.kept_fen},
        credits={receipt.source: receipt.kept_fen},
    )
