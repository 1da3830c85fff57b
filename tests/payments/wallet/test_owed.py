"""What a buyer is owed of a bank transfer may go to his wallet, by his choice and once."""

import pytest
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.cashier import services as cashier
from payments.cashier import tasks
from payments.cashier.models import Payment, Refund
from payments.ledger import queries as books
from payments.transfers import bounces
from payments.transfers.bounces import NotThisPayout
from payments.transfers.method import CannotSendBack
from payments.transfers.models import LineReturn, StatementLine
from payments.wallet import services
from payments.wallet.models import Withdrawal
from tests.factories import client_of, key, make_account, make_user
from tests.payments import payable
from tests.payments.transfers.bank import arrive, booking, transfer_in
from tests.payments.wallet.scene import available, bought

MASKED = "6222********2233"


def overpaid(user=None, *, fen=9900, extra=50, **changes):
    make_account()
    payment = bought(user or make_user(), fen, method="BANK_TRANSFER")
    transfer_in(payment, fen=fen + extra, **changes)
    return Refund.objects.get(payment=payment)


def chosen(refund):
    owner = refund.payment.payer.number
    services.take_owed(refund=refund, owner=owner, at=now())


def to_wallet(client, refund, **headers):
    url = f"/api/v1/payments/{refund.payment.number}/refunds/{refund.number}/to-wallet"
    return client.post(url, {}, format="json", **(headers or key()))


def test_the_excess_is_in_the_wallet():
    user = make_user()
    refund = overpaid(user)
    client = client_of(user)
    shown = client.get(f"/api/v1/payments/{refund.payment.number}").json()["owed_back"][0]
    assert shown["actions"] == {"return": True, "to_wallet": True}

    answer = to_wallet(client, refund)

    assert answer.status_code == 200
    assert answer.json()["owed_back"][0]["status"] == "DONE"
    assert answer.json()["owed_back"][0]["actions"] == {"return": False, "to_wallet": False}
    assert (available(user), books.balance("refund_payable:BANK_TRANSFER")) == (50, 0)
    assert client.get("/api/v1/wallet/entries").json()["results"][0]["kind"] == "应退款转入"
    assert payable.told.refunded == [refund.payment.reference]


def test_late_money_is_owed_and_goes_there_too():
    make_account()
    user = make_user()
    payment = bought(user, 9900, method="BANK_TRANSFER")
    cashier.close(purpose="ORDER", references=[payment.reference], at=now())
    transfer_in(payment, fen=9900)

    chosen(Refund.objects.get())

    assert available(user) == 9900


def test_what_was_paid_in_part_goes_there_in_one_piece():
    make_account()
    user = make_user()
    payment = bought(user, 9900, method="BANK_TRANSFER")
    transfer_in(payment, fen=1000)
    transfer_in(payment, fen=2000)
    cashier.close(purpose="ORDER", references=[payment.reference], at=now())

    chosen(Refund.objects.get())

    assert available(user) == 3000
    assert Refund.objects.get().parts.count() == 2


def test_twice_is_once():
    refund = overpaid()
    chosen(refund)

    with pytest.raises(StaleState):
        chosen(refund)
    with pytest.raises(StaleState):
        cashier.return_owed(refund=refund, actor="", at=now())

    assert available(refund.payment.payer) == 50


def test_what_is_on_its_way_back_is_not_moved():
    refund = overpaid()
    cashier.return_owed(refund=refund, actor=refund.payment.payer.number, at=now())

    with pytest.raises(StaleState):
        chosen(refund)

    assert available(refund.payment.payer) == 0


def test_where_the_bank_could_not_send_it_the_wallet_can_have_it():
    """A masked account: the way back fails, with money that is his."""
    refund = overpaid(payer_account=MASKED)
    cashier.return_owed(refund=refund, actor="", at=now())
    tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert refund.status == "FAILED"

    chosen(refund)

    assert available(refund.payment.payer) == 50


def test_it_needs_no_second_person_as_it_stays_in_the_house(settings):
    settings.REFUND_LIMIT = "tests.payments.wallet.scene.nothing_alone"
    refund = overpaid()

    chosen(refund)

    assert available(refund.payment.payer) == 50


def test_what_a_first_person_has_asked_for_waits_for_the_second(settings):
    settings.REFUND_LIMIT = "tests.payments.wallet.scene.nothing_alone"
    refund = overpaid()
    cashier.return_owed(refund=refund, actor=refund.payment.payer.number, at=now())

    with pytest.raises(StaleState):
        chosen(refund)


def test_what_the_bank_says_it_has_taken_back_is_not_given():
    refund = overpaid()
    line = StatementLine.objects.get()
    taken = booking(-line.amount_fen, is_reversal=True, reverses=line.key)
    arrive(taken)
    refund.refresh_from_db()
    assert refund.status in {"OWED", "VOID"}

    with pytest.raises((StaleState, CannotSendBack)):
        chosen(refund)

    assert available(refund.payment.payer) == 0


def test_what_is_in_the_wallet_cannot_come_back_from_the_bank(settings):
    refund = overpaid()
    chosen(refund)
    (line,) = arrive(booking(50, remark=f"退汇 {refund.number}", is_reversal=True))
    seen = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)

    with pytest.raises(NotThisPayout):
        bounces.link(
            line=seen,
            payout=refund.number,
            returned=LineReturn.objects.all(),
            refunded=Refund.objects.all(),
            withdrawn=Withdrawal.objects.none(),
            reason="附言有单号",
            actor="UCLERK",
            at=now(),
        )

    assert available(refund.payment.payer) == 50


def test_another_persons_is_not_there():
    refund = overpaid()

    assert to_wallet(client_of(make_user()), refund).status_code == 404
    assert Payment.objects.get().refunds.get().status == "OWED"
