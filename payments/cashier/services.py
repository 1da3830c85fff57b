from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from django.db import connection, transaction

from config.kit import numbers, sql
from config.kit.db import insert_once, joined
from config.kit.errors import StaleState
from payments.cashier import late, offers, parts, queries, refunds
from payments.cashier.models import Payment, Refund
from payments.cashier.payables import method as method_named
from payments.cashier.payables import payable
from payments.cashier.reversals import TooLateToUndo, cover, reverse, take_back
from payments.cashier.rules import (
    Arrival,
    Bundle,
    Locked,
    Reason,
    RefundStatus,
    Share,
    Status,
    Till,
    bundle,
    share_out,
    till_of,
)
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.offering.rules import Asker

__all__ = [
    "TooLateToUndo", "asks_channel", "close", "confirm", "cover", "hold", "locked", "open_payment",
    "prepare", "reverse", "shut", "take_back",
]  # fmt: skip


def asks_channel(method: str) -> bool:
    """Whether `prepare` must be called before the payer can pay."""
    return method_named(method).ASKS_CHANNEL


def prepare(*, payment: Payment, at: datetime) -> None:
    """Ask the channel for what the payer needs; see Method.prepare."""
    method_named(payment.method).prepare(payment, at=at)


def shut(*, purpose: str, reference: str, at: datetime) -> None:
    """No channel takes money for this thing any more; the network lies in between.

    Raises a Refusal where it may be paid at this moment: then it is not to be given up.
    """
    for payment in queries.open_of(purpose=purpose, reference=reference):
        method_named(payment.method).shut(payment, at=at)


ON_MINI_PROGRAM = Asker()
# Not by the ORM, which puts the same SQL together anew for each request.
_OPEN = """
SELECT * FROM payments_payment
WHERE purpose = %s AND reference = %s AND method = %s AND payer_id = %s AND status = 'WAITING'
"""


@joined
def open_payment(
    *,
    payer_id: int,
    purpose: str,
    reference: str,
    method: str,
    at: datetime,
    asker: Asker = ON_MINI_PROGRAM,
    wallet_fen: int = 0,
) -> Payment:
    """Start collecting; an open one for the same thing and method is answered again.

    The amount comes from the thing being paid, never from the client.  So much of it the payer's
    wallet pays at once; the method collects the rest.  Raises MethodNotOffered with the reason
    that is shown; what is open goes on, whatever the rules say since.
    """
    offers.require_known(method)
    offers.require_not_barred(method, asker)
    if wallet_fen:
        hold(purpose=purpose, references=[reference])
    due = payable(purpose).due(reference=reference, payer_id=payer_id, method=method, at=at)
    waiting = [purpose, reference, method, payer_id]
    # Looked for before the INSERT: that one would wait for whoever is confirming it, who waits
    # for the order that `due` has locked.
    for earlier in Payment.objects.raw(_OPEN, waiting):
        if wallet_fen and wallet_fen != earlier.wallet_fen:
            offers.require_part(due=due, fen=wallet_fen, payer_id=payer_id, asker=asker, at=at)
        if wallet_fen:
            parts.pay(payment=earlier, fen=wallet_fen, at=at)
        return earlier
    if wallet_fen:
        offers.require_part(due=due, fen=wallet_fen, payer_id=payer_id, asker=asker, at=at)
    offers.require(due=due, payer_id=payer_id, method=method, asker=asker, at=at)
    payment = Payment(
        number=numbers.fresh("P"),
        payer_id=payer_id,
        merchant=due.merchant,
        purpose=purpose,
        reference=reference,
        method=method,
        amount_fen=due.amount_fen,
        opened_at=at,
        pay_before=due.pay_before.astimezone(UTC),  # as it will be read
    )
    # A second click loses on payment_one_open_per_method and finds the first.
    if insert_once(payment):
        # The channel is asked for the rest, and the wallet is locked last.
        payment.received_fen = wallet_fen
        method_named(method).opened(payment, at=at)
    else:
        [payment] = Payment.objects.raw(_OPEN, waiting)
    if wallet_fen:
        parts.pay(payment=payment, fen=wallet_fen, at=at)
    return payment


_LOCK = """
SELECT id, number, method, merchant, purpose, reference, amount_fen, received_fen, refunded_fen,
       covered_fen, wallet_fen, status
FROM payments_payment WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""
_KNOWN = """
SELECT method, channel_txn FROM payments_receipt
WHERE method = ANY(%s::text[]) AND channel_txn = ANY(%s::text[]) AND undone_at IS NULL
"""
# Answers other payments for the same things that have a part of their money: it is not needed.
# These are found from the short list of such payments: a batch has thousands.
_KEEP = """
WITH kept AS (
    UPDATE payments_payment p SET received_fen = p.received_fen + d.fen,
        status = CASE WHEN d.is_filled THEN 'CONFIRMED' ELSE p.status END,
        confirmed_at = CASE WHEN d.is_filled THEN %s ELSE p.confirmed_at END,
        closed_at = CASE WHEN d.is_filled THEN NULL ELSE p.closed_at END
    FROM unnest(%s::bigint[], %s::bigint[], %s::bool[]) AS d (id, fen, is_filled)
    WHERE p.id = d.id
    RETURNING p.id, p.purpose, p.reference, d.is_filled
), event AS (
    INSERT INTO payments_paymentevent (payment_id, kind, actor, at, facts)
    SELECT id, 'CONFIRMED', '', %s, '{}' FROM kept WHERE is_filled
)
SELECT s.id FROM payments_partpaid part JOIN payments_payment s ON s.id = part.payment_id
JOIN kept k ON k.purpose = s.purpose AND k.reference = s.reference AND s.id <> k.id
WHERE k.is_filled AND s.status = 'WAITING'
"""
_STORE_RECEIPTS = """
INSERT INTO payments_receipt
    (payment_id, channel_txn, amount_fen, kept_fen, owed_fen, method, source, posting, received_at)
SELECT d.payment_id, d.channel_txn, d.kept_fen + d.owed_fen, d.kept_fen, d.owed_fen,
       b.method, b.source, b.posting, %s
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::int[])
  AS d (payment_id, channel_txn, kept_fen, owed_fen, place)
JOIN unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY
  AS b (method, source, posting, place) ON b.place = d.place + 1
"""
_OWE = """
INSERT INTO payments_refund
    (number, payment_id, receipt_id, amount_fen, reason, status, owed_at, failure, asked_by)
SELECT d.number, r.payment_id, r.id, r.owed_fen, d.reason, 'OWED', %s, '', ''
FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[])
  AS d (number, payment_id, channel_txn, reason)
JOIN payments_receipt r ON r.payment_id = d.payment_id AND r.channel_txn = d.channel_txn
WHERE r.undone_at IS NULL
"""


@transaction.atomic
def confirm(
    *, arrivals: Sequence[Arrival], at: datetime, reopens: Mapping[str, int] | None = None
) -> dict[str, Share]:
    """Money is here, for one payment or ten thousand: a constant number of statements per call.

    Payments, what they pay for and the ledger change together or not at all.  Money is never
    refused: what is late, too much or twice is owed back.  `reopens`: by merchant, for how many
    days after closing a thing may be opened again when all its money is here.  Answers the shares
    by channel_txn; an arrival that is known already is left out.
    """
    payments = locked(arrival.payment_id for arrival in arrivals)
    tills = {pk: till_of(row) for pk, row in payments.items()}
    shares = share_out(tills, _unknown(arrivals, payments))
    refused = _tell_payables([row for pk, row in payments.items() if tills[pk].is_filled], at)
    if reopens:
        shares = late.reopen(payments, tills, shares, reopens, at)
    needless = _keep(tills, at)
    _book(payments, shares, at)
    _owe(payments, [share for share in shares if share.owed_fen], at)
    if needless:
        close_paid_elsewhere(ids=needless, at=at)
    if refused:
        _owe_what_was_kept(refused, at)
    return {share.arrival.channel_txn: share for share in shares}


def locked(ids: Iterable[int]) -> dict[int, Locked]:
    """These payments as they stand, until the transaction ends; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sql.ints(set(ids))])
        return {row[0]: Locked._make(row) for row in cursor.fetchall()}


def _unknown(arrivals: Sequence[Arrival], payments: Mapping[int, Locked]) -> Sequence[Arrival]:
    methods = {row.method for row in payments.values()}
    with connection.cursor() as cursor:
        txns = sql.texts(arrival.channel_txn for arrival in arrivals)
        cursor.execute(_KNOWN, [sql.texts(methods), txns])
        known = set(cursor.fetchall())
    if not known:
        return arrivals
    return [
        arrival
        for arrival in arrivals
        if (payments[arrival.payment_id].method, arrival.channel_txn) not in known
    ]


def _tell_payables(filled: Sequence[Locked], at: datetime) -> list[Locked]:
    """Answers the payments whose thing took no money: closed, or paid by another payment."""
    refused: list[Locked] = []
    for purpose in sorted({row.purpose for row in filled}):
        mine = [row for row in filled if row.purpose == purpose]
        of_purpose = {row.reference: row for row in mine}
        answer = payable(purpose).paid(references=sorted(of_purpose), at=at)
        refused += [of_purpose[reference] for reference in sorted(answer)]
        if len(mine) > len(of_purpose):  # two payments for one thing in one batch: one pays it
            refused += [row for row in mine if of_purpose[row.reference] is not row]
    return refused


def _keep(tills: Mapping[int, Till], at: datetime) -> list[int]:
    """Answers what is collected in part for things that are paid now."""
    kept = [(pk, till.kept_fen, till.is_filled) for pk, till in tills.items() if till.kept_fen]
    if not kept:
        return []
    ids, fens, filled = zip(*kept, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [at, sql.ints(ids), sql.ints(fens), sql.bools(filled), at])
        return [pk for (pk,) in cursor.fetchall()]


def _book(payments: Mapping[int, Locked], shares: Sequence[Share], at: datetime) -> None:
    """The receipts, and one posting for all that move money between the same accounts."""
    bundles, places = bundle(shares, payments)
    columns = [
        sql.ints(share.arrival.payment_id for share in shares),
        sql.texts(share.arrival.channel_txn for share in shares),
        sql.ints(share.kept_fen for share in shares),
        sql.ints(share.owed_fen for share in shares),
        sql.ints(places),
        sql.texts(one.method for one in bundles),
        sql.texts(one.source for one in bundles),
        sql.texts(one.reference for one in bundles),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE_RECEIPTS, [at, *columns])
    ledger.post([_receipt_posting(one) for one in bundles], at=at)


def _receipt_posting(one: Bundle) -> Draft:
    credited = {
        f"held:{one.merchant}": one.kept_fen,
        f"refund_payable:{one.method}": one.owed_fen,
    }
    return Draft(
        kind="RECEIPT",
        reference=one.reference,
        debits={one.source: one.kept_fen + one.owed_fen},
        credits={code: fen for code, fen in credited.items() if fen},
    )


def _owe(payments: Mapping[int, Locked], owed: Sequence[Share], at: datetime) -> None:
    """What was not kept waits for a person or the buyer to say where it goes."""
    if not owed:
        return
    columns = [
        sql.texts(numbers.fresh_many("R", len(owed))),
        sql.ints(share.arrival.payment_id for share in owed),
        sql.texts(share.arrival.channel_txn for share in owed),
        sql.texts(share.reason.value for share in owed),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_OWE, [at, *columns])
        if cursor.rowcount != len(owed):
            raise RuntimeError(f"{cursor.rowcount} of {len(owed)} refunds were written")
    refunds.record((payments[share.arrival.payment_id] for share in owed), "OWED_BACK", at)


def _owe_what_was_kept(refused: Sequence[Locked], at: datetime) -> None:
    full = Payment.objects.filter(pk__in=[row.pk for row in refused]).locked()
    rows = refunds.leave_fees(refunds.uncover(full, at), at)
    refunds.owe_all(rows=rows, reason=Reason.TWICE, at=at)


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
    _close(waiting.locked(), Reason.UNFINISHED, at)


@joined
def close_paid_elsewhere(*, ids: Collection[int], at: datetime) -> None:
    """What another payment has paid is not collected any more; a part that came is owed back.

    Who has one of them just now decides himself, or the sweep does later: it is not waited for,
    as who holds it may be waiting for the thing that we hold.
    """
    rows = Payment.objects.filter(pk__in=ids, status=Status.WAITING, received_fen__gt=0)
    free = rows.select_for_update(no_key=True, skip_locked=True).order_by("pk")
    _close([Locked._make(row) for row in free.values_list(*Locked._fields)], Reason.TWICE, at)


def _close(closing: list[Locked], reason: Reason, at: datetime) -> None:
    if not closing:
        return
    Payment.objects.filter(pk__in=[row.pk for row in closing]).update(
        status=Status.CLOSED, closed_at=at
    )
    refunds.record(closing, "CLOSED", at)
    closing = refunds.leave_fees(refunds.uncover(closing, at), at)
    refunds.owe_all(rows=closing, reason=reason, at=at)


@joined
def may_be_paid(*, payment: Payment, at: datetime) -> bool:
    """Whether there is still something to collect; under the payment's lock, and the thing's.

    A thing is given up under the same locks.  Raises the payable's Refusal when nothing is due.
    """
    [row] = Payment.objects.filter(pk=payment.pk).locked()
    if row.status != Status.WAITING or at >= payment.pay_before:
        return False
    payable(row.purpose).due(
        reference=row.reference, payer_id=payment.payer_id, method=row.method, at=at
    )
    return True


_OWED = """
SELECT * FROM payments_refund
WHERE payment_id = %s AND status = 'OWED' AND asked_by = '' ORDER BY id FOR UPDATE
"""


@joined
def return_all_owed(*, payment_id: int, at: datetime) -> None:
    """Nobody need ask a payer whose channel gives back the way it came: too late, or twice.

    Above the limit staff decide, as ever.
    """
    for refund in Refund.objects.raw(_OWED, [payment_id]):
        refunds.approve(refund=refund, actor="", at=at)


@joined
def return_owed(*, refund: Refund, actor: str, at: datetime) -> None:
    """The payer chooses that what is owed goes back to the account it came from.

    Only once: what is under way, done, has failed, or waits for staff (above their limit) is no
    longer his to choose (StaleState): he is nobody's second person.
    """
    refund = (
        Refund.objects.select_related("payment").select_for_update(of=("self",)).get(pk=refund.pk)
    )
    if refund.status != RefundStatus.OWED or refund.asked_by:
        raise StaleState
    refunds.approve(refund=refund, actor=actor, at=at)
