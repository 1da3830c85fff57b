"""Postings are whole, once and for ever; accounts that are somebody's are never overdrawn."""

import time

import pytest
from django.db import IntegrityError, connection, transaction

from payments.ledger import queries, services
from payments.ledger.models import Account, Entry, Posting
from payments.ledger.rules import Draft
from tests.concurrency.together import together
from tests.payments.transfers.bank import NOON

MINE, BANK = "merchant:M1:available", "bank:755900000110"


def post(reference, debits, credits, kind="TEST"):
    services.post([Draft(kind, reference, debits, credits)], at=NOON)


def fill(fen, code=MINE):
    post(f"fill {code}", {BANK: fen}, {code: fen})


def take(reference, fen, code=MINE):
    post(reference, {code: fen}, {BANK: fen})


@pytest.mark.django_db
def test_money_moves_between_accounts_on_their_own_sides():
    fill(500)
    take("one", 200)

    assert queries.balance(BANK) == queries.balance(MINE) == 300
    assert Account.objects.get(code=MINE).balance_fen == 300
    assert Account.objects.get(code=BANK).balance_fen == 0  # not guarded: keeps none
    assert list(queries.findings()) == []


@pytest.mark.django_db
def test_a_fact_is_posted_once():
    fill(500)

    with pytest.raises(IntegrityError, match="posting_once_per_fact"), transaction.atomic():
        fill(500)

    assert queries.balance(MINE) == 500


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("debits", "credits"),
    [
        ({BANK: 100}, {MINE: 99}),
        ({BANK: 0}, {MINE: 0}),
        ({BANK: -5}, {MINE: -5}),
        ({}, {}),
        ({BANK: 100}, {}),
    ],
)
def test_legs_that_do_not_balance_are_a_bug_and_write_nothing(debits, credits):
    with pytest.raises(ValueError):  # noqa: PT011  its text names the posting
        post("odd", debits, credits)

    assert not Posting.objects.exists()


@pytest.mark.django_db
def test_a_guarded_account_never_falls_below_zero():
    fill(500)

    with pytest.raises(services.NotCovered) as refusal, transaction.atomic():
        take("too much", 501)

    assert refusal.value.details == {"accounts": [MINE]}
    assert queries.balance(MINE) == 500
    assert Posting.objects.count() == 1


@pytest.mark.django_db
def test_of_a_batch_all_are_posted_or_none():
    fill(500)
    drafts = [Draft("TEST", f"n{i}", {MINE: 200}, {BANK: 200}) for i in range(3)]

    with pytest.raises(services.NotCovered), transaction.atomic():
        services.post(drafts, at=NOON)

    assert Posting.objects.count() == 1


@pytest.mark.django_db
def test_many_postings_are_as_many_statements_as_one(django_assert_max_num_queries):
    drafts = [Draft("TEST", f"n{i}", {BANK: i + 1}, {f"held:M{i % 7}": i + 1}) for i in range(500)]

    with django_assert_max_num_queries(4):
        services.post(drafts, at=NOON)

    assert Entry.objects.count() == 1000


# --- what the database refuses


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["payments_posting", "payments_entry"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_is_posted_is_never_changed_or_deleted(table, verb):
    fill(500)

    with (
        pytest.raises(IntegrityError, match="only ever added to"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(verb.format(table))

    assert queries.balance(MINE) == 500


def add(posting, *amounts):
    account, _ = Account.objects.get_or_create(code=BANK, is_guarded=False)
    Entry.objects.bulk_create(
        Entry(posting=posting, account=account, amount_fen=fen) for fen in amounts
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("amounts", [(), (100,), (100, -99), (1, 1, -1)])
def test_a_posting_that_does_not_add_up_is_refused_at_commit(amounts):
    steps = []

    @transaction.atomic
    def write():
        posting = Posting.objects.create(kind="TEST", reference="1", at=NOON)
        add(posting, *amounts)
        steps.append("written")

    with pytest.raises(IntegrityError, match="legs that add up to"):
        write()

    assert steps == ["written"]
    assert not Posting.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_legs_may_come_one_by_one_as_long_as_they_add_up_in_the_end():
    with transaction.atomic():
        posting = Posting.objects.create(kind="TEST", reference="1", at=NOON)
        add(posting, 100)
        with transaction.atomic():
            add(posting, -60)
        add(posting, -40)

    assert Entry.objects.count() == 3
    assert list(queries.findings()) == []


@pytest.mark.django_db(transaction=True)
def test_a_leg_cannot_be_added_to_an_old_posting():
    fill(500)
    posting = Posting.objects.get()

    with pytest.raises(IntegrityError, match="legs that add up to"):
        add(posting, 1)

    assert Entry.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_leg_that_was_rolled_back_is_not_counted():
    @transaction.atomic
    def add_and_think_better(posting):
        add(posting, -100)
        transaction.set_rollback(True)

    @transaction.atomic
    def write():
        posting = Posting.objects.create(kind="TEST", reference="1", at=NOON)
        add(posting, 100)
        add_and_think_better(posting)

    with pytest.raises(IntegrityError, match="legs that add up to"):
        write()

    assert not Posting.objects.exists()


# --- races


@pytest.mark.django_db(transaction=True)
def test_a_guarded_account_spent_by_many_at_once_is_spent_once():
    fill(1000)

    endings = together(16, lambda i: take(f"spend {i}", 100))

    assert endings == {"ok": 10, "NOT_COVERED": 6}
    assert Account.objects.get(code=MINE).balance_fen == queries.balance(MINE) == 0
    assert list(queries.findings()) == []


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_the_account_would_be_overspent():
    """If this ever fails, the test above proves nothing."""
    fill(1000, "held:M1")  # a liability that keeps no balance

    def careless(i):
        if queries.balance("held:M1") < 100:
            return "NOT_COVERED"
        time.sleep(0.05)
        take(f"spend {i}", 100, "held:M1")
        return "ok"

    assert together(16, careless)["ok"] > 10
    assert queries.balance("held:M1") < 0


@pytest.mark.django_db(transaction=True)
def test_the_same_fact_posted_by_many_at_once_is_posted_once():
    endings = together(8, lambda i: fill(500))

    assert endings == {"ok": 1, "IntegrityError": 7}
    assert queries.balance(MINE) == 500


@pytest.mark.django_db(transaction=True)
def test_transfers_in_both_directions_do_not_deadlock():
    fill(10_000, "guide:U1:commission")
    fill(10_000)

    def swing(i):
        one, other = ("guide:U1:commission", MINE) if i % 2 else (MINE, "guide:U1:commission")
        for turn in range(5):
            post(f"{i}.{turn}", {one: 10}, {other: 10})

    assert together(8, swing) == {"ok": 8}
    assert queries.balance(MINE) == 10_000
