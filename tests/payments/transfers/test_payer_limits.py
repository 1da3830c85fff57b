"""Money of one payer only (限付款人): asked for, kept by the bank, lifted in time."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from payments.cashier import services as cashier
from payments.cashier.models import PaymentEvent
from payments.receiving import limits, pool, services
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.transfers import desk, method
from payments.transfers.models import StatementLine
from tests.members.people import client_of, make_user
from tests.payments import payable
from tests.payments.transfers.bank import NOON, expected, transfer_in, virtual_of

pytestmark = pytest.mark.django_db
REST = timedelta(days=180)
LIMITS = "/bank/units/limits"
HIS = "6222020200112233"
OTHER = "6225880100001234"


@pytest.fixture
def bound(sandbox, account):
    """An account that wants payers bound, at a bank that can; three registered units."""
    VirtualAccount.objects.all().delete()
    ReceivingAccount.objects.update(is_payer_bound=True)
    account.refresh_from_db()
    pool.fill(account=account, wanted=4)
    return sandbox


@pytest.fixture
def buyer(bound):
    """Has paid once, from his account."""
    person = make_user("老客户")
    paid_by(person)
    return person


def paid_by(person, payer_account=HIS, **changes):
    return transfer_in(expected(100, payer=person), fen=100, payer_account=payer_account, **changes)


def of(payment):
    return VirtualAccount.objects.get(intents__payment=payment, intents__released_at=None)


def tell_all(at=NOON):
    for pk in limits.untold(at=at):
        limits.tell(virtual_account_id=pk, at=at)


def told(payment):
    payment.refresh_from_db()
    return dict(method.instructions([payment])[payment.pk])


def over(payment):
    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)
    services.rest(at=NOON)


def is_free(number, at):
    services.release(at=at)
    return VirtualAccount.objects.get(number=number).state == "FREE"


def lift(client, payment, **headers):
    path = f"/api/v1/payments/{payment.number}/any-payer"
    return client.post(path, {}, format="json", **headers)


# --- asked, and kept


def test_money_of_another_account_bounces_and_that_of_his_own_pays(bound, buyer):
    payment = expected(9900, payer=buyer)
    tell_all()

    assert bound.refused(virtual_of(payment), 9900, payer_account=OTHER) == "PAYER_NOT_ALLOWED"
    assert bound.transfer(virtual_of(payment), 9900, payer_account=HIS)["serial"]
    assert of(payment).payer_account == HIS
    transfer_in(payment, fen=9900)
    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"


def test_the_buyer_is_told_before_the_bank_is(bound, buyer):
    payment = expected(9900, payer=buyer)

    answer = client_of(buyer).get(f"/api/v1/payments/{payment.number}").json()["instructions"]

    assert bound.journal(LIMITS) == []
    assert (answer["payer_account"], answer["payer_lifting"]) == ("****2233", False)
    assert answer["message"] == "请转账 99.00 元，附言填写核对码；仅接受尾号 2233 的账户付款"
    transfer_in(payment, fen=6000)
    assert told(payment)["message"].endswith("还差 39.00 元；仅接受尾号 2233 的账户付款")


def test_cap_and_payer_are_asked_for_together(bound, buyer):
    ReceivingAccount.objects.update(is_capped=True)
    payment = expected(9900, payer=buyer)
    tell_all()

    assert len(bound.journal(LIMITS)) == 1
    assert bound.refused(virtual_of(payment), 9901, payer_account=HIS) == "ABOVE_CAP"
    assert bound.refused(virtual_of(payment), 9900, payer_account=OTHER) == "PAYER_NOT_ALLOWED"
    tell_all()
    assert len(bound.journal(LIMITS)) == 1


def test_groups_of_digits_are_one_account(bound, buyer):
    paid_by(buyer, "6222 0202 0011 2233")

    assert expected(9900, payer=buyer).transfer_intent.payer_account == HIS


@pytest.mark.parametrize(
    "also",
    [
        {"payer_account": OTHER},
        {"payer_account": "6222****2233"},
        {"payer_account": ""},
        {"payer_name": "支付宝（中国）网络技术有限公司客户备付金"},
    ],
)
def test_who_pays_otherwise_too_is_not_bound(bound, buyer, also):
    paid_by(buyer, **also)

    payment = expected(9900, payer=buyer)

    assert payment.transfer_intent.payer_account == ""
    assert told(payment)["payer_account"] is None


def test_an_undone_match_and_another_merchants_payment_tell_nothing(bound, buyer, monkeypatch):
    stranger, elsewhere = make_user(), make_user()
    line = paid_by(stranger)
    assert expected(9900, payer=stranger).transfer_intent.payer_account == HIS
    held = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    desk.undo(line=held, actor="U1", at=NOON)
    paid_by(elsewhere)

    assert expected(9900, payer=stranger).transfer_intent.payer_account == ""
    monkeypatch.setattr(payable, "MERCHANT", "M_ANOTHER")
    assert expected(9900, payer=elsewhere).transfer_intent.payer_account == ""


@pytest.mark.parametrize("why", ["unwanted", "unable", "shared", "new", "no number"])
def test_where_nobody_can_be_bound_nothing_is_asked_and_nothing_told(bound, buyer, settings, why):
    if why == "unwanted":
        ReceivingAccount.objects.update(is_payer_bound=False)
    elif why == "unable":
        settings.BANK_PROVIDERS = {"sandbox": bound.provider() | {"can": []}}
    elif why == "shared":
        ReceivingAccount.objects.update(gives="MEMBER")
    elif why == "no number":
        VirtualAccount.objects.filter(state="FREE").delete()
    payment = expected(9900, payer=make_user() if why == "new" else buyer)

    tell_all()

    assert bound.journal(LIMITS) == []
    assert (told(payment)["payer_account"], told(payment)["payer_lifting"]) == (None, False)


def test_off_it_costs_no_statement_and_on_one(bound, buyer, django_assert_num_queries):
    payment = expected(9900, payer=buyer)
    for is_on, statements in ((True, 3), (False, 2)):
        ReceivingAccount.objects.update(is_payer_bound=is_on)
        TransferIntent.objects.filter(payment=payment).delete()
        with transaction.atomic(), django_assert_num_queries(statements):
            method.opened(payment, at=NOON)


def test_a_buyers_own_number_cannot_be_bound(bound, buyer):
    payment = expected(9900, payer=buyer)

    told_apart = pytest.raises(IntegrityError, match="transfer_payer_bound_on_its_own_account")
    with told_apart, transaction.atomic():
        TransferIntent.objects.filter(payment=payment).update(is_shared=True)


# --- lifted


def test_a_buyer_pays_from_another_account_when_he_says_so(bound, buyer):
    payment = expected(9900, payer=buyer)
    tell_all()
    client = client_of(buyer)

    waiting = lift(client, payment).json()["instructions"]
    assert (waiting["payer_account"], waiting["payer_lifting"]) == ("****2233", True)
    assert waiting["message"].endswith("尾号 2233 以外的账户请稍候再转")
    assert bound.refused(virtual_of(payment), 9900, payer_account=OTHER) == "PAYER_NOT_ALLOWED"
    tell_all()

    assert lift(client, payment).json()["instructions"]["payer_account"] is None
    assert bound.transfer(virtual_of(payment), 9900, payer_account=OTHER)["serial"]
    events = PaymentEvent.objects.filter(payment=payment, kind="ANY_PAYER")
    assert [event.actor for event in events] == [buyer.number]


def test_before_the_bank_was_asked_there_is_nothing_to_wait_for(bound, buyer):
    payment = expected(9900, payer=buyer)

    assert lift(client_of(buyer), payment).json()["instructions"]["payer_account"] is None
    tell_all()

    assert bound.journal(LIMITS) == []


def test_a_stranger_lifts_nothing_and_a_closed_payment_is_over(bound, buyer):
    payment = expected(9900, payer=buyer)

    assert lift(client_of(make_user()), payment).status_code == 404
    over(payment)
    assert lift(client_of(buyer), payment).json()["code"] == "PAYMENT_OVER"

    assert TransferIntent.objects.get(payment=payment).payer_account == HIS
    assert not PaymentEvent.objects.filter(kind="ANY_PAYER").exists()


def test_a_wish_withdrawn_by_staff_lifts_it_for_all(bound, buyer):
    payment = expected(9900, payer=buyer)
    tell_all()
    ReceivingAccount.objects.update(is_payer_bound=False)
    assert told(payment)["payer_lifting"] is True

    tell_all()

    assert told(payment)["payer_account"] is None
    assert bound.transfer(virtual_of(payment), 9900, payer_account=OTHER)["serial"]


# --- given to another payment only when the bank takes all again


def test_the_next_buyer_is_not_bound(bound, buyer):
    old = expected(100, payer=buyer)
    number = virtual_of(old)
    tell_all()
    over(old)
    rested = NOON + REST

    assert not is_free(number, at=rested)  # the bank still takes only the old buyer's money
    tell_all(at=rested)
    assert is_free(number, at=rested)

    assert bound.transfer(number, 100, payer_account=OTHER)["serial"]
    row = VirtualAccount.objects.get(number=number)
    assert (row.state, row.payer_account, row.limit_asked_at) == ("FREE", "", None)


@pytest.mark.parametrize("fault", ["error_before", "error_after", "garbage"])
def test_it_is_given_to_nobody_while_it_is_unknown_whether_it_is_lifted(bound, buyer, fault):
    old = expected(100, payer=buyer)
    number = virtual_of(old)
    tell_all()
    over(old)
    rested = NOON + REST
    bound.faults(LIMITS, fault)
    tell_all(at=rested)

    assert not is_free(number, at=rested)
    assert VirtualAccount.objects.get(number=number).payer_account == HIS
    # What was said before may still be on its way: the bank hears it for five minutes.
    tell_all(at=rested + timedelta(minutes=5))
    assert not is_free(number, at=rested + timedelta(minutes=5))
    tell_all(at=rested + timedelta(minutes=7))
    assert is_free(number, at=rested + timedelta(minutes=7))
    assert bound.transfer(number, 100, payer_account=OTHER)["serial"]


def test_the_database_frees_no_account_that_is_bound(bound, buyer):
    payment = expected(100, payer=buyer)
    tell_all()

    kept = pytest.raises(IntegrityError, match="virtual_account_free_is_nobodys_and_takes_all")
    with kept, transaction.atomic():
        VirtualAccount.objects.filter(pk=of(payment).pk).update(state="FREE", member=None)


# --- no answer, and no


@pytest.mark.parametrize("fault", ["error_before", "error_after"])
def test_without_an_answer_it_is_asked_again_and_may_be_bound_meanwhile(bound, buyer, fault):
    payment = expected(9900, payer=buyer)
    bound.faults(LIMITS, fault)
    tell_all()
    row = of(payment)
    assert (row.payer_account, row.limit_asked_at) == (HIS, NOON)

    # Who lifts it now has to wait: the bank may have heard what was asked.
    lift(client_of(buyer), payment)
    assert told(payment)["payer_lifting"] is True
    tell_all(at=NOON + timedelta(minutes=7))

    assert told(payment)["payer_account"] is None
    assert bound.transfer(virtual_of(payment), 9900, payer_account=OTHER)["serial"]


def test_a_bank_that_refuses_loses_nobodys_money(bound, buyer):
    payment = expected(9900, payer=buyer)
    # A unit of which the bank knows nothing: refused, and no more than that.
    VirtualAccount.objects.filter(pk=of(payment).pk).update(unit="12")
    tell_all()
    assert of(payment).limit_asked_at == NOON
    VirtualAccount.objects.filter(pk=of(payment).pk).update(unit=virtual_of(payment)[-10:])

    assert bound.transfer(virtual_of(payment), 9900, payer_account=OTHER)["serial"]
    tell_all(at=NOON + timedelta(minutes=7))

    assert of(payment).limit_asked_at is None
    assert bound.refused(virtual_of(payment), 9900, payer_account=OTHER) == "PAYER_NOT_ALLOWED"


def test_an_answer_that_says_nothing_of_the_payer_proves_nothing(bound, buyer):
    """Nobody is told of a limit that is not there as of one that is; and it is asked for again."""
    payment = expected(9900, payer=buyer)
    bound.faults(LIMITS, "any_payer")

    tell_all()
    assert of(payment).limit_asked_at == NOON
    tell_all(at=NOON + timedelta(minutes=7))

    assert of(payment).limit_asked_at is None
    assert len(bound.journal(LIMITS)) == 2
