"""What is loaded for lines that name nothing: enough, bounded, in three statements."""

from typing import Any

import pytest

from payments.cashier import services as cashier
from payments.cashier.models import PartPaid
from payments.ledger.services import audit
from payments.receiving.models import TransferIntent
from payments.transfers import desk, evidence
from payments.transfers.ladder.facts import Fact, Terms
from payments.transfers.models import Policy, StatementLine
from payments.transfers.remarks import codes_in
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    NOON,
    account,
    arrive,
    booking,
    code_of,
    expected,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900
ACCOUNT = "6222020200112233"
WANGS = {f"账号{ACCOUNT}", "户名王小美"}


def line(own, fen=PRICE, **changes: Any) -> Fact:
    texts = (changes.pop("remark", "货款"),)
    blank = Fact(1, own.pk, fen, "", codes_in(texts), texts, "赵六", "6217009988776655")
    return blank._replace(**changes)


def found(*facts: Fact) -> set[str]:
    intents, _ = evidence.more(facts)
    return {intent.payment for intent in intents}


def test_payments_of_the_same_amount_are_found_on_that_account_only(account):
    wanted, _ = expected(PRICE), expected(1)
    gone = expected(PRICE)
    cashier.close(purpose="ORDER", references=[gone.reference], at=NOON)

    assert found(line(account)) == {wanted.number}
    assert found(line(account)._replace(account_id=0)) == set()


def test_open_payments_of_a_buyer_are_found_by_the_account_or_the_name_that_paid_before(account):
    buyer = make_user()
    arrive(booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer))))
    wanted, _ = expected(PRICE, payer=buyer), expected(7000)

    by_account, payers = evidence.more([line(account, 1, payer_account=ACCOUNT)])

    assert [intent.payment for intent in by_account] == [wanted.number]
    assert payers == {buyer.pk: WANGS}
    assert found(line(account, 1, payer_name="王 小 美")) == {wanted.number}
    assert found(line(account, 1, payer_account="6222****2233")) == set()
    assert found(line(account, 1, payer_name="支付宝备付金", payer_account=ACCOUNT)) == set()


def test_what_was_undone_makes_no_payer_known(account):
    buyer = make_user()
    (paid,) = arrive(booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer))))
    expected(PRICE, payer=buyer)
    desk.undo(line=paid, actor="UFINANCE", at=NOON)

    assert found(line(account, 1, payer_account=ACCOUNT)) == set()


def test_payments_of_codes_and_near_codes_are_found_whatever_their_state(account):
    one, other = expected(1), expected(2)
    cashier.close(purpose="ORDER", references=[other.reference], at=NOON)

    assert found(line(account, remark=code_of(one))) == {one.number}
    assert found(line(account, remark=code_of(other)[:-1])) == {other.number}
    assert found(line(account, 3, virtual_account=virtual_of(one))) == {one.number}


def test_a_virtual_account_that_was_given_to_another_payment_names_the_first_no_longer(account):
    one = expected(1)
    TransferIntent.objects.filter(payment=one).update(released_at=NOON)

    (intent,), _ = evidence.more(
        [line(account, remark=code_of(one), virtual_account=virtual_of(one))]
    )

    assert (intent.payment, intent.virtual_account) == (one.number, "")


def test_the_rows_are_bounded_and_the_statements_counted(db, django_assert_num_queries):
    own = account(units=1)
    buyer = make_user()
    arrive(booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer))))
    for fen in range(1, 16):
        expected(fen, payer=buyer)
    for _ in range(6):
        expected(PRICE)
    lines = [line(own, PRICE, remark=f"第{i}笔", payer_account=ACCOUNT) for i in range(40)]

    with django_assert_num_queries(3):
        intents, _ = evidence.more(lines)
    with django_assert_num_queries(1):
        evidence.crowded(lines)

    assert len(intents) == evidence.OPEN_OF_A_BUYER + evidence.OF_AN_AMOUNT


def test_only_payments_that_still_wait_are_held(account):
    one, gone = expected(PRICE), expected(PRICE)
    cashier.close(purpose="ORDER", references=[gone.reference], at=NOON)

    assert evidence.hold([one.pk, gone.pk, 0]) == {one.pk: PRICE}


def test_a_merchants_terms_are_its_own_or_the_default(db):
    Policy.objects.create(merchant="", rungs_off=["T4"])
    Policy.objects.create(merchant=payable.MERCHANT, rungs_on=["T5"], fee_up_to_fen=50)
    Policy.objects.create(merchant="M_ANOTHER", automatic_up_to_fen=1)

    assert evidence.terms({payable.MERCHANT}) == {
        "": Terms(off=frozenset({"T4"})),
        payable.MERCHANT: Terms(auto=frozenset({"T5"}), fee_up_to_fen=50),
    }


def test_a_rung_that_is_switched_off_asks_a_person(account):
    Policy.objects.create(merchant="", rungs_off=["T2a"])
    payment = expected(PRICE)

    (suggested,) = arrive(booking(PRICE, remark=code_of(payment)))

    assert suggested.verdict == "SUGGESTED"
    assert suggested.reasons[0] == "商家已停用规则 T2a"
    payment.refresh_from_db()
    assert payment.received_fen == 0


def test_the_list_of_what_was_paid_in_part_follows_the_payments(account):
    payment = expected(PRICE)

    (line,) = arrive(booking(PRICE - 300, virtual_account=virtual_of(payment)))
    assert list(PartPaid.objects.values_list("payment", "left_fen")) == [(payment.pk, 300)]
    arrive(booking(100, virtual_account=virtual_of(payment)))
    assert PartPaid.objects.get().left_fen == 200

    arrive(booking(200, virtual_account=virtual_of(payment)))
    assert not PartPaid.objects.exists()
    desk.undo(line=StatementLine.objects.get(pk=line.pk), actor="U1", at=NOON)
    assert PartPaid.objects.get().left_fen == PRICE - 300
    assert audit() == []


def test_the_audit_finds_what_that_list_has_wrong(account):
    short, forgotten, paid = expected(PRICE), expected(PRICE), expected(PRICE)
    for payment in (short, forgotten):
        arrive(booking(PRICE - 300, virtual_account=virtual_of(payment)))
    PartPaid.objects.filter(payment=short).update(left_fen=200)
    PartPaid.objects.filter(payment=forgotten).delete()
    PartPaid.objects.create(payment=paid, left_fen=100)

    assert sorted(audit()) == sorted(
        f"支付单 {payment.number} 已部分付款，还差 {left} 元，清单记为 {listed} 元"
        for payment, left, listed in (
            (short, "3.00", "2.00"), (forgotten, "3.00", "0.00"), (paid, "0.00", "1.00"),
        )
    )  # fmt: skip
    PartPaid.objects.filter(payment=short).update(left_fen=300)
    PartPaid.objects.filter(payment=paid).delete()
    PartPaid.objects.create(payment=forgotten, left_fen=300)
