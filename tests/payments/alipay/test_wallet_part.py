"""A part from the wallet: Alipay collects the rest, and each goes back as it came."""

from datetime import timedelta

from django.utils.timezone import now

from payments.alipay.models import AlipayTrade
from payments.cashier import refunds, services
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Receipt, Refund
from payments.channels.asking import GRACE
from tests.payments.wallet.scene import available, bought, rich, thing


def opened(user, method="ALIPAY_QR", fen=9900, wallet_fen=4000, reference=""):
    payment = bought(user, fen, reference, method=method, wallet_fen=wallet_fen)
    services.prepare(payment=payment, at=now())
    return payment


def asked(payment):
    trades = AlipayTrade.objects.filter(payment=payment).order_by("pk")
    return list(trades.values_list("status", "amount_fen"))


def test_a_code_is_for_what_the_wallet_has_left_and_all_goes_back_as_it_came(scene):
    user = rich(10_000)
    payment = opened(user)
    assert (available(user), asked(payment)) == (6000, [("OPEN", 5900)])

    scene.pay(payment)
    scene.deliver()
    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"
    assert set(Receipt.objects.values_list("method", "amount_fen")) == {
        ("WALLET", 4000),
        ("ALIPAY_QR", 5900),
    }

    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    for refund in Refund.objects.all():
        cashier_tasks.send_refund(refund_id=refund.pk)
    assert set(Refund.objects.values_list("way", "amount_fen", "status")) == {
        ("WALLET", 4000, "DONE"),
        ("ALIPAY_QR", 5900, "DONE"),
    }
    assert available(user) == 10_000


def test_a_link_that_nobody_followed_is_for_the_rest_as_soon_as_the_wallet_pays(scene):
    user, reference = rich(10_000), thing(9900)
    payment = opened(user, "ALIPAY_LINK", wallet_fen=0, reference=reference)
    assert asked(payment) == [("OPEN", 9900)]

    opened(user, "ALIPAY_LINK", reference=reference)
    assert b"59.00" in scene.page(payment).content
    scene.leave(payment)

    assert asked(payment) == [("CLOSED", 9900), ("OPEN", 5900)]


def test_a_code_for_the_whole_that_is_out_is_not_shown_and_another_follows(scene):
    user, reference = rich(10_000), thing(9900)
    payment = opened(user, wallet_fen=0, reference=reference)
    assert scene.instructions(payment)["qr_content"]

    opened(user, reference=reference)
    assert scene.instructions(payment) == {}
    assert asked(payment) == [("OPEN", 9900)]

    until = AlipayTrade.objects.get().offered_until
    payment.refresh_from_db()
    services.prepare(payment=payment, at=until + GRACE + timedelta(seconds=1))
    assert asked(payment) == [("CLOSED", 9900), ("OPEN", 5900)]
    assert scene.instructions(payment)["qr_content"]
