"""Reference codes on their round: held for two years, given again, and spared when scarce."""

from datetime import timedelta

import pytest

from payments.cashier import services as cashier
from payments.receiving import rules, services
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.receiving.rules import CODE_RESTS, CODES_SCARCE
from payments.transfers import method
from payments.transfers.rules import Verdict
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    NOON,
    arrive,
    booking,
    code_of,
    expected,
    push,
    virtual_of,
)
from tests.payments.transfers.bank import account as make_account

pytestmark = pytest.mark.django_db
LATER = NOON + CODE_RESTS
LI = {"payer_name": "李四", "payer_account": "6217009988776655"}


@pytest.fixture
def one_code(account, monkeypatch):
    """An account without virtual accounts, in a world of a single code."""
    VirtualAccount.objects.all().delete()
    monkeypatch.setattr(rules, "CODES", 1)
    return account


def close(payment, at=NOON):
    cashier.close(purpose="ORDER", references=[payment.reference], at=at)


def given_again(fen=9900):
    """An old payment's code, now of another buyer's payment of the same amount."""
    old = expected(fen)
    close(old)
    services.release_codes(at=LATER)
    return old, expected(fen, at=LATER)


def test_a_code_is_given_again_two_years_after_its_payment_was_over(one_code):
    old = expected()
    close(old)

    assert services.release_codes(at=LATER - timedelta(seconds=1)) == 0
    with pytest.raises(services.NoReferenceCode):
        expected(at=LATER)
    assert services.release_codes(at=LATER) == 1
    new = expected(at=LATER)

    assert code_of(new) == code_of(old)
    assert new.transfer_intent.is_code_again
    assert method.instructions([old])[old.pk]["reference"] is None


@pytest.mark.parametrize("holds", ["it waits", "late money"])
def test_a_code_is_held_while_anything_happens_to_its_payment(one_code, holds):
    payment = expected()
    if holds == "late money":
        push(booking(5000, remark=code_of(payment), payer_name="王小美"))
        close(payment, at=NOON + timedelta(days=1))

    assert services.release_codes(at=LATER) == 0


def test_codes_that_were_never_used_come_first(one_code, monkeypatch):
    old = expected()
    close(old)
    services.release_codes(at=LATER)
    monkeypatch.setattr(rules, "CODES", 2)

    new = expected(at=LATER)

    assert code_of(new) != code_of(old)
    assert not new.transfer_intent.is_code_again


def test_late_money_with_an_old_code_does_not_pay_who_has_the_code_now(one_code):
    _, new = given_again()

    (line,) = arrive(booking(9900, remark=code_of(new), **LI), at=LATER)

    new.refresh_from_db()
    assert (line.verdict, line.rule, new.status) == (Verdict.SUGGESTED, "T2a", "WAITING")
    assert "两年前属于另一张支付单" in line.reasons[0]
    assert [one["payment"] for one in line.candidates] == [new.number]


def test_a_known_payer_with_a_code_given_again_pays_by_himself(one_code):
    buyer = make_user()
    push(booking(100, remark=code_of(expected(100, payer=buyer)), **LI))
    services.release_codes(at=LATER)
    new = expected(payer=buyer, at=LATER)
    assert new.transfer_intent.is_code_again

    (line,) = arrive(booking(9900, remark=code_of(new), **LI), at=LATER)

    new.refresh_from_db()
    assert (line.verdict, line.rule, new.status) == (Verdict.MATCHED, "T2a", "CONFIRMED")


def test_several_codes_with_one_given_again_are_for_a_person(one_code, monkeypatch):
    _, new = given_again()
    monkeypatch.setattr(rules, "CODES", 50)
    other = expected(100, payer=new.payer, at=LATER)
    assert not other.transfer_intent.is_code_again

    (line,) = arrive(booking(10000, remark=f"{code_of(new)} {code_of(other)}", **LI), at=LATER)

    assert (line.verdict, line.rule) == (Verdict.SUGGESTED, "T3b")
    assert "两年前属于另一张支付单" in line.reasons[0]


def test_a_code_taken_back_names_nobody_until_it_is_given_again(one_code):
    old = expected()
    close(old)
    (before,) = arrive(booking(9900, remark=code_of(old), **LI))
    services.release_codes(at=LATER)

    (after,) = arrive(booking(9900, remark=code_of(old), **LI), at=LATER)

    assert (before.verdict, before.rule) == (Verdict.SUGGESTED, "T2a")
    assert (after.verdict, after.rule) == (Verdict.UNMATCHED, "")


def test_where_codes_are_scarce_a_payment_with_its_own_number_has_none(account):
    VirtualAccount.objects.exclude(unit="0000000001").delete()
    ReceivingAccount.objects.update(codes_in_use=CODES_SCARCE)
    spared, coded = expected(), expected()

    told = method.instructions([spared])[spared.pk]
    assert (code_of(spared), told["reference"]) == ("", None)
    assert told["message"] == "请转账 99.00 元，转到这个专属账号即可，附言不必填写"
    assert coded.transfer_intent.virtual_account is None
    assert len(code_of(coded)) == 8  # the store is empty: it needs one
    push(booking(9900, virtual_account=virtual_of(spared)))
    spared.refresh_from_db()
    assert spared.status == "CONFIRMED"


def test_a_buyers_own_number_keeps_its_codes(db):
    make_account(gives="MEMBER")
    ReceivingAccount.objects.update(codes_in_use=CODES_SCARCE)

    assert len(code_of(expected())) == 8


@pytest.mark.parametrize("gives", ["PAYMENT", "MEMBER"])
def test_with_a_number_nobody_is_turned_away_for_lack_of_codes(account, monkeypatch, gives):
    monkeypatch.setattr(rules, "CODES", 1)
    ReceivingAccount.objects.update(gives=gives)

    assert [code_of(expected()) for _ in range(3)] == ["00000098", "", ""]


def test_no_code_is_a_tail_of_any_account_of_ours(one_code):
    make_account("622200000098", units=0)

    with pytest.raises(services.NoReferenceCode):
        expected()


def test_codes_in_use_are_counted_for_each_account(account):
    make_account("622200000001", units=0)
    old = expected()
    close(old)
    expected()

    services.count_codes()
    assert dict(ReceivingAccount.objects.values_list("account_no", "codes_in_use")) == {
        account.account_no: 2,
        "622200000001": 0,
    }
    services.release_codes(at=LATER)
    services.count_codes()

    assert ReceivingAccount.objects.get(pk=account.pk).codes_in_use == 1
