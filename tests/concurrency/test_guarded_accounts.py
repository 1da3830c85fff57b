"""Accounts that keep a balance, wanted by many at once."""

from datetime import timedelta
from threading import Barrier

import pytest
from django.db import transaction
from django.db.models import F

from members.guides import services as guides
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Account
from payments.ledger.rules import Draft
from shop.orders import holding
from tests.concurrency.together import together
from tests.factories import NOON, make_guide, make_merchant, make_sku, make_user, pay, place, ship

pytestmark = pytest.mark.django_db(transaction=True)
GUARDED = ["merchant:M1:available", "guide:U1:commission"]


def fill(fen):
    drafts = [Draft("TEST", f"fill {code}", {"bank:1": fen}, {code: fen}) for code in GUARDED]
    ledger.post(drafts, at=NOON)


def test_postings_between_the_same_two_accounts_do_not_deadlock():
    fill(1_000)

    def move(i):
        here, there = GUARDED if i % 2 else GUARDED[::-1]
        for n in range(10):
            ledger.post([Draft("TEST", f"{i}.{n}", {here: 1}, {there: 1})], at=NOON)

    assert together(4, move) == {"ok": 4}
    assert [books.balance(code) for code in GUARDED] == [1_000, 1_000]
    assert list(books.findings()) == []


def test_balances_changed_in_the_order_of_the_legs_deadlock():
    """If this ever fails, the test above proves nothing."""
    fill(1_000)
    both_begun = Barrier(2)

    def careless(i):
        with transaction.atomic():
            for n, code in enumerate(GUARDED if i else GUARDED[::-1]):
                Account.objects.filter(code=code).update(balance_fen=F("balance_fen") + 0)
                if n == 0:
                    both_begun.wait()

    assert together(2, careless) == {"ok": 1, "OperationalError": 1}


def test_a_merchants_orders_are_finished_by_two_workers_at_once():
    merchant = make_merchant(after_sale_days=7)
    guide, sku, numbers = make_guide(merchant), make_sku(merchant, on_hand=50), []
    code = guides.share(
        user=guide.user, merchant=merchant.number, kind="MERCHANT", target=merchant.number, at=NOON
    )
    buyer = make_user()
    guides.follow(customer=buyer, code=code.code, at=NOON)
    for _ in range(12):
        order = place(buyer, sku)
        pay(order)
        ship(order)
        holding.receive_one(order=order, actor="", at=NOON)
        numbers.append(order.number)

    endings = together(
        4,
        lambda i: holding.finish(order_numbers=numbers[i * 3 : i * 3 + 3], at=NOON + timedelta(8)),
    )

    assert endings == {"ok": 4}
    assert books.balance(f"guide:{guide.user.number}:commission") == 12 * 5_00
    assert ledger.audit() == []
