from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from config.kit import numbers, sql
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.states import move, sources
from members.guides import queries as guides
from members.guides import services as commissions
from members.guides.rules import Due
from members.memberships import queries as memberships
from members.merchants import queries as merchants
from members.merchants.models import Merchant
from payments.cashier import queries as payments
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.rules import Reason
from shop.checkout import services as checkout
from shop.checkout.rules import Line
from shop.inventory import services as inventory
from shop.inventory.services import SoldOut
from shop.offers import services as offers
from shop.offers.services import OfferGone
from shop.orders import clock
from shop.orders.models import Order, OrderLine
from shop.orders.rules import LIVE, TRANSITIONS, CloseReason, Status, Wish

PURPOSE = "ORDER"


class AlreadyShipped(Refusal):
    message = "已有商品发货，不能取消"


Outcome = list[Order] | Refusal


@joined
def place(*, wishes: Sequence[Wish], at: datetime) -> list[Outcome]:
    """Freeze prices and credit, write the orders, take the pieces; one order a merchant.

    A batch: what is refused (or sold out) stands in its wish's place and stops no other.  All
    wishes of a batch name the same `via`.
    """
    outcomes = _priced(wishes)
    wanted = {i: lines for i, lines in enumerate(outcomes) if not isinstance(lines, Refusal)}
    try:
        with transaction.atomic(savepoint=len(wishes) > 1):
            placed = _write(wishes, wanted, at)
    except (SoldOut, OfferGone) as refusal:
        if len(wishes) == 1:
            raise
        placed = _write(wishes, _affordable(wanted, at), at)
        lost = dict.fromkeys(wanted.keys() - placed.keys(), refusal)
        return [placed.get(i) or lost.get(i) or _refusal(outcomes[i]) for i in range(len(wishes))]
    return [placed[i] if i in placed else _refusal(outcomes[i]) for i in range(len(wishes))]


def place_one(*, wish: Wish, at: datetime) -> list[Order]:
    """A batch of one, whose refusal is raised."""
    outcome = place(wishes=[wish], at=at)[0]
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def _refusal(outcome: list[Line] | Refusal) -> Refusal:
    assert isinstance(outcome, Refusal)
    return outcome


def _priced(wishes: Sequence[Wish]) -> list[list[Line] | Refusal]:
    standings = memberships.standings_of_many([wish.buyer_id for wish in wishes])
    outcomes = checkout.price(
        wishes=[(standings.get(wish.buyer_id, {}), wish.items) for wish in wishes],
        via=wishes[0].via,
    )
    for i, wish in enumerate(wishes):
        lines = outcomes[i]
        if wish.quote_token and not isinstance(lines, Refusal):
            try:
                checkout.hold_to(wish.quote_token, buyer_id=wish.buyer_id, lines=lines)
            except Refusal as refusal:
                outcomes[i] = refusal
    return outcomes


def _write(
    wishes: Sequence[Wish], wanted: dict[int, list[Line]], at: datetime
) -> dict[int, list[Order]]:
    """Orders, lines and events, then the pieces: what is scarce is taken last."""
    trading = merchants.by_id({line.merchant_id for lines in wanted.values() for line in lines})
    credited = guides.guides_for(
        {(wishes[i].buyer_id, line.merchant_id) for i, lines in wanted.items() for line in lines}
    )
    placed: dict[int, list[Order]] = {}
    lines_of: list[tuple[Order, list[Line]]] = []
    for i, lines in wanted.items():
        placed[i] = []
        for merchant_id in sorted({line.merchant_id for line in lines}):
            mine = [line for line in lines if line.merchant_id == merchant_id]
            guide_id = credited.get((wishes[i].buyer_id, merchant_id))
            order = _order(wishes[i], mine, trading[merchant_id], guide_id, at)
            placed[i].append(order)
            lines_of.append((order, mine))
    Order.objects.bulk_create(order for order, _ in lines_of)
    OrderLine.objects.bulk_create(
        _order_line(order, n, line) for order, lines in lines_of for n, line in enumerate(lines, 1)
    )
    record((order for order, _ in lines_of), "PLACED", at)
    _take([line for lines in wanted.values() for line in lines], at)
    return placed


def _order(
    wish: Wish, lines: list[Line], merchant: Merchant, guide_id: int | None, at: datetime
) -> Order:
    minutes = wish.pay_within_minutes or merchant.pay_within_minutes
    return Order(
        number=numbers.fresh("D"),
        buyer_id=wish.buyer_id,
        merchant=merchant,
        guide_id=guide_id,
        commission_rate=merchant.commission_rate,
        total_fen=sum(line.total_fen for line in lines),
        consignee=wish.consignee,
        remark=wish.remark,
        origin=wish.origin,
        placed_at=at,
        pay_before=at + timedelta(minutes=minutes),
    )


def _order_line(order: Order, n: int, line: Line) -> OrderLine:
    return OrderLine(
        order=order,
        line=n,
        sku_id=line.sku_id,
        offer_id=line.offer_id,
        title=line.title,
        sku_name=line.sku_name,
        quantity=line.item.quantity,
        unit_price_fen=line.quote.unit_fen,
        total_fen=line.total_fen,
        price_reason=line.quote.reason,
        receipt=line.quote.receipt,
    )


def _take(lines: Iterable[Line], at: datetime) -> None:
    """An offer's pieces are promised already, as a whole; the others come from common stock."""
    common: Counter[int] = Counter()
    special: Counter[int] = Counter()
    for line in lines:
        if line.offer_id:
            special[line.offer_id] += line.item.quantity
        else:
            common[line.sku_id] += line.item.quantity
    inventory.promise(pieces=common)
    offers.take(pieces=special, at=at)


def _affordable(wanted: dict[int, list[Line]], at: datetime) -> dict[int, list[Line]]:
    """First come, first served, among what is left; rows stay locked until the batch commits."""
    every = [line for lines in wanted.values() for line in lines]
    stock = inventory.free(sku_ids=sorted({line.sku_id for line in every if not line.offer_id}))
    offer = offers.free(offer_ids=sorted({line.offer_id for line in every if line.offer_id}), at=at)
    served: dict[int, list[Line]] = {}
    for i, lines in wanted.items():
        pots = [
            (offer, line.offer_id, line) if line.offer_id else (stock, line.sku_id, line)
            for line in lines
        ]
        if all(pot.get(key, 0) >= line.item.quantity for pot, key, line in pots):
            for pot, key, line in pots:
                pot[key] -= line.item.quantity
            served[i] = lines
    return served


_RECORD = """
INSERT INTO shop_orderevent (order_id, kind, actor, at, facts)
SELECT id, %s, %s, %s, '{}' FROM unnest(%s::bigint[]) AS d (id)
"""


def record(orders: Iterable[Order], kind: str, at: datetime, actor: str = "") -> None:
    """An event of each."""
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [kind, actor, at, sql.ints(order.pk for order in orders)])


@joined
def hold(*, order: Order) -> None:
    """Lock an order until the transaction ends: what is decided by its lines is so at commit."""
    list(Order.objects.filter(pk=order.pk).select_for_update().values_list("pk"))


# --- paying -------------------------------------------------------------------------------------


@joined
def extend(*, order_id: int, until: datetime) -> None:
    """A slower way to pay was chosen: the order waits for it, its pieces stay promised."""
    unpaid = Order.objects.filter(pk=order_id, status=Status.UNPAID, pay_before__lt=until)
    unpaid.update(pay_before=until)


# The event is written from the rows that moved, so that none is without one.  An order whose
# money the bank took back goes on where it stood.
_PAY = """
WITH waiting AS (
    SELECT id, frozen_at IS NOT NULL AND status <> 'UNPAID' AS is_repaid FROM shop_order
    WHERE number = ANY(%s::text[])
      AND (status = ANY(%s) OR freeze_reason = 'REVERSED' AND status = ANY(%s))
    ORDER BY id FOR NO KEY UPDATE
), paid AS (
    UPDATE shop_order o SET status = CASE WHEN w.is_repaid THEN o.status ELSE 'PAID' END,
        paid_at = %s, frozen_at = NULL, freeze_reason = ''
    FROM waiting w WHERE o.id = w.id
    RETURNING o.id, o.number, o.guide_id, w.is_repaid
), event AS (
    INSERT INTO shop_orderevent (order_id, kind, actor, at, facts)
    SELECT id, CASE WHEN is_repaid THEN 'REPAID' ELSE 'PAID' END, '', %s, '{}' FROM paid
)
SELECT number, id, guide_id IS NOT NULL, is_repaid FROM paid
"""
_DUES = """
SELECT o.guide_id, o.number, l.line, l.total_fen, o.commission_rate
FROM shop_order o JOIN shop_orderline l ON l.order_id = o.id
WHERE o.id = ANY(%s::bigint[]) AND o.guide_id IS NOT NULL ORDER BY o.id, l.line
"""


@joined
def receive_payments(*, order_numbers: Sequence[str], at: datetime) -> set[str]:
    """Paid in full.  Answers the numbers of orders that were not waiting for money."""
    with connection.cursor() as cursor:
        states = sources(Status.PAID, TRANSITIONS)
        cursor.execute(_PAY, [sql.texts(order_numbers), states, LIVE, at, at])
        paid = cursor.fetchall()
    expect_commissions(order_ids=[pk for _, pk, is_guided, _ in paid if is_guided], at=at)
    if repaid := [pk for _, pk, _, is_repaid in paid if is_repaid]:
        clock.resume(order_ids=repaid, why=clock.FROZEN, at=at)
    return set(order_numbers).difference(row[0] for row in paid)


def expect_commissions(*, order_ids: Sequence[int], at: datetime) -> None:
    """Their guides will earn, when the after-sale window is over."""
    if not order_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_DUES, [sql.ints(order_ids)])
        commissions.expect(dues=[Due._make(row) for row in cursor.fetchall()], at=at)


def _advance(order_numbers: Sequence[str], to: Status, **changes: object) -> list[Order]:
    """Compare-and-set many at once; answers the rows that moved."""
    rows = Order.objects.filter(number__in=order_numbers, status__in=sources(to, TRANSITIONS))
    rows = rows.select_related("merchant").select_for_update(of=("self",))
    moving = list(rows.order_by("pk"))
    Order.objects.filter(pk__in=[order.pk for order in moving]).update(status=to, **changes)
    return moving


@joined
def unpay(*, order_numbers: Mapping[str, bool], at: datetime) -> None:
    """A wrong match was undone: wait for the money again.  StaleState once anything was shipped.

    By number whether it had been paid: others wait all along, or stand still because the bank
    took money back, and stay so.
    """
    shipped = OrderLine.objects.filter(order__number__in=order_numbers, is_shipped=True)
    rows = Order.objects.filter(number__in=order_numbers, status__in=[Status.UNPAID, Status.PAID])
    found = list(rows.select_for_update().order_by("pk"))
    if shipped.exists() or len(found) != len(order_numbers):
        raise StaleState
    moving = [order for order in found if order_numbers[order.number]]
    if any(order.status != Status.PAID for order in moving):
        raise StaleState
    for order in moving:
        wait = order.pay_before - order.placed_at
        Order.objects.filter(pk=order.pk).update(
            status=Status.UNPAID, paid_at=None, pay_before=max(order.pay_before, at + wait)
        )
    record(moving, "UNPAID", at)
    commissions.void(order_numbers=[order.number for order in moving], at=at)


@joined
def note_refunds(*, order_numbers: Sequence[str], at: datetime) -> None:
    """Money of these is back where it came from; nothing else changes."""
    record(Order.objects.filter(number__in=order_numbers).only("pk"), "REFUNDED", at)


# --- closing ------------------------------------------------------------------------------------


@joined
def expire(*, order_numbers: Sequence[str], at: datetime) -> int:
    """Close unpaid orders whose time is over and give their pieces back; answers how many.

    Their payments are locked first: a transfer that is being confirmed wins.  An order that got
    more time since it was asked about keeps its payment.  One whose money may be here unheard (in a
    bank statement that nobody has read, at WeChat) is held back, and looked at again.
    """
    cashier.hold(purpose=PURPOSE, references=order_numbers)
    overdue = Order.objects.overdue(at).filter(number__in=order_numbers)
    due = list(overdue.select_for_update().order_by("pk"))
    # Asked under the locks: a statement that is in now has paid what it pays.
    unheard = payments.unheard(purpose=PURPOSE, references=[one.number for one in due], at=at)
    for again in set(unheard.values()):
        held = [order.pk for order in due if unheard.get(order.number) == again]
        Order.objects.filter(pk__in=held).update(held_until=again)
    closing = [order for order in due if order.number not in unheard]
    cashier.close(purpose=PURPOSE, references=[order.number for order in closing], at=at)
    Order.objects.filter(pk__in=[order.pk for order in closing]).update(
        status=Status.CLOSED, closed_at=at, close_reason=CloseReason.EXPIRED
    )
    record(closing, "EXPIRED", at)
    _give_back(closing)
    return len(closing)


def shut(*, order: Order, at: datetime) -> None:
    """No channel takes money for an order any more; to be called before `cancel`, outside it.

    The network lies in between.  Raises a Refusal where it may be paid at this moment.
    """
    if order.status == Status.UNPAID:
        cashier.shut(purpose=PURPOSE, reference=order.number, at=at)


@joined
def cancel(*, order: Order, actor: str, at: datetime) -> None:
    """Before anything is shipped.  What was paid goes back to where it came from, at once."""
    cashier.hold(purpose=PURPOSE, references=[order.number])
    hold(order=order)
    was_paid = order.status == Status.PAID
    if order.lines.filter(is_shipped=True).exists():
        raise AlreadyShipped
    move(
        Order.objects.filter(pk=order.pk, status=order.status),
        Status.CLOSED,
        TRANSITIONS,
        closed_at=at,
        close_reason=CloseReason.REFUNDED if was_paid else CloseReason.BUYER,
    )
    record([order], "CANCELLED", at, actor)
    cashier.close(purpose=PURPOSE, references=[order.number], at=at)
    if was_paid:
        refunds.refund_all(
            purpose=PURPOSE, reference=order.number, reason=Reason.CANCELLED, at=at, actor=actor
        )
        commissions.void(order_numbers=[order.number], at=at)
    _give_back([order])


def _give_back(orders: Sequence[Order]) -> None:
    common: Counter[int] = Counter()
    special: Counter[int] = Counter()
    lines = list(OrderLine.objects.filter(order__in=orders))
    inventory.hold(sku_ids={line.sku_id for line in lines})
    for line in lines:
        if line.offer_id:
            special[line.offer_id] += line.quantity
        else:
            common[line.sku_id] += line.quantity
    inventory.release(pieces=common)
    offers.give_back(pieces=special)
