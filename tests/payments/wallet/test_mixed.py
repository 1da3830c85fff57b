"""A part from the wallet, the rest by another way: paid when both are here, and back as it came."""

import time

import pytest
from django.utils.timezone import now

from payments.cashier import refunds, tasks
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.offers import MethodNotOffered
from payments.cashier.parts import WalletPartTaken, WalletPartTooLarge
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.wallet.services import InsufficientBalance
from payments.wechat_pay.models import WeChatTrade
from tests.factories import client_of, key, make_account
from tests.payments import payable
from tests.payments.offered import offer
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import available, bought, rich, thing

HELD = f"held:{payable.MERCHANT}"


def mixed(user, *, fen=9900, wallet_fen=4000, method="WECHAT", reference=""):
    payment = bought(user, fen, reference, method=method, wallet_fen=wallet_fen)
    if method == "WECHAT":
        cashier.prepare(payment=payment, at=now())
    return payment


def by_transfer(user, **more):
    make_account()
    return mixed(user, method="BANK_TRANSFER", **more)


def state(payment):
    payment.refresh_from_db()
    return payment.status


def sent():
    """The sweep, until every channel has an answer."""
    deadline = time.monotonic() + 10
    while going := list(Refund.objects.filter(status__in=["APPROVED", "SENDING"])):
        assert time.monotonic() < deadline
        for refund in going:
            tasks.send_refund(refund_id=refund.pk)
        time.sleep(0.02)
    return set(Refund.objects.values_list("status", flat=True))


def given_back():
    return sorted(Refund.objects.values_list("way", "amount_fen", "reason", "status"))


# --- what the rules of the cashier say ------------------------------------------------------------


def test_where_the_wallet_is_withheld_it_pays_no_part_either():
    user, reference = rich(10_000), thing(9900)
    going_on = by_transfer(user, wallet_fen=0, reference=reference)
    offer("WALLET", status="WITHHELD")

    with pytest.raises(MethodNotOffered, match="暂不支持余额支付"):
        mixed(user, method="BANK_TRANSFER", reference=reference)
    with pytest.raises(MethodNotOffered, match="暂不支持余额支付"):
        mixed(user, method="BANK_TRANSFER")

    assert (available(user), list(Payment.objects.all())) == (10_000, [going_on])


def test_parts_count_in_the_wallets_day_and_only_the_rest_in_its_methods():
    user = rich(30_000)
    offer("WALLET", day_limit_fen=9000)
    offer("BANK_TRANSFER", day_limit_fen=15_000)
    by_transfer(user, wallet_fen=4000)
    bought(user, 3000, method="WALLET")

    with pytest.raises(MethodNotOffered, match="余额支付"):
        by_transfer(user, wallet_fen=2001)
    by_transfer(user, fen=6000, wallet_fen=2000)  # 9000 of the wallet, 9900 by transfer

    with pytest.raises(MethodNotOffered, match="银行转账"):
        by_transfer(user, fen=5101, wallet_fen=0)
    by_transfer(user, fen=5100, wallet_fen=0)


def test_a_limit_of_the_wallet_is_one_of_its_part():
    user = rich(10_000)
    offer("WALLET", limit_fen=4000)

    with pytest.raises(MethodNotOffered, match="超过余额支付单笔限额 40"):
        by_transfer(user, wallet_fen=4001)
    by_transfer(user, wallet_fen=4000)

    assert available(user) == 6000


# --- paid -----------------------------------------------------------------------------------------


def test_the_wallet_pays_its_part_at_once_and_wechat_collects_the_rest(wechat):
    user = rich(10_000)

    payment = mixed(user, fen=9900, wallet_fen=4000)
    assert (available(user), payment.wallet_fen, payment.outstanding_fen) == (6000, 4000, 5900)
    assert (state(payment), payable.told.paid) == ("WAITING", [])

    wechat.pay(payment)
    assert wechat.deliver() == [204]

    assert (state(payment), payable.told.paid) == ("CONFIRMED", [payment.reference])
    assert (books.balance("clearing:wechat"), books.balance(HELD)) == (5900, 9900)


def test_the_rest_may_be_transferred_in_parts():
    user = rich(10_000)
    payment = by_transfer(user, fen=9900, wallet_fen=4000)

    transfer_in(payment, fen=900)
    assert (state(payment), payment.outstanding_fen) == ("WAITING", 5000)
    transfer_in(payment, fen=5000)

    assert state(payment) == "CONFIRMED"
    assert set(Receipt.objects.values_list("method", "kept_fen")) == {
        ("WALLET", 4000), ("BANK_TRANSFER", 900), ("BANK_TRANSFER", 5000),
    }  # fmt: skip


def test_over_the_api():
    user, once, reference = rich(10_000), key(), thing(9900)
    make_account()
    client = client_of(user)
    body = {"order": reference, "method": "BANK_TRANSFER", "wallet_fen": 4000}

    first = client.post("/api/v1/payments", body, format="json", **once)
    again = client.post("/api/v1/payments", body, format="json", **once)
    asked_anew = client.post("/api/v1/payments", body, format="json", **key())

    assert first.status_code == 201
    told = first.json()
    assert (told["wallet_fen"], told["outstanding_fen"]) == (4000, 5900)
    assert told["instructions"]["amount_fen"] == 5900
    assert again.json() == asked_anew.json() == told
    assert available(user) == 6000


def test_a_wallet_that_does_not_cover_its_part_leaves_nothing_behind():
    user = rich(3999)

    with pytest.raises(InsufficientBalance):
        by_transfer(user, fen=9900, wallet_fen=4000)

    assert not Payment.objects.exists()
    assert available(user) == 3999


@pytest.mark.parametrize(("method", "fen"), [("BANK_TRANSFER", 9900), ("WALLET", 10)])
def test_all_of_it_is_no_part(method, fen):
    user = rich(50_000)
    make_account()

    with pytest.raises((WalletPartTooLarge, InsufficientBalance)):
        bought(user, 9900, method=method, wallet_fen=fen)

    assert available(user) == 50_000


def test_a_part_is_not_changed():
    user = rich(50_000)
    payment = by_transfer(user, wallet_fen=4000)

    with pytest.raises(WalletPartTaken):
        by_transfer(user, wallet_fen=4001, reference=payment.reference)

    assert available(user) == 46_000


def test_an_open_wechat_payment_takes_a_part_later_and_asks_for_the_rest(wechat):
    user = rich(10_000)
    payment = bought(user, 9900, method="WECHAT")
    cashier.prepare(payment=payment, at=now())

    mixed(user, wallet_fen=4000, reference=payment.reference)

    trades = WeChatTrade.objects.order_by("pk").values_list("status", "amount_fen")
    assert list(trades) == [("CLOSED", 9900), ("OPEN", 5900)]
    wechat.pay(payment)
    assert wechat.deliver() == [204]
    assert state(payment) == "CONFIRMED"


def test_paid_in_full_meanwhile_what_is_too_much_goes_back_by_itself(wechat):
    user = rich(10_000)
    payment = bought(user, 9900, method="WECHAT")
    cashier.prepare(payment=payment, at=now())
    wechat.pay(payment)

    mixed(user, wallet_fen=4000, reference=payment.reference)

    assert state(payment) == "CONFIRMED"
    assert given_back() == [("", 4000, "EXCESS", "APPROVED")]
    assert sent() == {"DONE"}
    assert books.balance("clearing:wechat") == 5900


def test_a_refund_of_the_wallets_part_needs_no_second_person(settings):
    settings.REFUND_LIMIT = "tests.payments.wallet.scene.nothing_alone"
    user = rich(10_000)
    payment = by_transfer(user, wallet_fen=4000)
    transfer_in(payment, fen=1000)

    cashier.close(purpose="ORDER", references=[payment.reference], at=now())

    assert ("WALLET", 4000, "UNFINISHED", "APPROVED") in given_back()


# --- given back -----------------------------------------------------------------------------------


def test_never_completed_the_part_is_in_the_wallet_again(wechat):
    user = rich(10_000)
    payment = mixed(user, wallet_fen=4000)

    cashier.close(purpose="ORDER", references=[payment.reference], at=now())

    assert given_back() == [("WALLET", 4000, "UNFINISHED", "APPROVED")]
    assert sent() == {"DONE"}
    assert (available(user), books.balance(HELD)) == (10_000, 0)


def test_a_part_that_was_transferred_waits_for_its_payer_the_wallets_does_not():
    user = rich(10_000)
    payment = by_transfer(user, wallet_fen=4000)
    transfer_in(payment, fen=1000)

    cashier.close(purpose="ORDER", references=[payment.reference], at=now())
    sent()

    assert given_back() == [
        ("BANK_TRANSFER", 1000, "UNFINISHED", "OWED"),
        ("WALLET", 4000, "UNFINISHED", "DONE"),
    ]
    assert available(user) == 10_000


def test_a_refund_goes_back_each_part_as_it_came(wechat):
    user = rich(10_000)
    payment = mixed(user, wallet_fen=4000)
    wechat.pay(payment)
    assert wechat.deliver() == [204]

    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    assert sent() == {"DONE"}

    assert available(user) == 10_000
    [theirs] = wechat.refunds()
    assert theirs["amount"]["refund"] == 5900
    assert (books.balance("clearing:wechat"), books.balance(HELD)) == (0, 0)


def test_the_rest_that_comes_when_it_is_closed_goes_back_too(wechat):
    user = rich(10_000)
    payment = mixed(user, wallet_fen=4000)
    wechat.pay(payment)
    cashier.close(purpose="ORDER", references=[payment.reference], at=now())

    assert wechat.deliver() == [204]
    assert sent() == {"DONE"}

    assert available(user) == 10_000
    assert books.balance("clearing:wechat") == 0


def test_what_another_payment_has_paid_gives_its_part_back(wechat):
    user = rich(20_000)
    payment = mixed(user, fen=9900, wallet_fen=4000)
    wechat.pay(payment)

    whole = bought(user, reference=payment.reference)

    assert (whole.status, state(payment)) == ("CONFIRMED", "CLOSED")
    assert given_back() == [("WALLET", 4000, "TWICE", "APPROVED")]
    assert sent() == {"DONE"}
    assert available(user) == 10_100
    assert wechat.deliver() == [204]
    assert sent() == {"DONE"}
    assert books.balance("clearing:wechat") == 0


def test_what_the_bank_takes_back_leaves_the_wallets_part(settings):
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]  # no bank's line
    user = rich(10_000)
    payment = by_transfer(user, wallet_fen=4000)
    transfer_in(payment, fen=5900)
    [txn] = payment.receipts.filter(method="BANK_TRANSFER").values_list("channel_txn", flat=True)

    cashier.reverse(channel_txns=[txn], method="BANK_TRANSFER", actor="", at=now())

    assert (state(payment), payment.received_fen, payment.outstanding_fen) == (
        "WAITING", 4000, 5900,
    )  # fmt: skip


def test_the_audit_sees_a_part_that_is_not_there():
    payment = by_transfer(rich(10_000), wallet_fen=4000)
    Payment.objects.filter(pk=payment.pk).update(wallet_fen=3999)

    assert any("余额支付" in finding for finding in ledger.audit())

    Payment.objects.filter(pk=payment.pk).update(wallet_fen=4000)
