"""Whatever buyers, clerks, the bank and the clock do in whatever order, the books stay even."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from config.kit.errors import Refusal
from members.guides import services as guides
from members.guides.models import Commission
from payments.cashier import refunds
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Refund, RefundPart
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers import desk, queries, returns
from payments.transfers import tasks as transfer_tasks
from payments.transfers.models import LineReturn, Policy, StatementLine
from shop.checkout.rules import Item
from shop.fulfilment import services as fulfilment
from shop.inventory.models import Stock
from shop.offers import services as offers
from shop.orders import freezing
from shop.orders import services as orders
from shop.orders.models import Order, OrderLine
from shop.orders.rules import Wish
from tests.factories import (
    HOME,
    NOON,
    make_account,
    make_guide,
    make_merchant,
    make_sku,
    make_user,
    open_payment,
)
from tests.payments.transfers.bank import ACCOUNT, booking, push, transfer_in, virtual_of
from tests.sandbox_fixtures import Sandbox

HOUR = timedelta(hours=1)
ON_HAND = 12
BANKS = ["6222", "6217", "9999"]  # the last takes no money back
HOW_MUCH = {"exact": 0, "less": -30_00, "more": 25_00}  # fen beside what is outstanding
Step = Callable[..., None]
which = st.integers(0, 5)  # one of the latest few
STEPS: list[Any] = []  # each as often as its weight


def step(weight: int = 1, **given: Any) -> Callable[[Step], Step]:
    """One rule chooses among all steps: hypothesis would leave whole rules out of most runs."""

    def register(method: Step) -> Step:
        STEPS.extend([st.tuples(st.just(method), st.fixed_dictionaries(given))] * weight)
        return method

    return register


class Shop(RuleBasedStateMachine):
    """One merchant, one bonded buyer, two SKUs and a lot of one of them."""

    sandbox: Sandbox

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block._from_testcase = True  # as a test case's own: services begin their own in it
        self.block.__enter__()
        self.at = NOON
        self.money_in = 0
        make_account(units=100)
        Policy.objects.create(merchant="", check_above_fen=200_00)
        self.merchant = make_merchant(after_sale_days=1)
        self.skus = [make_sku(self.merchant, on_hand=ON_HAND) for _ in range(2)]
        self.offer = offers.open_offer(
            sku_id=self.skus[0].pk,
            price_fen=70_00,
            quota=4,
            starts_at=NOON,
            ends_at=NOON + 1000 * HOUR,
            source="LIVE",
            reference="T1",
        )
        self.buyer = make_user()
        guide = make_guide(self.merchant)
        code = guides.share(
            user=guide.user,
            merchant=self.merchant.number,
            kind="MERCHANT",
            target=self.merchant.number,
            at=NOON,
        )
        guides.follow(customer=self.buyer, code=code.code, at=NOON)
        self.stale: list[Order] = []  # as somebody saw them a while ago

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    # --- the buyer

    @step(4, lines=st.sampled_from([(1, 0), (0, 1), (2, 1)]), is_lot=st.booleans())
    def place(self, lines: tuple[int, int], is_lot: bool) -> None:
        items = [
            Item(sku.number, quantity, self.offer.number if is_lot and i == 0 else "")
            for i, (sku, quantity) in enumerate(zip(self.skus, lines, strict=True))
            if quantity
        ]
        wish = Wish(buyer_id=self.buyer.pk, items=items, consignee=HOME, via="LIVE")
        with suppress(Refusal):
            self.stale += orders.place_one(wish=wish, at=self.at)

    @step(5, n=which)
    def open_payment(self, n: int) -> None:
        if order := _latest(Order.objects.all(), n):
            with suppress(Refusal):
                open_payment(order, at=self.at)

    @step(7, n=which, how=st.sampled_from(sorted(HOW_MUCH)), bank=st.sampled_from(BANKS))
    def transfer(self, n: int, how: str, bank: str) -> None:
        """To any payment's own account: waiting, paid or closed."""
        if payment := _latest(Payment.objects.all(), n):
            asked = payment.outstanding_fen or payment.amount_fen
            fen = max(1, asked + HOW_MUCH[how])
            transfer_in(payment, fen=fen, at=self.at, payer_account=f"{bank}0202001122{n:02d}")
            self.money_in += fen

    @step(yuan=st.sampled_from([40, 100, 300]))
    def transfer_without_a_word(self, yuan: int) -> None:
        push(booking(yuan * 100, booked_at=self.at), at=self.at)
        self.money_in += yuan * 100

    @step(1, n=which)
    def cancel(self, n: int) -> None:
        if order := _latest(Order.objects.all(), n):
            with suppress(Refusal):
                orders.cancel(order=order, actor="", at=self.at)

    @step(n=which)
    def cancel_what_was_seen_before(self, n: int) -> None:
        if order := self.stale[-1 - n : len(self.stale) - n]:
            with suppress(Refusal):
                orders.cancel(order=order[0], actor="", at=self.at)

    @step(3, n=which)
    def receive(self, n: int) -> None:
        if order := _latest(Order.objects.filter(status="SHIPPED"), n):
            with suppress(Refusal):
                orders.receive_one(order=order, actor="", at=self.at)

    # --- the shop

    @step(4, n=which, is_whole=st.booleans())
    def ship(self, n: int, is_whole: bool) -> None:
        if order := _latest(Order.objects.filter(status="PAID"), n):
            with suppress(Refusal):
                fulfilment.ship(
                    order=order,
                    lines=None if is_whole else [1],
                    carrier="",
                    tracking_no="",
                    no_logistics=True,
                    evidence="",
                    actor="",
                    at=self.at,
                )

    @step()
    def close_the_lot(self) -> None:
        with suppress(Refusal):
            offers.close_offer(offer=self.offer)

    @step(3, n=which, m=which, thirds=st.sampled_from([1, 3]))
    def assign(self, n: int, m: int, thirds: int) -> None:
        """A clerk gives a waiting line, or a third of what is left, to one or two payments."""
        waiting = StatementLine.objects.filter(verdict__in=["UNMATCHED", "RETURNING"])
        line = _latest(waiting.select_related("receiving_account"), n)
        found = [p for p in (_latest(Payment.objects.all(), k) for k in {n, m}) if p]
        whole = queries.left_fen(line) * thirds // 3 if line else 0
        if not found or whole < 2:
            return
        parts = [whole // 2] * (len(found) - 1)
        fens = [*parts, whole - sum(parts)]
        shares = {payment.number: fen for payment, fen in zip(found, fens, strict=True)}
        with suppress(Refusal):
            desk.assign(
                line=line, shares=shares, payments=Payment.objects.all(), actor="U1", at=self.at
            )

    @step(2, n=which)
    def undo(self, n: int) -> None:
        lines = StatementLine.objects.select_related("receiving_account")
        if line := _latest(lines, n):
            with suppress(Refusal):
                desk.undo(line=line, actor="U1", at=self.at)

    @step(4, n=which)
    def late_money(self, n: int) -> None:
        """The whole comes for what is closed, which may open again."""
        if payment := _latest(Payment.objects.filter(status="CLOSED"), n):
            row = booking(
                payment.amount_fen, booked_at=self.at, virtual_account=virtual_of(payment)
            )
            push(row, at=self.at)
            self.money_in += payment.amount_fen

    @step(4, n=which)
    def the_bank_reverses(self, n: int) -> None:
        """Whatever the order is by now."""
        gone = StatementLine.objects.filter(verdict__in=["MATCHED", "IGNORED"], is_posted=True)
        if line := _latest(gone, n):
            row = booking(
                -line.amount_fen, is_reversal=True, reverses=line.serial, booked_at=self.at
            )
            push(row, at=self.at)
            self.money_in -= line.amount_fen

    @step(2, n=which)
    def unfreeze(self, n: int) -> None:
        if order := _latest(Order.objects.frozen(), n):
            freezing.unfreeze(order=order, reason="商家承担", actor="U1", at=self.at)

    @step(2, n=which, halves=st.sampled_from([1, 2]))
    def give_back(self, n: int, halves: int) -> None:
        """All or half of what is left; above 200 yuan a second person is asked."""
        waiting = StatementLine.objects.filter(verdict="UNMATCHED")
        if line := _latest(waiting.select_related("receiving_account"), n):
            fen = queries.left_fen(line) * halves // 2
            with suppress(Refusal):
                returns.give_back(line=line, amount_fen=fen, actor="U1", at=self.at)

    @step(2, n=which, approve=st.booleans())
    def check_a_return(self, n: int, approve: bool) -> None:
        if asked := _latest(LineReturn.objects.filter(status="ASKED"), n):
            returns.check(asked=asked, approve=approve, actor="U2", at=self.at)

    @step(2, is_answer_lost=st.booleans())
    def send_returns(self, is_answer_lost: bool) -> None:
        if is_answer_lost:
            self.sandbox.faults("/bank/payouts", "error_after")
        for pk in LineReturn.objects.filter(status="SENDING").values_list("pk", flat=True):
            transfer_tasks.send_return(return_id=pk)

    @step(n=which)
    def do_away_with(self, n: int) -> None:
        waiting = StatementLine.objects.filter(verdict="UNMATCHED")
        if line := _latest(waiting.select_related("receiving_account"), n):
            desk.ignore(line=line, reason="不是货款", actor="U1", at=self.at)

    @step(2, n=which)
    def approve_a_refund(self, n: int) -> None:
        if refund := _latest(Refund.objects.filter(status__in=["OWED", "FAILED"]), n):
            for person in ("U1", "U2"):  # above the limit the second one is needed
                with suppress(Refusal):
                    refunds.approve(refund=refund, actor=person, at=self.at)

    @step(3, fault=st.sampled_from(["", "error_before", "error_after"]))
    def send_refunds(self, fault: str) -> None:
        if fault:
            self.sandbox.faults("/bank/payouts", fault)
        Refund.objects.filter(status="SENDING").update(sent_at=NOON - 999 * HOUR)
        cashier_tasks.send_refunds()

    @step(2, hours=st.sampled_from([1, 25, 80]))
    def time_passes(self, hours: int) -> None:
        self.at += hours * HOUR
        numbers = list(Order.objects.values_list("number", flat=True))
        orders.expire(order_numbers=numbers, at=self.at)
        orders.finish(order_numbers=numbers, at=self.at)

    @rule(what=st.deferred(lambda: st.sampled_from(STEPS).flatmap(lambda one: one)))
    def then(self, what: tuple[Step, dict[str, Any]]) -> None:
        method, given = what
        method(self, **given)

    # --- what must always be true

    @invariant()
    def the_books_are_even(self) -> None:
        connection.check_constraints()  # the deferred ones, which a commit would ask
        assert ledger.audit() == []

    @invariant()
    def all_money_is_somewhere(self) -> None:
        refunded = _fen(RefundPart.objects.filter(status="DONE"))
        returned = _fen(LineReturn.objects.filter(status="DONE"))
        assert books.balance(f"bank:{ACCOUNT}") == self.money_in - refunded - returned
        done = Order.objects.filter(status="DONE").aggregate(fen=Sum("total_fen", default=0))
        merchant = books.balance(f"merchant:{self.merchant.number}:available")
        earned = _fen(Commission.objects.filter(status="EARNED"))
        assert merchant + earned == done["fen"]

    @invariant()
    def every_line_is_used_once(self) -> None:
        for line in StatementLine.objects.filter(is_posted=True):
            if line.verdict == "REVERSED":
                assert (line.allocated_fen, line.returned_fen) == (0, line.amount_fen)
                continue
            given = _fen(line.allocations.filter(undone_at=None))
            returned = _fen(line.returns.filter(status="DONE"))
            going = _fen(line.returns.filter(status__in=["ASKED", "SENDING"]))
            aside, left = line.set_aside_fen, queries.left_fen(line)
            assert given + returned + going + aside + left == line.amount_fen
            assert left >= 0
            assert left + going == 0 if line.verdict == "IGNORED" else aside == 0

    @invariant()
    def what_an_order_says_is_so(self) -> None:
        pending = Commission.objects.filter(status="PENDING").values_list("order_number")
        alive = Order.objects.filter(status__in=["PAID", "SHIPPED", "RECEIVED"])
        earning = alive.exclude(freeze_reason="REVERSED")
        assert set(pending) == set(earning.values_list("number"))
        assert not Order.objects.filter(status="CLOSED", lines__is_shipped=True).exists()
        unsent = Order.objects.filter(lines__is_shipped=False)
        assert not unsent.filter(status__in=["SHIPPED", "RECEIVED", "DONE"]).exists()
        assert not alive.filter(status="PAID").exclude(pk__in=unsent.values("pk")).exists()

    @invariant()
    def what_lacks_its_money_still_asks_for_it(self) -> None:
        for order in Order.objects.filter(freeze_reason="REVERSED").exclude(
            status__in=["DONE", "CLOSED"]
        ):
            assert Payment.objects.filter(reference=order.number, status="WAITING").exists()

    @invariant()
    def no_piece_is_lost(self) -> None:
        for sku in self.skus:
            sent = OrderLine.objects.filter(sku=sku, is_shipped=True)
            gone = sent.aggregate(n=Sum("quantity", default=0))["n"]
            assert Stock.objects.get(sku=sku).on_hand + gone == ON_HAND


def _latest(rows: Any, n: int) -> Any:
    """The n-th latest row, counted round; None where there is none."""
    found = list(rows.order_by("-pk")[:6])
    return found[n % len(found)] if found else None


def _fen(rows: Any) -> int:
    return int(rows.aggregate(fen=Sum(F("amount_fen"), default=0))["fen"])


@pytest.mark.django_db
def test_whatever_happens_in_whatever_order(sandbox):
    sandbox.open_account(ACCOUNT, 10**12)
    Shop.sandbox = sandbox
    bounds = settings(
        max_examples=15,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(Shop, settings=bounds)
