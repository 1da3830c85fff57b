"""Virtual accounts under concurrency: each race beside a control, without its guard."""

import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from payments.cashier import services as cashier
from payments.ledger import services as ledger
from payments.receiving import rules, services
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.receiving.rules import CODE_RESTS
from tests.concurrency.stalled import stalled
from tests.concurrency.together import together
from tests.members.people import make_user
from tests.payments.transfers.bank import NOON, account, expected
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
REST = timedelta(days=180)


@pytest.fixture
def own():
    yield account(units=40, gives="MEMBER")
    assert ledger.audit() == []


def over(buyer):
    """A buyer's payment that is over; his number, at rest."""
    payment = expected(payer=buyer)
    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)
    services.rest(at=NOON)
    return VirtualAccount.objects.get(member=buyer)


def states(buyer):
    """Of each open payment of this buyer: the state of the account that it names."""
    live = TransferIntent.objects.filter(
        payment__payer=buyer, payment__status="WAITING", released_at=None
    )
    return list(live.values_list("virtual_account__state", flat=True))


def test_payments_of_one_member_opened_at_once_share_one_number(own):
    buyer = make_user()

    assert together(8, lambda i: expected(payer=buyer)) == {"ok": 8}

    assert VirtualAccount.objects.filter(state="ASSIGNED").count() == 1
    assert TransferIntent.objects.values("virtual_account").distinct().count() == 1
    assert TransferIntent.objects.filter(is_shared=True).count() == 8


def test_without_waiting_for_each_other_they_take_two(own, monkeypatch):
    """If this ever fails, the test above proves nothing: the last guard is the constraint."""
    monkeypatch.setattr(services, "_ONE_AT_A_TIME", "SELECT %s, %s::bigint")
    buyer = make_user()

    endings = together(8, lambda i: _slowly(buyer))

    assert endings["IntegrityError"] > 0


def _slowly(buyer):
    with transaction.atomic():
        expected(payer=buyer)
        time.sleep(0.1)


def test_a_sweep_and_a_payment_just_opened_leave_no_open_payment_at_rest(own):
    for _ in range(6):
        buyer = make_user()
        ends = expected(payer=buyer)
        cashier.close(purpose="ORDER", references=[ends.reference], at=NOON)
        mine = VirtualAccount.objects.filter(member=buyer)

        def act(i, buyer=buyer):
            return services.rest(at=NOON) if i % 2 else expected(payer=buyer)

        stalled(mine, 2, act, seconds=0.1)

        assert states(buyer) == ["ASSIGNED"]


def test_an_account_is_freed_or_taken_again_never_both(own):
    for _ in range(6):
        buyer = make_user()
        mine = over(buyer)

        def act(i, buyer=buyer):
            return services.release(at=NOON + REST) if i % 2 else expected(payer=buyer)

        together(2, act)

        # His old number, or a fresh one; whichever, it is his and nobody else's.
        assert states(buyer) == ["ASSIGNED"]
        assert VirtualAccount.objects.filter(member=buyer).count() == 1
        mine.refresh_from_db()
        assert mine.state == ("ASSIGNED" if mine.member_id else "FREE")


def test_without_looking_again_a_sweep_frees_the_account_of_an_open_payment(own):
    """If this ever fails, the two tests above prove nothing."""
    buyer = make_user()
    mine = over(buyer)
    with transaction.atomic():
        seen = TransferIntent.objects.filter(
            virtual_account=mine, payment__status="WAITING"
        ).exists()
        assert together(1, lambda i: expected(payer=buyer)) == {"ok": 1}
        if not seen:
            VirtualAccount.objects.filter(pk=mine.pk).update(
                state="FREE", member=None, rests_until=None
            )

    assert states(buyer) == ["FREE"]
    VirtualAccount.objects.filter(pk=mine.pk).update(state="ASSIGNED", member=buyer)


def test_an_account_that_is_being_taken_does_not_hold_the_sweep_up(own):
    first, second = over(make_user()), over(make_user())

    with transaction.atomic():
        list(VirtualAccount.objects.select_for_update().filter(pk=first.pk))
        started = time.monotonic()
        assert together(1, lambda i: services.release(at=NOON + REST)) == {"ok": 1}
        assert time.monotonic() - started < 2

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("RESTING", "FREE")
    assert connection.in_atomic_block is False


def test_two_sweeps_free_each_account_once(own):
    for _ in range(10):
        over(make_user())

    together(4, lambda i: services.release(at=NOON + REST))

    assert VirtualAccount.objects.filter(state="FREE").count() == 40
    assert TransferIntent.objects.filter(released_at=None).count() == 0


def test_what_is_given_to_payments_is_not_taken_from_a_member(own):
    member = make_user()
    expected(payer=member)
    ReceivingAccount.objects.update(gives="PAYMENT")

    together(6, lambda i: expected())

    shared = VirtualAccount.objects.get(member=member)
    assert TransferIntent.objects.filter(virtual_account=shared).count() == 1


# --- reference codes


@pytest.fixture
def last_code():
    """An account without virtual accounts."""
    yield account(units=0)
    assert ledger.audit() == []


def _given_back(monkeypatch):
    monkeypatch.setattr(rules, "CODES", 1)
    old = expected()
    cashier.close(purpose="ORDER", references=[old.reference], at=NOON)
    assert services.release_codes(at=NOON + CODE_RESTS) == 1


def test_a_code_that_is_given_again_is_given_once(last_code, monkeypatch):
    _given_back(monkeypatch)

    assert together(8, lambda i: expected()) == {"ok": 1, "NO_REFERENCE_CODE": 7}

    assert TransferIntent.objects.filter(code_released_at=None).count() == 1


def test_without_giving_way_two_want_one_code(last_code, monkeypatch):
    """If this ever fails, the test above proves nothing: the last guard is the constraint."""
    _given_back(monkeypatch)
    head, _, tail = services._GIVE.partition("ON CONFLICT")
    monkeypatch.setattr(services, "_GIVE", head + tail.partition("\n")[2])
    buyer = make_user()

    assert together(8, lambda i: _slowly(buyer))["IntegrityError"] > 0

    assert TransferIntent.objects.filter(code_released_at=None).count() == 1
