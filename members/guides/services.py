from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from config.kit import sql
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.states import move
from members.accounts.models import User
from members.guides import queries
from members.guides.models import BondEvent, Commission, CustomerBond, Guide, ShareCode
from members.guides.rules import (
    GUIDE_TRANSITIONS,
    Bond,
    Due,
    GuideStatus,
    Status,
    rebond,
)
from members.merchants.models import Merchant
from payments.ledger import services as ledger
from payments.ledger.rules import Draft


class NotThisMerchantsGuide(Refusal):
    status = 403
    message = "您不是该商家的导购"


@transaction.atomic
def enrol(*, merchant: Merchant, users: Sequence[User], at: datetime) -> None:
    """These people sell for the merchant from now on (S002.1); who left before comes back."""
    Guide.objects.bulk_create(
        [Guide(user=user, merchant=merchant, opened_at=at) for user in dict.fromkeys(users)],
        update_conflicts=True,
        unique_fields=["user", "merchant"],
        update_fields=["status", "closed_at"],
    )


def close(*, guide: Guide, at: datetime) -> None:
    """The guide left: codes stop attributing, customers are free, commissions stay."""
    move(Guide.objects.filter(pk=guide.pk), GuideStatus.CLOSED, GUIDE_TRANSITIONS, closed_at=at)


@transaction.atomic
def share(*, user: User, merchant: str, kind: str, target: str, at: datetime) -> ShareCode:
    """The guide's code for something that was resolved before; the same one every time.

    Raises NotThisMerchantsGuide.
    """
    guide = queries.active_guide(user, merchant)
    if guide is None:
        raise NotThisMerchantsGuide
    code, _ = ShareCode.objects.get_or_create(
        guide=guide, target_kind=kind, target=target, defaults={"created_at": at}
    )
    return code


def keep_picture(*, share_code: ShareCode, image: bytes) -> None:
    """WeChat's picture, fetched once."""
    ShareCode.objects.filter(pk=share_code.pk, qr=None).update(qr=image)


@joined
def follow(*, customer: User, code: str, at: datetime) -> None:
    """A customer came by a guide's code.  Unknown codes and those of guides who left do nothing.

    Reads only, unless the customer changes hands.
    """
    share_code = queries.by_code(code)
    if share_code is None or share_code.guide.status != GuideStatus.ACTIVE:
        return
    guide = share_code.guide
    bonds = CustomerBond.objects.filter(customer=customer, merchant=guide.merchant_id)
    seen = bonds.select_related("guide").first()
    chosen = _chosen(seen, guide, customer, at)
    if chosen is None or (seen and chosen == _bond(seen)):
        return
    bond, is_new = CustomerBond.objects.get_or_create(
        customer=customer,
        merchant_id=guide.merchant_id,
        defaults={"guide": guide, "bonded_at": at},
    )
    if is_new or _change_hands(bond, guide, customer, at):
        BondEvent.objects.create(customer=customer, guide=guide, share_code=share_code, at=at)


_EXPECT = """
INSERT INTO members_commission AS c
    (guide_id, order_number, line, base_fen, amount_fen, rate, status, created_at)
SELECT d.*, 'PENDING', %s
FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::numeric[]) AS d
ON CONFLICT (order_number, line) DO UPDATE SET status = 'PENDING', settled_at = NULL
WHERE c.status = 'VOID'
"""


@joined
def expect(*, dues: Sequence[Due], at: datetime) -> None:
    """Orders were paid: note what their guides will earn.

    A line that is noted stays as it is, but for one that was voided: its match was undone, and
    now it is paid again.
    """
    if not dues:
        return
    guide_ids, order_numbers, lines, bases, rates = zip(*dues, strict=True)
    columns = [
        sql.ints(guide_ids),
        sql.texts(order_numbers),
        sql.ints(lines),
        sql.ints(bases),
        sql.ints(due.amount_fen for due in dues),
        sql.texts(map(str, rates)),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_EXPECT, [at, *columns])


# In key order, so that two batches cannot deadlock; of two callers one gets a row.
_EARN = """
WITH due AS (
    SELECT c.id FROM members_commission c
    JOIN unnest(%s::text[], %s::int[]) AS d (order_number, line) USING (order_number, line)
    WHERE c.status = 'PENDING' ORDER BY c.id FOR NO KEY UPDATE OF c
), earned AS (
    UPDATE members_commission c SET status = 'EARNED', settled_at = %s
    FROM due WHERE c.id = due.id AND c.status = 'PENDING'
    RETURNING c.id, c.guide_id, c.order_number, c.line, c.amount_fen
)
SELECT m.number, u.number, sum(e.amount_fen)::bigint,
       (array_agg(e.order_number || ':' || e.line ORDER BY e.id))[1]
FROM earned e JOIN members_guide g ON g.id = e.guide_id
JOIN members_merchant m ON m.id = g.merchant_id JOIN members_user u ON u.id = g.user_id
GROUP BY m.number, u.number HAVING sum(e.amount_fen) > 0
"""


@joined
def earn(*, lines: Sequence[tuple[str, int]], at: datetime) -> None:
    """The after-sales window of these lines (order number, line) is over.

    The merchant's money becomes the guide's: one posting a guide, named by the first of its lines;
    the others have the same `settled_at`.  Twice changes nothing.  Raises
    payments.ledger.services.NotCovered.
    """
    if not lines:
        return
    columns = [sql.texts(number for number, _ in lines), sql.ints(line for _, line in lines)]
    with connection.cursor() as cursor:
        cursor.execute(_EARN, [*columns, at])
        earned = cursor.fetchall()
    ledger.post(
        [
            Draft(
                kind="COMMISSION",
                reference=first,
                debits={f"merchant:{merchant}:available": fen},
                credits={f"guide:{guide}:commission": fen},
            )
            for merchant, guide, fen, first in earned
        ],
        at=at,
    )


@joined
def void(*, order_numbers: Sequence[str], at: datetime) -> None:
    """The orders are off before anything was earned; what is earned stays (see `reverse`)."""
    pending = Commission.objects.filter(order_number__in=order_numbers, status=Status.PENDING)
    pending.update(status=Status.VOID, settled_at=at)


@joined
def reverse(*, order_numbers: Sequence[str], at: datetime) -> None:
    """Money went back to the buyer after it was earned: the guide gives the commission back.

    Raises payments.ledger.services.NotCovered when the guide has less.
    """
    ledger.post(
        [
            Draft(
                kind="COMMISSION_REVERSAL",
                reference=str(one),
                debits={_guide(one): one.amount_fen},
                credits={_merchant(one): one.amount_fen},
            )
            for one in _settle(order_numbers, Status.EARNED, Status.REVERSED, at)
            if one.amount_fen
        ],
        at=at,
    )


def _settle(
    order_numbers: Sequence[str], before: Status, after: Status, at: datetime
) -> list[Commission]:
    """Take the rows in key order, so that two batches cannot deadlock; of two callers one gets."""
    rows = Commission.objects.select_for_update(of=("self",)).order_by("pk")
    taken = list(
        rows.filter(order_number__in=order_numbers, status=before).select_related(
            "guide__user", "guide__merchant"
        )
    )
    moved = Commission.objects.filter(pk__in=[one.pk for one in taken], status=before)
    if moved.update(status=after, settled_at=at) != len(taken):
        raise StaleState
    return taken


def _merchant(commission: Commission) -> str:
    return f"merchant:{commission.guide.merchant.number}:available"


def _guide(commission: Commission) -> str:
    return f"guide:{commission.guide.user.number}:commission"


def _chosen(bond: CustomerBond | None, guide: Guide, customer: User, at: datetime) -> Bond | None:
    return rebond(
        _bond(bond) if bond and bond.guide.status == GuideStatus.ACTIVE else None,
        guide.pk,
        is_own=guide.user_id == customer.pk,
        at=at,
        protection=timedelta(days=guide.merchant.bond_days),
    )


def _bond(row: CustomerBond) -> Bond:
    return Bond(row.guide_id, row.bonded_at)


def _change_hands(bond: CustomerBond, guide: Guide, customer: User, at: datetime) -> bool:
    """Read again under the row's lock: another code may have come in between.

    Without a join: a row whose guide changed while we waited would fall out of it.
    """
    held = CustomerBond.objects.select_for_update().get(pk=bond.pk)
    chosen = _chosen(held, guide, customer, at)
    if chosen is None or chosen == _bond(held):
        return False
    CustomerBond.objects.filter(pk=held.pk).update(guide_id=chosen.guide_id, bonded_at=chosen.since)
    return True
