"""What a buyer who pays by transfer is told."""

import pytest
from django.db import transaction

from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.transfers import method
from tests.payments import payable
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    account,
    booking,
    expected,
    push,
    virtual_of,
)

pytestmark = pytest.mark.django_db


def told(payment: Payment) -> dict[str, object]:
    return dict(method.instructions([payment])[payment.pk])


def test_each_payment_gets_a_virtual_account_and_a_code_of_its_own(account):
    one, two = expected(100), expected(100)

    assert told(one)["account_no"] != told(two)["account_no"]
    assert told(one)["reference"] != told(two)["reference"]
    assert str(told(one)["account_no"]).startswith(ACCOUNT)
    assert told(one)["account_name"] == "杭州私域科技"
    assert told(one)["amount_fen"] == 100
    assert told(one)["pay_before"] == one.pay_before
    assert VirtualAccount.objects.filter(state="ASSIGNED").count() == 2


def test_a_second_click_is_told_the_same(account):
    payment = expected(100)
    again = cashier.open_payment(
        payer_id=payment.payer_id,
        purpose="ORDER",
        reference=payment.reference,
        method="BANK_TRANSFER",
        at=NOON,
    )

    assert again.pk == payment.pk
    assert TransferIntent.objects.count() == VirtualAccount.objects.filter(state="ASSIGNED").count()


def test_without_a_free_virtual_account_the_code_alone_must_do(db):
    account(units=1)
    expected(100)
    second = expected(100)

    assert told(second)["account_no"] == ACCOUNT
    push(booking(100, remark=str(told(second)["reference"])))
    second.refresh_from_db()
    assert second.status == "CONFIRMED"


def test_what_is_missing_is_what_the_buyer_is_asked_for(account):
    payment = expected(100)
    push(booking(30, virtual_account=virtual_of(payment)))
    payment.refresh_from_db()

    assert told(payment)["amount_fen"] == 70


def test_a_merchants_own_account_comes_before_the_platforms(account):
    own = ReceivingAccount.objects.create(
        account_no="755911111111", account_name="茶庄", bank_name="招行", merchant=payable.MERCHANT
    )
    ReceivingAccount.objects.create(
        account_no="755922222222", account_name="别家", bank_name="招行", merchant="M_ANOTHER"
    )

    assert expected(100).transfer_intent.receiving_account == own


@pytest.mark.parametrize("first_one", [{"is_active": False}, {"codes_in_use": 500_000}])
def test_of_two_accounts_the_one_that_takes_payments_and_has_codes(account, first_one):
    own = [
        ReceivingAccount.objects.create(
            account_no=number, account_name="茶庄", bank_name="招行", merchant=payable.MERCHANT
        )
        for number in ("755911111111", "755911111112")
    ]
    assert expected(100).transfer_intent.receiving_account == own[0]
    ReceivingAccount.objects.filter(pk=own[0].pk).update(**first_one)

    assert expected(100).transfer_intent.receiving_account == own[1]


def test_money_on_its_way_is_taken_when_an_account_takes_no_new_payments(account):
    payment = expected(100)
    ReceivingAccount.objects.update(is_active=False)
    with pytest.raises(method.NoReceivingAccount):
        expected(100)

    push(booking(100, virtual_account=virtual_of(payment)))

    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"


def test_a_shop_without_an_account_offers_no_transfer(db):
    with pytest.raises(method.NoReceivingAccount):
        expected(100)

    assert not TransferIntent.objects.exists()


def test_opening_a_payment_takes_two_statements_of_transfers(account, django_assert_num_queries):
    payment = expected(100)
    TransferIntent.objects.all().delete()

    with transaction.atomic(), django_assert_num_queries(2):
        method.opened(payment, at=NOON)


def test_many_payments_are_told_in_one_query(account, django_assert_num_queries):
    payments = [expected(100) for _ in range(10)]

    with django_assert_num_queries(1):
        assert len(method.instructions(payments)) == 10
