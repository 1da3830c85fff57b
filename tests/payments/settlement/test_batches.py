"""Every morning whoever has enough is paid; debts before that; and the merchant's own API."""

import pytest

from members.accounts.models import User
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.payouts import batches, payees
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import Bank
from payments.settlement import debts
from tests.factories import key
from tests.members.people import client_of, make_merchant, make_staff, make_user
from tests.payments.settlement.scene import (
    CARD,
    CLERK,
    LATER,
    MERCHANT,
    NOON,
    OTHER,
    PRICE,
    earned,
    payee,
    there,
)
from tests.payments.transfers.bank import account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _earned(db, settings):
    settings.PAYOUT_BATCH_ABOVE_FEN = 50_000
    earned()
    payee()


def owe(fen):
    legs = {f"receivable:{MERCHANT}": fen}, {"clearing:TEST": fen}
    ledger.post([Draft("TEST", f"owe {fen}", *legs)], at=NOON)


def owed():
    return books.balance(f"receivable:{MERCHANT}")


def test_who_has_enough_is_paid_all_of_it_once():
    other = payees.ask(
        merchant="M2", bank=Bank("6222000011112222", "乙", "工行"), actor=CLERK, at=NOON
    )
    payees.check(payee=other, approve=True, actor=OTHER, at=NOON)
    assert batches.pay_all(at=NOON) == []  # the account is too new

    (made,) = batches.pay_all(at=LATER)
    assert batches.pay_all(at=LATER) == []

    assert (made.merchant, made.amount_fen, made.asked_by) == (MERCHANT, PRICE, "")
    assert there() == (0, PRICE)
    assert Payout.objects.count() == 1
    assert ledger.audit() == []


def test_less_than_the_minimum_waits_and_zero_turns_it_off(settings):
    settings.PAYOUT_BATCH_ABOVE_FEN = PRICE + 1
    assert batches.pay_all(at=LATER) == []
    settings.PAYOUT_BATCH_ABOVE_FEN = 0
    assert batches.pay_all(at=LATER) == []

    assert there() == (PRICE, 0)


def test_what_is_owed_is_paid_first_and_the_rest_goes_out():
    owe(30_000)

    (made,) = batches.pay_all(at=LATER)

    assert made.amount_fen == PRICE - 30_000
    assert (there(), owed()) == ((0, PRICE - 30_000), 0)


def test_a_debt_above_what_is_there_takes_all_and_the_next_release_pays_the_rest():
    owe(PRICE + 500)
    assert debts.indebted() == [MERCHANT]

    assert debts.square(merchant=MERCHANT, at=NOON) == PRICE
    assert batches.pay_all(at=LATER) == []
    assert (there(), owed()) == ((0, 0), 500)

    earned(700)
    debts.square(merchant=MERCHANT, at=NOON)
    assert (there(), owed()) == ((200, 0), 0)
    assert debts.indebted() == []


def test_what_was_paid_of_a_debt_that_is_written_off_comes_back():
    owe(30_000)
    debts.square(merchant=MERCHANT, at=NOON)
    legs = {"clearing:TEST": 10_000}, {f"receivable:{MERCHANT}": 10_000}
    ledger.post([Draft("TEST", "written off", *legs)], at=NOON)

    debts.square(merchant=MERCHANT, at=NOON)

    assert (there(), owed()) == ((PRICE - 20_000, 0), 0)


# --- the merchant's own


@pytest.fixture
def shop():
    merchant = make_merchant("茶庄")
    account()
    own = f"merchant:{merchant.number}:available"
    legs = {"clearing:TEST": 80_000}, {own: 80_000}
    ledger.post([Draft("TEST", "earned", *legs)], at=NOON)
    return merchant


def finance(shop, name):
    return client_of(make_staff(shop, "FINANCE", user=make_user(name)))


def post(client, path, body, **more):
    return client.post(f"/api/v1/{path}", body, format="json", **(more or key()))


def test_a_merchant_asks_for_its_money_by_itself(shop, settings):
    settings.PAYEE_PAUSE_DAYS = 0
    settings.PAYOUT_CHECK_ABOVE_FEN = 10_000
    one, two = finance(shop, "甲"), finance(shop, "乙")
    bank = {
        "account_no": CARD.account_no,
        "account_name": CARD.account_name,
        "bank_name": CARD.bank_name,
    }
    assert post(one, "settlement/payouts", {"amount_fen": 1}).json()["code"] == "PAYEE_MISSING"
    for wrong in ({"account_no": "12"}, {"account_name": "=1+1"}, {"bank_name": "@x"}):
        assert post(one, "settlement/payee", bank | wrong).json()["code"] == "INVALID"
    asked = post(one, "settlement/payee", bank)
    assert (asked.status_code, asked.json()["account_no"]) == (201, "****4455")
    check = f"settlement/payees/{asked.json()['number']}/check"
    assert post(one, check, {"approve": True}).json()["code"] == "SECOND_PERSON_NEEDED"
    assert post(two, check, {"approve": True}).json()["status"] == "ACTIVE"

    same = key()
    first = post(one, "settlement/payouts", {"amount_fen": 50_000}, **same)
    again = post(one, "settlement/payouts", {"amount_fen": 50_000}, **same)

    assert first.status_code == 201, first.content
    assert first.json()["number"] == again.json()["number"]
    standing = one.get("/api/v1/settlement").json()
    assert standing == {
        "merchant": shop.number, "available_fen": 30_000, "frozen_fen": 50_000, "owed_fen": 0,
    }  # fmt: skip
    assert post(one, "settlement/payouts", {"amount_fen": 30_001}).json()["code"] == "NOT_COVERED"
    check = f"settlement/payouts/{first.json()['number']}/check"
    assert post(one, check, {"approve": False}).json()["code"] == "SECOND_PERSON_NEEDED"
    assert post(two, check, {"approve": False, "reason": "下月"}).json()["status"] == "DECLINED"
    assert one.get("/api/v1/settlement").json()["available_fen"] == 80_000
    listed = one.get("/api/v1/settlement/payouts?status=DECLINED").json()["results"]
    assert [row["failure"] for row in listed] == ["下月"]


def test_a_merchant_pays_its_deposit_and_asks_for_it_back(shop):
    one = finance(shop, "甲")

    assert post(one, "deposit/top-ups", {"amount_fen": 80_000}).status_code == 201
    asked = post(one, "deposit/refunds", {"amount_fen": 30_000, "reason": "不再经营"})

    assert (asked.status_code, asked.json()["status"]) == (201, "ASKED")
    assert one.get("/api/v1/deposit").json() == {
        "merchant": shop.number, "deposit_fen": 50_000, "frozen_fen": 30_000,
    }  # fmt: skip
    kinds = [row["kind"] for row in one.get("/api/v1/deposit/moves").json()["results"]]
    assert kinds == ["REFUND", "TOP_UP"]
    assert one.get("/api/v1/settlement").json()["available_fen"] == 0


def test_without_a_key_nothing_is_asked_for_and_others_see_nothing(shop):
    one = finance(shop, "甲")
    bare = one.post("/api/v1/settlement/payouts", {"amount_fen": 1}, format="json")
    assert bare.json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    elsewhere = finance(make_merchant("别家"), "丙")

    asked = elsewhere.get(f"/api/v1/settlement?merchant={shop.number}")

    assert asked.status_code == 404
    assert User.objects.count() >= 2
    assert not Payee.objects.filter(merchant=shop.number).exists()
