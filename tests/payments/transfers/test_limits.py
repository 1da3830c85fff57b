"""What the bank refuses at source, told after the payment is open and lifted in time."""

from datetime import timedelta

import pytest

from payments.cashier import services as cashier
from payments.receiving import limits, pool, services, tasks
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.transfers import desk
from payments.transfers.models import StatementLine
from tests.members.people import make_user
from tests.payments.transfers.bank import ACCOUNT, NOON, expected, transfer_in, virtual_of

pytestmark = pytest.mark.django_db
REST = timedelta(days=180)
LIMITS = "/bank/units/limits"


@pytest.fixture
def capped(sandbox, account):
    """An account that wants caps, at a bank that can; three registered units."""
    VirtualAccount.objects.all().delete()
    ReceivingAccount.objects.update(is_capped=True)
    account.refresh_from_db()
    pool.fill(account=account, wanted=3)
    return sandbox


def of(payment):
    return VirtualAccount.objects.get(intents__payment=payment)


def tell_all(at=NOON):
    for pk in limits.untold(at=at):
        limits.tell(virtual_account_id=pk, at=at)


def undo(line):
    held = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    desk.undo(line=held, actor="U1", at=NOON)


def test_more_than_the_price_is_refused_and_nothing_is_booked(capped):
    payment = expected(9900)
    tell_all()

    assert capped.refused(virtual_of(payment), 9901) == "ABOVE_CAP"

    assert of(payment).cap_fen == 9900
    assert "9901" not in capped.get("/").text
    assert capped.transfer(virtual_of(payment), 9900)["serial"]


def test_the_rest_of_a_payment_in_parts_is_never_refused(capped):
    payment = expected(9900)
    tell_all()
    transfer_in(payment, fen=6000)

    # Before the bank is told of the part, and after.
    capped.transfer(virtual_of(payment), 3900)
    tell_all()
    capped.transfer(virtual_of(payment), 3900)

    assert of(payment).cap_fen == 3900
    assert capped.refused(virtual_of(payment), 3901) == "ABOVE_CAP"


def test_an_undone_match_raises_the_cap_again(capped):
    payment = expected(9900)
    line = transfer_in(payment, fen=6000)
    tell_all()
    undo(line)

    tell_all()

    assert of(payment).cap_fen == 9900
    capped.transfer(virtual_of(payment), 9900)


def test_a_recycled_account_takes_any_amount(capped):
    old = expected(100)
    number = virtual_of(old)
    tell_all()
    cashier.close(purpose="ORDER", references=[old.reference], at=NOON)
    services.rest(at=NOON)
    over = NOON + REST

    assert services.release(at=over) == 0  # the bank still refuses
    tell_all(at=over)
    assert services.release(at=over) == 1

    capped.transfer(number, 5_000_000)


def test_without_an_answer_the_account_is_asked_again_and_not_given_away(capped):
    payment = expected(9900)
    capped.faults(LIMITS, "error_after")
    tell_all()
    assert (of(payment).cap_fen, of(payment).limit_asked_at) == (None, NOON)
    assert capped.refused(virtual_of(payment), 9901) == "ABOVE_CAP"  # it was heard

    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)
    services.rest(at=NOON)
    assert services.release(at=NOON + REST) == 0
    tell_all(at=NOON + REST)

    assert services.release(at=NOON + REST) == 1
    assert capped.transfer(of_number(payment), 9901)["serial"]


def of_number(payment):
    return payment.transfer_intent.virtual_account.number


def test_opening_a_payment_does_not_wait_for_the_bank(capped):
    capped.faults(LIMITS, "error_before", times=9)

    payment = expected(9900)

    assert capped.journal(LIMITS) == []
    tell_all()
    assert of(payment).cap_fen is None


def test_a_second_worker_leaves_an_account_to_the_first(capped):
    payment = expected(9900)
    VirtualAccount.objects.filter(pk=of(payment).pk).update(limit_asked_at=NOON)

    limits.tell(virtual_account_id=of(payment).pk, at=NOON + timedelta(seconds=30))

    assert capped.journal(LIMITS) == []
    assert of(payment).limit_asked_at == NOON


def test_who_is_told_already_is_not_told_again(capped):
    expected(9900)

    tell_all()
    tell_all()

    assert len(capped.journal(LIMITS)) == 1


def test_a_buyers_own_number_has_no_cap(capped):
    ReceivingAccount.objects.update(gives="MEMBER")
    buyer = make_user()
    expected(100, payer=buyer)
    expected(200, payer=buyer)

    tell_all()

    assert capped.journal(LIMITS) == []


@pytest.mark.parametrize("why", ["unwanted", "unable"])
def test_where_it_is_unwanted_or_the_bank_cannot_nothing_is_asked(capped, settings, why):
    if why == "unwanted":
        ReceivingAccount.objects.update(is_capped=False)
    else:
        settings.BANK_PROVIDERS = {"sandbox": capped.provider() | {"can": []}}
    expected(9900)

    tell_all()

    assert capped.journal(LIMITS) == []


def test_a_wish_withdrawn_lifts_the_cap(capped):
    payment = expected(9900)
    tell_all()
    ReceivingAccount.objects.update(is_capped=False)

    tell_all()

    assert of(payment).cap_fen is None
    capped.transfer(virtual_of(payment), 20_000)


def test_one_account_that_fails_does_not_hold_up_the_others(capped):
    first, second = expected(100), expected(200)
    capped.faults(LIMITS, "garbage")

    tasks.tell_limits()

    assert sorted((of(first).cap_fen, of(second).cap_fen), key=str) in ([100, None], [200, None])


def test_the_bank_takes_money_of_one_payer_only_where_it_is_told_so(capped, account):
    from payments.channels.transfer import BankRefused, bank

    unit = VirtualAccount.objects.all()[0]
    ours = bank("sandbox")
    ours.limit_unit(ACCOUNT, unit.unit, cap_fen=None, payer_account="6222")

    assert capped.refused(unit.number, 100, payer_account="6223") == "PAYER_NOT_ALLOWED"
    assert capped.transfer(unit.number, 100, payer_account="6222")["serial"]
    ours.limit_unit(ACCOUNT, unit.unit, cap_fen=None, payer_account="")
    assert capped.transfer(unit.number, 100, payer_account="6223")["serial"]
    with pytest.raises(BankRefused, match="UNIT_UNKNOWN"):
        ours.limit_unit(ACCOUNT, "12", cap_fen=1, payer_account="")
