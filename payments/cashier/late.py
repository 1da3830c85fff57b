"""Money that comes when its payment is closed: the thing is opened again, if all of it is here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection

from config.kit import sql
from payments.cashier import refunds
from payments.cashier.payables import payable
from payments.cashier.rules import Claim, Locked, Share, Status, Till, makes_whole
from payments.ledger import services as ledger
from payments.ledger.rules import Draft

# Who is just approving one of them is first: it is not waited for, and its money not counted.
_OWED = """
SELECT id, number, payment_id, receipt_id, amount_fen, reason, status, way FROM payments_refund
WHERE payment_id = ANY(%s::bigint[]) AND status = 'OWED' ORDER BY id FOR UPDATE SKIP LOCKED
"""
_VOID = "UPDATE payments_refund SET status = 'VOID' WHERE id = ANY(%s::bigint[])"
_KEEP_OWED = """
UPDATE payments_receipt SET kept_fen = kept_fen + owed_fen, owed_fen = 0
WHERE id = ANY(%s::bigint[])
"""
_KEEP_KEPT = """
UPDATE payments_payment p SET refunded_fen = p.refunded_fen - d.fen
FROM unnest(%s::bigint[], %s::bigint[]) AS d (id, fen) WHERE p.id = d.id
"""


def reopen(
    payments: Mapping[int, Locked],
    tills: dict[int, Till],
    shares: Sequence[Share],
    within_days: Mapping[str, int],
    at: datetime,
) -> list[Share]:
    """The shares, where late ones are kept if their payment's thing could be opened again.

    Its till is full then.  Whatever was owed back and is needed becomes the payment's again.
    """
    arrived: dict[int, int] = {}
    for share in shares:
        row = payments[share.arrival.payment_id]
        if row.status == Status.CLOSED and within_days.get(row.merchant):
            arrived[row.pk] = arrived.get(row.pk, 0) + share.arrival.fen
    whole = _whole(payments, arrived)
    if not whole:
        return list(shares)
    opened = _ask(
        [payments[pk] for pk in whole],
        {name: at - timedelta(days=days) for name, days in within_days.items()},
        at,
    )
    for row in opened:
        extra = sum(claim.fen for claim in whole[row.pk] if claim.receipt_id is not None)
        tills[row.pk] = Till(0, kept_fen=arrived[row.pk] + extra)
    _take_claims_back(opened, whole)
    _post(opened, whole, at)
    refunds.record(opened, "REOPENED", at)
    pks = {row.pk for row in opened}
    return [
        share._replace(kept_fen=share.arrival.fen, owed_fen=0)
        if share.arrival.payment_id in pks
        else share
        for share in shares
    ]


def _whole(payments: Mapping[int, Locked], arrived: Mapping[int, int]) -> dict[int, list[Claim]]:
    """Of closed payments that have all their money now: what is to be taken back for it."""
    if not arrived:
        return {}
    owed: dict[int, list[Claim]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_OWED, [sql.ints(arrived)])
        for claim in map(Claim._make, cursor.fetchall()):
            owed.setdefault(claim.payment_id, []).append(claim)
    found = {}
    for pk, fen in arrived.items():
        needed = makes_whole(payments[pk], fen, owed.get(pk, []))
        if needed is not None:
            found[pk] = needed
    return found


def _ask(whole: Sequence[Locked], since: Mapping[str, datetime], at: datetime) -> list[Locked]:
    """Those whose thing is open again and paid; of two payments for one thing the first."""
    opened: list[Locked] = []
    for purpose in sorted({row.purpose for row in whole}):
        first: dict[str, Locked] = {}
        for row in whole:
            if row.purpose == purpose:
                first.setdefault(row.reference, row)
        asked = {reference: since[row.merchant] for reference, row in first.items()}
        answer = payable(purpose).reopen(references=asked, at=at)
        opened += [row for reference, row in first.items() if reference in answer]
    return opened


def _take_claims_back(opened: Iterable[Locked], whole: Mapping[int, list[Claim]]) -> None:
    claims = [claim for row in opened for claim in whole[row.pk]]
    if not claims:
        return
    kept = [claim for claim in claims if claim.receipt_id is None]
    with connection.cursor() as cursor:
        cursor.execute(_VOID, [sql.ints(claim.pk for claim in claims)])
        cursor.execute(
            _KEEP_OWED, [sql.ints(claim.receipt_id for claim in claims if claim.receipt_id)]
        )
        for claim in kept:  # seldom more than one a payment
            cursor.execute(_KEEP_KEPT, [sql.ints([claim.payment_id]), sql.ints([claim.fen])])


def _post(opened: Iterable[Locked], whole: Mapping[int, list[Claim]], at: datetime) -> None:
    ledger.post(
        [
            Draft(
                kind="OWED_KEPT",
                reference=claim.number,
                debits={f"refund_payable:{row.method}": claim.fen},
                credits={f"held:{row.merchant}": claim.fen},
            )
            for row in opened
            for claim in whole[row.pk]
        ],
        at=at,
    )
