"""A virtual account's round: given, resting when its payment is over, free, given again."""

from datetime import timedelta

import pytest

from payments.cashier import services as cashier
from payments.cashier.models import Refund
from payments.receiving import queries, services
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.transfers import desk, method
from payments.transfers.models import StatementLine
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    booking,
    code_of,
    expected,
    push,
    transfer_in,
    virtual_of,
)
from tests.payments.transfers.bank import account as make_account

pytestmark = pytest.mark.django_db
REST = timedelta(days=180)
PAID_AT = NOON + timedelta(minutes=5)


def of(payment):
    return VirtualAccount.objects.get(intents__payment=payment)


def go_round(at):
    services.wake()
    services.rest(at=at)
    services.release(at=at)


def close(payment, at=NOON):
    cashier.close(purpose="ORDER", references=[payment.reference], at=at)


@pytest.fixture
def members(account):
    """The account gives its virtual accounts to buyers."""
    ReceivingAccount.objects.update(gives="MEMBER")
    return account


def test_while_a_payment_waits_its_account_is_its_own(account):
    payment = expected()

    go_round(NOON + 2 * REST)

    assert of(payment).state == "ASSIGNED"


@pytest.mark.parametrize("end", ["paid", "closed"])
def test_when_a_payment_is_over_its_account_rests_from_that_end_on(account, end):
    payment = expected()
    if end == "paid":
        transfer_in(payment, fen=9900)
    else:
        close(payment, at=PAID_AT)

    go_round(PAID_AT + timedelta(days=2))  # the sweep was late

    assert (of(payment).state, of(payment).rests_until) == ("RESTING", PAID_AT + REST)


def test_late_money_finds_the_payment_of_an_account_that_rests(account):
    payment = expected()
    close(payment)
    go_round(NOON)

    line = transfer_in(payment, fen=9900, at=NOON + timedelta(days=100))

    assert (line.verdict, line.rule) == ("MATCHED", "T1d")
    assert Refund.objects.get().payment == payment


def test_late_money_makes_it_rest_as_long_as_ever(account):
    payment = expected()
    close(payment)
    go_round(NOON)
    late = NOON + timedelta(days=100)
    transfer_in(payment, fen=9900, at=late)

    go_round(NOON + REST)

    assert (of(payment).state, of(payment).rests_until) == ("RESTING", late + REST)
    go_round(late + REST)
    assert of(payment).state == "FREE"


def test_an_account_that_has_rested_is_given_to_another_payment_and_names_only_that(account):
    old = expected()
    close(old)
    number = virtual_of(old)
    go_round(NOON)
    go_round(NOON + REST - timedelta(seconds=1))
    assert VirtualAccount.objects.get(number=number).state == "RESTING"

    go_round(NOON + REST)
    assert VirtualAccount.objects.get(number=number).state == "FREE"
    VirtualAccount.objects.exclude(number=number).filter(state="FREE").delete()
    new = expected(at=NOON + REST)

    assert virtual_of(new) == number
    push(booking(9900, virtual_account=number, booked_at=NOON + REST), at=NOON + REST)
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.status, new.status) == ("CLOSED", "CONFIRMED")
    assert TransferIntent.objects.get(payment=old).released_at == NOON + REST


def test_a_payment_whose_account_went_to_another_is_told_the_receiving_account(account):
    old = expected()
    close(old)
    go_round(NOON)
    go_round(NOON + REST)

    assert method.instructions([old])[old.pk]["account_no"] == ACCOUNT
    assert method.instructions([old])[old.pk]["reference"] == code_of(old)


def test_an_account_wakes_when_a_match_is_undone(account):
    payment = expected()
    line = transfer_in(payment, fen=9900)
    go_round(NOON)
    assert of(payment).state == "RESTING"

    held = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    desk.undo(line=held, actor="U1", at=NOON)
    go_round(NOON + 2 * REST)

    assert (of(payment).state, of(payment).rests_until) == ("ASSIGNED", None)


def test_an_account_whose_payment_waits_again_is_not_given_away_before_it_wakes(account):
    payment = expected()
    line = transfer_in(payment, fen=9900)
    go_round(NOON)
    held = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    desk.undo(line=held, actor="U1", at=NOON)

    assert services.release(at=NOON + 2 * REST) == 0

    assert of(payment).state == "RESTING"


def test_a_sweep_takes_a_bounded_batch(account):
    for _ in range(5):
        close(expected())

    assert [services.rest(at=NOON, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [services.release(at=NOON + REST, limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_sweep_costs_the_same_however_much_there_is(account, django_assert_max_num_queries):
    for _ in range(8):
        close(expected())

    with django_assert_max_num_queries(13):  # six statements, the rest savepoints
        go_round(NOON)

    assert VirtualAccount.objects.filter(state="RESTING").count() == 8


# --- accounts of members ------------------------------------------------------------------------


def test_a_repeat_buyer_keeps_one_number(members):
    buyer = make_user()
    first, second, other = expected(payer=buyer), expected(payer=buyer), expected()

    assert virtual_of(first) == virtual_of(second) != virtual_of(other)
    assert code_of(first) != code_of(second)
    assert of(first).member == buyer
    assert first.transfer_intent.is_shared
    assert VirtualAccount.objects.filter(state="ASSIGNED").count() == 2


def test_a_members_account_rests_only_when_all_is_paid_and_is_still_his_then(members):
    buyer = make_user()
    first, second = expected(payer=buyer), expected(payer=buyer)
    close(first)
    go_round(NOON)
    assert of(first).state == "ASSIGNED"

    close(second)
    go_round(NOON)
    assert of(first).state == "RESTING"
    third = expected(payer=buyer)

    assert virtual_of(third) == virtual_of(first)
    assert (of(third).state, of(third).rests_until) == ("ASSIGNED", None)


def test_a_member_who_stays_away_gives_the_number_back(members):
    buyer = make_user()
    payments = [expected(payer=buyer), expected(payer=buyer)]
    for payment in payments:
        close(payment)
    go_round(NOON)

    go_round(NOON + REST)

    assert (of(payments[0]).state, of(payments[0]).member) == ("FREE", None)
    assert not TransferIntent.objects.filter(released_at=None).exists()


def test_with_an_empty_pool_a_member_has_the_code_alone(db):
    make_account(units=0, gives="MEMBER")
    payment = expected()

    assert not payment.transfer_intent.is_shared
    assert method.instructions([payment])[payment.pk]["account_no"] == ACCOUNT


# --- the audit ----------------------------------------------------------------------------------


def test_the_audit_finds_an_account_that_names_what_it_must_not(account):
    one, two = expected(), expected()
    assert list(queries.findings()) == []
    VirtualAccount.objects.filter(pk=of(one).pk).update(state="FREE")
    VirtualAccount.objects.filter(pk=of(two).pk).update(member=make_user())

    found = list(queries.findings())

    assert len(found) == 2
    assert "空闲" in found[0]
    assert "一位买家" in found[1]
    VirtualAccount.objects.update(state="ASSIGNED", member=None)


def test_no_account_is_freed_with_an_owner_or_a_limit(account):
    from django.db import IntegrityError, transaction

    for left in ({"member": make_user()}, {"cap_fen": 1}, {"limit_asked_at": NOON}):
        with pytest.raises(IntegrityError, match="free_is_nobodys"), transaction.atomic():
            VirtualAccount.objects.filter(state="FREE").update(**left)
