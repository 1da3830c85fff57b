"""Two people at one moment: each race beside a control that shows it without its guard."""

import io
import time

import pytest

from payments.cashier import refunds
from payments.cashier.models import Payment, Refund
from payments.closing import services as closing
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.transfers import by_hand, desk, returns, services
from payments.transfers.models import LineReturn, Policy, StatementLine
from payments.transfers.models_by_hand import ByHand
from tests.concurrency.stalled import stalled
from tests.concurrency.together import together
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    NOON,
    account,
    arrive,
    booking,
    ccb_csv,
    expected,
    virtual_of,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture
def own():
    yield account(units=40)
    assert ledger.audit() == []


@pytest.fixture
def line(own):
    Policy.objects.create(merchant="", check_above_fen=0)
    return seen(arrive(booking(PRICE))[0].pk)


def seen(pk):
    return StatementLine.objects.select_related("receiving_account").get(pk=pk)


def rows(line):
    return StatementLine.objects.filter(pk=line.pk)


def test_two_clerks_give_parts_of_one_line_and_the_second_is_told(line):
    payments = [expected(4000), expected(4000)]
    mine = [seen(line.pk), seen(line.pk)]

    def give(i):
        shares, everyone = {payments[i].number: 4000}, Payment.objects.all()
        desk.assign(line=mine[i], shares=shares, payments=everyone, actor=f"U{i}", at=NOON)

    assert stalled(rows(line), 2, give) == {"ok": 1, "DECIDED_MEANWHILE": 1}
    assert seen(line.pk).allocated_fen == 4000


def test_one_returns_what_another_gives_away_and_one_succeeds(line):
    payment = expected()
    mine = [seen(line.pk), seen(line.pk)]

    def decide(i):
        if i:
            returns.give_back(line=mine[i], actor="U1", at=NOON)
        else:
            shares, everyone = {payment.number: PRICE}, Payment.objects.all()
            desk.assign(line=mine[i], shares=shares, payments=everyone, actor="U0", at=NOON)

    assert stalled(rows(line), 2, decide) == {"ok": 1, "DECIDED_MEANWHILE": 1}


def ignore(line, i):
    desk.ignore(line=line, reason="不是货款", actor=f"U{i}", at=NOON)


def set_aside():
    return books.balance("set_aside:755900000110")


def test_two_who_ignore_one_line_at_once_set_it_aside_once(line):
    mine = [seen(line.pk) for _ in range(4)]

    endings = stalled(rows(line), 4, lambda i: ignore(mine[i], i))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 3}
    assert (set_aside(), seen(line.pk).set_aside_fen) == (PRICE, PRICE)


def test_one_ignores_what_another_gives_away_and_one_succeeds(line):
    payment = expected()
    mine = [seen(line.pk), seen(line.pk)]

    def decide(i):
        if i:
            ignore(mine[i], i)
        else:
            shares, everyone = {payment.number: PRICE}, Payment.objects.all()
            desk.assign(line=mine[i], shares=shares, payments=everyone, actor="U0", at=NOON)

    assert stalled(rows(line), 2, decide) == {"ok": 1, "DECIDED_MEANWHILE": 1}
    payment.refresh_from_db()
    assert sorted([set_aside(), payment.received_fen]) == [0, PRICE]


def test_two_who_undo_at_once_bring_it_back_once(line):
    ignore(line, 0)
    mine = [seen(line.pk) for _ in range(3)]

    endings = stalled(rows(line), 3, lambda i: desk.undo(line=mine[i], actor=f"U{i}", at=NOON))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 2}
    assert (set_aside(), seen(line.pk).verdict) == (0, "UNMATCHED")


def test_without_the_lock_both_give_the_same_money_away(line):
    """If this ever fails, the five tests above prove nothing."""
    given = []

    def careless(i):
        found = seen(line.pk)
        if found.allocated_fen + 6000 <= found.amount_fen:
            time.sleep(0.05)
            given.append(6000)

    together(2, careless)

    assert sum(given) > PRICE


def test_a_return_is_checked_once_whoever_checks_at_the_same_moment(line):
    asked = returns.give_back(line=line, actor="UMAKER", at=NOON)
    people = ["UMAKER", "U1", "U2", "UMAKER"]

    def check(i):
        mine = LineReturn.objects.get(pk=asked.pk)
        returns.check(asked=mine, approve=i % 2 == 0, actor=people[i], at=NOON)

    assert stalled(rows(line), 4, check) == {
        "ok": 1,
        "DECIDED_MEANWHILE": 1,
        "SECOND_PERSON_NEEDED": 2,
    }
    assert LineReturn.objects.get().checked_by in {"U1", "U2"}


def test_two_returns_of_one_line_at_once_are_one(line):
    mine = [seen(line.pk) for _ in range(4)]

    def ask(i):
        returns.give_back(line=mine[i], amount_fen=100, actor=f"U{i}", at=NOON)

    assert stalled(rows(line), 4, ask) == {"ok": 1, "DECIDED_MEANWHILE": 3}
    assert LineReturn.objects.count() == 1


@pytest.fixture
def refund(line):
    arrive(booking(PRICE + 700, virtual_account=virtual_of(expected(PRICE))))
    return Refund.objects.select_related("payment").get()


def approve(refund, actor):
    mine = Refund.objects.select_related("payment").get(pk=refund.pk)
    refunds.approve(refund=mine, actor=actor, at=NOON)


def test_one_person_who_clicks_twice_at_once_is_one_person(refund):
    theirs = Refund.objects.filter(pk=refund.pk)

    endings = stalled(theirs, 4, lambda i: approve(refund, "UMAKER"))

    assert endings == {"ok": 1, "SECOND_PERSON_NEEDED": 3}
    assert Refund.objects.get().status == "OWED"


def test_two_people_at_once_are_two_people(refund):
    theirs = Refund.objects.filter(pk=refund.pk)

    assert stalled(theirs, 2, lambda i: approve(refund, f"U{i}")) == {"ok": 2}
    assert Refund.objects.get().status == "APPROVED"
    kinds = refund.payment.events.filter(kind__startswith="REFUND_").order_by("pk")
    assert list(kinds.values_list("kind", flat=True)) == ["REFUND_ASKED", "REFUND_APPROVED"]


def test_without_the_counted_update_one_person_is_two(refund):
    """If this ever fails, the two tests above prove nothing."""
    said = []

    def careless(i):
        if Refund.objects.get(pk=refund.pk).asked_by == "":
            time.sleep(0.05)
            Refund.objects.filter(pk=refund.pk).update(asked_by="UMAKER")
            said.append("asked")

    together(3, careless)

    assert len(said) > 1


# --- what was paid in net banking


def out_of(line, n=1):
    """Bookings of money that clerks sent to the payer of a line in net banking."""
    rows = [booking(-line.amount_fen, payer_account=line.payer_account) for _ in range(n)]
    return [row.pk for row in arrive(*rows)]


def said(line, out, actor):
    return by_hand.Said(
        payout=line.number,
        booked=StatementLine.objects.get(pk=out).serial,
        lines=StatementLine.objects.all(),
        reason="",
        actor=actor,
        at=NOON,
    )


def enter(line, out, actor):
    return by_hand.enter(
        said=said(line, out, actor),
        returned=LineReturn.objects.all(),
        refunded=Refund.objects.all(),
    )


def test_one_booking_is_said_at_once_to_be_two_payouts_and_is_one(line):
    lines = [line, *(seen(row.pk) for row in arrive(booking(PRICE), booking(PRICE)))]
    (out,) = out_of(line)

    endings = stalled(StatementLine.objects.filter(pk=out), 3, lambda i: enter(lines[i], out, "U1"))

    assert endings == {"ok": 1, "BOOKING_USED": 2}
    assert LineReturn.objects.count() == ByHand.objects.count() == 1


def test_two_clerks_say_at_once_how_one_line_was_paid_and_the_second_is_told(line):
    outs = out_of(line, 2)

    endings = stalled(rows(line), 2, lambda i: enter(line, outs[i], f"U{i}"))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 1}
    assert LineReturn.objects.count() == 1


def test_two_people_confirm_at_once_and_the_money_leaves_the_books_once(line):
    made = enter(line, out_of(line)[0], "UMAKER")
    people = ["U1", "U2", "UMAKER", "U3"]

    def check(i):
        mine = ByHand.objects.get(pk=made.pk)
        by_hand.check(asked=mine, approve=i != 1, actor=people[i], at=NOON)

    assert stalled(rows(line), 4, check) == {
        "ok": 1,
        "CHECKED_MEANWHILE": 2,
        "SECOND_PERSON_NEEDED": 1,
    }
    is_done = ByHand.objects.get().status == "DONE"
    assert Posting.objects.filter(kind="RETURN").count() == is_done
    assert seen(line.pk).returned_fen == PRICE * is_done


def test_without_the_lock_one_booking_is_two_payouts(line):
    """If this ever fails, the tests above prove nothing."""
    (out,) = out_of(line)
    said_to_be = []

    def careless(i):
        if not ByHand.objects.filter(booking=out).exists():
            time.sleep(0.05)
            said_to_be.append(i)

    together(3, careless)

    assert len(said_to_be) > 1


# --- the books are opened


def statement_of(own):
    services.import_statement(
        statement=services.upload(
            file=io.BytesIO(ccb_csv([booking(500)], opening=10_000)),
            filename="",
            account_no="",
            tenants=None,
            uploaded_by_id=make_user().pk,
            at=NOON,
        ),
        at=NOON,
    )


def test_many_workers_open_the_books_of_an_account_once(own):
    statement_of(own)

    endings = together(6, lambda i: closing.open_books(account=own, at=NOON))

    assert endings == {"ok": 6}
    assert books.balance("opening:755900000110") == 10_000
    assert Posting.objects.filter(kind="OPENING").count() == 1


def test_without_the_lock_two_workers_both_find_them_closed(own):
    """If this ever fails, the test above proves nothing."""
    statement_of(own)
    found = []

    def careless(i):
        if not Posting.objects.filter(kind="OPENING").exists():
            time.sleep(0.05)
            found.append(i)

    together(3, careless)

    assert len(found) > 1
