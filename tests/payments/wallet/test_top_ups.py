"""Money comes into a wallet by any other way to pay, once, and what is not its goes back."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.cashier.offers import MethodNotOffered
from payments.ledger import queries as books
from payments.wallet import tasks, top_ups
from payments.wallet.models import TopUp
from payments.wechat_pay.models import WeChatTrade
from tests.factories import NOON, client_of, key, make_account, make_user
from tests.payments.offered import offer
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import available, bought, rich


def asked(user, fen=5000, method="WECHAT"):
    return top_ups.open_top_up(
        user_id=user.pk, user_number=user.number, amount_fen=fen, method=method, at=now()
    )


def by_wechat(user, fen=5000):
    payment = asked(user, fen)
    cashier.prepare(payment=payment, at=now())
    return payment


def by_transfer(user, fen=5000):
    make_account()
    return asked(user, fen, "BANK_TRANSFER")


def status():
    return TopUp.objects.get().status


def held():
    return books.balance("held:PLATFORM")


def test_paid_by_wechat_it_is_in_the_wallet(wechat):
    user = make_user()
    payment = by_wechat(user, 5000)
    assert available(user) == 0

    wechat.pay(payment)
    assert wechat.deliver() == [204]

    assert (status(), available(user), held()) == ("PAID", 5000, 0)
    assert books.balance("clearing:wechat") == 5000


def test_a_notice_twice_fills_it_once(wechat):
    user = make_user()
    payment = by_wechat(user, 5000)
    wechat.switch("double_new_id")

    wechat.pay(payment)

    assert wechat.deliver(2) == [204, 204]
    assert available(user) == 5000


def test_over_the_api_it_is_a_payment_like_any_other(wechat):
    user, once = make_user(), key()
    client = client_of(user)

    body = {"amount_fen": 5000, "method": "BANK_TRANSFER"}
    make_account()
    first = client.post("/api/v1/wallet/top-ups", body, format="json", **once)
    again = client.post("/api/v1/wallet/top-ups", body, format="json", **once)

    assert first.status_code == 201
    told = first.json()
    assert (told["purpose"], told["order"], told["top_up"]) == (
        "TOPUP", None, TopUp.objects.get().number,
    )  # fmt: skip
    assert told["instructions"]["amount_fen"] == 5000
    assert again.json() == told
    assert client.get(f"/api/v1/payments/{told['number']}").json() == told
    assert client_of(make_user()).get(f"/api/v1/payments/{told['number']}").status_code == 404


def test_a_wallet_is_not_filled_from_a_wallet():
    user = rich(10_000)

    with pytest.raises(MethodNotOffered):
        asked(user, 5000, "WALLET")
    body = {"amount_fen": 5000, "method": "WALLET"}
    answer = client_of(user).post("/api/v1/wallet/top-ups", body, format="json", **key())

    assert answer.status_code == 400
    assert not TopUp.objects.exists()


@pytest.mark.parametrize("fen", [99, 200_001])
def test_what_is_too_little_or_too_much_is_refused(fen):
    with pytest.raises(top_ups.TopUpOutOfBounds):
        asked(make_user(), fen, "BANK_TRANSFER")
    assert not TopUp.objects.exists()


def test_a_wallet_holds_so_much_with_all_that_is_coming():
    user = rich(400_000)
    by_transfer(user, 60_000)

    with pytest.raises(top_ups.WalletTooFull) as full:
        by_transfer(user, 40_001)

    assert full.value.details == {"balance_fen": 500_000, "room_fen": 40_000}
    by_transfer(user, 40_000)


def test_in_parts_it_is_there_when_all_is():
    user = make_user()
    payment = by_transfer(user, 5000)

    transfer_in(payment, fen=2000)
    assert (available(user), held(), status()) == (0, 2000, "OPEN")

    transfer_in(payment, fen=4000)
    assert (available(user), held(), status()) == (5000, 0, "PAID")
    assert Refund.objects.get().amount_fen == 1000


def test_what_nobody_paid_is_closed_and_late_money_goes_back_by_itself(wechat, time_machine):
    user = make_user()
    payment = by_wechat(user, 5000)
    wechat.pay(payment)
    letters = wechat.box.wait(1)
    WeChatTrade.objects.update(status="CLOSED", closed_at=now())
    TopUp.objects.update(pay_before=now(), look_at=now())
    tasks.expire_top_ups()
    assert (status(), Payment.objects.get().status) == ("CLOSED", "CLOSED")

    assert wechat.hand_over(*letters[0]) == 204

    assert available(user) == 0
    assert (Refund.objects.get().reason, Refund.objects.get().status) == ("LATE", "APPROVED")


def test_what_may_have_been_paid_is_looked_at_again(wechat):
    by_wechat(make_user(), 5000)
    TopUp.objects.update(pay_before=now(), look_at=now())

    tasks.expire_top_ups()

    assert status() == "OPEN"
    assert TopUp.objects.get().look_at > now()


def test_late_money_fills_the_wallet_where_the_policy_lets_it():
    user = make_user()
    payment = by_transfer(user, 5000)
    TopUp.objects.update(pay_before=NOON, look_at=NOON)
    Payment.objects.update(pay_before=NOON)
    assert top_ups.expire(numbers=[payment.reference], at=NOON) == 1

    transfer_in(payment, fen=5000)

    assert (available(user), status()) == (5000, "PAID")
    assert not Refund.objects.exists()


# --- taken back -----------------------------------------------------------------------------------


def reversed_by_the_bank(payment):
    txns = list(payment.receipts.values_list("channel_txn", flat=True))
    cashier.reverse(channel_txns=txns, method="BANK_TRANSFER", actor="", at=now())


def test_what_the_bank_takes_back_leaves_the_wallet(settings):
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]  # no bank's line
    user = make_user()
    payment = by_transfer(user, 5000)
    transfer_in(payment, fen=5000)

    reversed_by_the_bank(payment)
    assert (available(user), status(), held()) == (0, "OPEN", 0)


def test_two_transfers_that_are_taken_back_one_after_the_other(settings):
    """With the first it has left the wallet; the second finds nothing there to take."""
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]  # no bank's line
    user = make_user()
    payment = by_transfer(user, 5000)
    transfer_in(payment, fen=2000)
    transfer_in(payment, fen=3000)

    for txn in list(payment.receipts.order_by("pk").values_list("channel_txn", flat=True)):
        cashier.reverse(channel_txns=[txn], method="BANK_TRANSFER", actor="", at=now())

    assert (available(user), status(), held()) == (0, "OPEN", 0)


def test_what_was_spent_is_a_loss_that_the_books_show(settings):
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]
    user = make_user()
    payment = by_transfer(user, 5000)
    transfer_in(payment, fen=5000)
    bought(user, 3000)

    reversed_by_the_bank(payment)

    assert (available(user), status()) == (2000, "PAID")
    assert books.balance("receivable:PLATFORM") == 5000


def test_it_may_be_paid_again_after_the_bank_took_it_back(settings):
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]
    user = make_user()
    payment = by_transfer(user, 5000)
    transfer_in(payment, fen=5000)
    reversed_by_the_bank(payment)

    transfer_in(payment, fen=5000)

    assert (available(user), status()) == (5000, "PAID")


def test_a_wrong_match_is_taken_back_unless_it_was_spent():
    user = make_user()
    payment = by_transfer(user, 5000)
    top_ups_of = {payment.reference: True}
    transfer_in(payment, fen=5000)
    bought(user, 1)

    with pytest.raises(top_ups.TopUpSpent):
        top_ups.unpay(numbers=top_ups_of, at=now())


def test_the_times_are_those_of_the_method():
    made = by_transfer(make_user(), 5000)

    assert made.pay_before > now() + timedelta(days=2)


# --- by which ways -------------------------------------------------------------------------------


def test_the_ways_to_fill_a_wallet_are_those_of_the_rules_and_never_a_wallet(wechat):
    user = rich(100)
    make_account()
    offer("WECHAT", limit_fen=4000)
    client = client_of(user)

    told = client.get("/api/v1/wallet/top-ups/methods", {"amount_fen": 5000}).json()["methods"]
    assert [(one["method"], one["is_offered"], one["reason"]) for one in told] == [
        ("BANK_TRANSFER", True, None),
        ("WECHAT", False, "超过微信支付单笔限额 40.00 元，请用银行转账"),
    ]

    body = {"amount_fen": 5000, "method": "WECHAT"}
    answer = client.post("/api/v1/wallet/top-ups", body, format="json", **key())
    assert (answer.status_code, answer.json()["code"]) == (409, "METHOD_NOT_OFFERED")
    assert not TopUp.objects.exists()
    too_little = client.get("/api/v1/wallet/top-ups/methods", {"amount_fen": 1})
    assert too_little.json()["code"] == "TOP_UP_OUT_OF_BOUNDS"
