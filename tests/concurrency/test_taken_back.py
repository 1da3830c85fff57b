"""The bank takes money back at the moment when people send it back, or say what was taken."""

import time
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import PaymentEvent, Refund, RefundPart
from payments.ledger import services as ledger
from payments.ledger.queries import balance
from payments.transfers import bounces, desk, returns, reversals
from payments.transfers.models import LineReturn, Policy, StatementLine
from payments.wallet.models import Withdrawal
from tests.concurrency.stalled import stalled
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    account,
    arrive,
    booking,
    expected,
    virtual_of,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture
def line():
    account()
    Policy.objects.create(merchant="", check_above_fen=0)
    yield seen(arrive(booking(PRICE))[0].pk)
    assert ledger.audit() == []


def seen(pk):
    return StatementLine.objects.select_related("receiving_account").get(pk=pk)


def arriving(line, fen=PRICE):
    """An import that has stored the reversal of a line and has not committed yet."""
    stored = Event()

    def run():
        with transaction.atomic():
            arrive(booking(-fen, is_reversal=True, reverses=line.serial, remark="冲正"))
            stored.set()
            time.sleep(0.4)
        connection.close()

    importing = Thread(target=run)
    importing.start()
    assert stored.wait(10)
    return importing


def test_who_approves_while_the_reversal_is_stored_waits_for_it_and_is_refused(line):
    asked = returns.give_back(line=line, actor="UMAKER", at=NOON)
    importing = arriving(line)

    with pytest.raises(reversals.TakenBack):
        returns.check(asked=asked, approve=True, actor="U1", at=NOON)
    importing.join()

    assert LineReturn.objects.get().status == "ASKED"


def test_who_asks_to_return_the_rest_while_a_part_is_reversed_is_refused_too(line):
    importing = arriving(line, PRICE - 1)

    with pytest.raises(reversals.TakenBack):
        returns.give_back(line=line, actor="UMAKER", at=NOON)
    importing.join()

    assert not LineReturn.objects.exists()


def test_without_the_lines_lock_the_reversal_is_not_seen(line):
    """If this ever fails, the two tests above prove nothing."""
    returns.give_back(line=line, actor="UMAKER", at=NOON)
    importing = arriving(line)

    reversals.refuse_taken_back(line)

    importing.join()
    with pytest.raises(reversals.TakenBack):
        reversals.refuse_taken_back(line)


# --- two people, one reversal


def without_original(fen=PRICE):
    (found,) = arrive(booking(-fen, is_reversal=True, remark="冲正"))
    return seen(found.pk)


def pair(reversal, original, i):
    reversals.pair(line=reversal, original=original, reason="回单", actor=f"U{i}", at=NOON)


def test_two_people_name_an_original_at_once_and_the_second_is_told(line):
    other = seen(arrive(booking(PRICE))[0].pk)
    reversal = without_original()
    mine = [(seen(reversal.pk), one) for one in (line, other)]
    both = StatementLine.objects.filter(pk=reversal.pk)

    endings = stalled(both, 2, lambda i: pair(*mine[i], i))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 1}
    verdicts = sorted(seen(one.pk).verdict for one in (line, other, reversal))
    assert verdicts == ["REVERSED", "REVERSED", "UNMATCHED"]


def test_two_reversals_of_one_original_at_once_are_one(line):
    mine = [(without_original(), seen(line.pk)) for _ in range(2)]

    endings = stalled(StatementLine.objects.filter(pk=line.pk), 2, lambda i: pair(*mine[i], i))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 1}
    assert sorted(seen(one.pk).verdict for one, _ in mine) == ["CONFLICT", "REVERSED"]


def test_one_names_what_another_gives_away_and_one_succeeds(line):
    payment, reversal = expected(), without_original()
    mine = [seen(line.pk), seen(line.pk)]

    def decide(i):
        if i:
            pair(reversal, mine[i], i)
        else:
            shares, everyone = {payment.number: PRICE}, type(payment).objects.all()
            desk.assign(line=mine[i], shares=shares, payments=everyone, actor="U0", at=NOON)

    endings = stalled(StatementLine.objects.filter(pk=line.pk), 2, decide)

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 1}


# --- a claim that one approves and another undoes


def test_one_approves_what_another_undoes_and_one_succeeds(line):
    Policy.objects.update(check_above_fen=10**9)
    payment = expected(PRICE + 1)
    shares, everyone = {payment.number: PRICE}, type(payment).objects.all()
    desk.assign(line=line, shares=shares, payments=everyone, actor="U0", at=NOON)
    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)
    mine = seen(line.pk)

    def decide(i):
        if i:
            desk.undo(line=mine, actor="U0", at=NOON)
        else:
            refund = Refund.objects.select_related("payment").get()
            refunds.approve(refund=refund, actor="U1", at=NOON)

    endings = stalled(Refund.objects.all(), 2, decide)

    assert endings in ({"ok": 1, "TOO_LATE_TO_UNDO": 1}, {"ok": 1, "STALE_STATE": 1})
    is_undone = seen(line.pk).allocated_fen == 0
    assert Refund.objects.get().status == ("VOID" if is_undone else "APPROVED")


# --- a payout that came back


@pytest.mark.parametrize("fee_fen", [0, 10])
def test_two_people_say_at_once_what_came_back_and_it_is_owed_once(line, fee_fen):
    Policy.objects.update(check_above_fen=10**9)
    arrive(booking(PRICE + 700, virtual_account=virtual_of(expected(PRICE))))
    refund = Refund.objects.select_related("payment").get()
    refunds.approve(refund=refund, actor="U1", at=NOON)
    (pk,) = refunds._begin(refund, NOON)
    part = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=pk)
    refunds._leave(part, "OUT1", NOON)
    refunds.conclude(refund, NOON)
    told = {"remark": f"退汇 {refund.number}", "is_reversal": True}
    rows = [booking(700 - fee_fen, **told) for _ in range(2)]
    credits = [seen(one.pk) for one in arrive(*rows)]
    everything = {
        "returned": LineReturn.objects.all(),
        "refunded": Refund.objects.all(),
        "withdrawn": Withdrawal.objects.none(),
    }

    def say(i):
        said = {"payout": refund.number, "reason": "附言", "actor": f"U{i}", "at": NOON}
        bounces.link(line=credits[i], fee_fen=fee_fen, **said, **everything)

    endings = stalled(Refund.objects.all(), 2, say)

    assert endings == {"ok": 1, "STALE_STATE": 1}
    assert PaymentEvent.objects.filter(kind="REFUND_BOUNCED").count() == 1
    assert balance(f"fee:{ACCOUNT}") == fee_fen
    assert sorted(seen(one.pk).verdict for one in credits) == ["CONFLICT", "REVERSED"]
