"""One wallet, wanted by many at once; each race has a control that shows it without its guard."""

import time
from threading import Barrier

import pytest
from django.utils.timezone import now

from payments.cashier import services as cashier
from payments.cashier import tasks
from payments.cashier.models import Payment, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Account
from payments.wallet import queries
from payments.wallet import services as wallet
from payments.wallet import withdrawals as wallet_out
from payments.wallet.rules import wallet_of
from shop.orders import services as orders
from tests.concurrency.together import together
from tests.factories import make_account, make_sku, make_user, place
from tests.payments import payable
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.conftest import no_shop, wechat  # noqa: F401
from tests.payments.wallet.scene import available, bought, rich, thing
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
no_goods = pytest.mark.usefixtures("no_shop")
PRICE = 3000


@no_goods
def test_many_spend_one_wallet_and_as_many_succeed_as_it_covers():
    user = rich(5 * PRICE + 1)
    things = [thing(PRICE) for _ in range(8)]

    endings = together(8, lambda i: bought(user, reference=things[i]) and "ok")

    assert endings == {"ok": 5, "INSUFFICIENT_BALANCE": 3}
    assert (available(user), books.balance(f"held:{payable.MERCHANT}")) == (1, 5 * PRICE)
    assert Payment.objects.filter(status="CONFIRMED").count() == 5
    assert ledger.audit() == []


@no_goods
def test_read_first_and_written_then_a_wallet_is_spent_too_often():
    """If this ever fails, the test above proves nothing."""
    user, all_read = rich(2 * PRICE), Barrier(4)
    account = Account.objects.filter(code=wallet_of(user.number))

    def careless(_):
        fen = account.get().balance_fen
        all_read.wait()
        if fen < PRICE:
            return "short"
        account.update(balance_fen=fen - PRICE)
        return "ok"

    assert together(4, careless) == {"ok": 4}


@no_goods
def test_one_thing_is_paid_once_by_two_clicks():
    user, reference = rich(5 * PRICE), thing(PRICE)

    together(4, lambda i: bought(user, reference=reference) and "ok")

    assert available(user) == 4 * PRICE
    assert ledger.audit() == []


def sent():
    deadline = time.monotonic() + 10
    while going := list(Refund.objects.filter(status__in=["APPROVED", "SENDING"])):
        assert time.monotonic() < deadline
        for refund in going:
            tasks.send_refund(refund_id=refund.pk)
        time.sleep(0.02)


@pytest.mark.parametrize("first", ["the buyer", "the notice", "nobody"])
def test_the_rest_is_paid_while_the_order_is_cancelled(wechat, first):  # noqa: F811
    user = rich(10_000)
    order = place(user, make_sku(list_price_fen=9900), at=now())
    payment = bought(user, reference=order.number, method="WECHAT", wallet_fen=4000)
    cashier.prepare(payment=payment, at=now())
    wechat.pay(payment)
    [letter] = wechat.box.wait(1)

    def act(i):
        time.sleep(0.05 * (first == ("the notice", "the buyer")[i]))
        if i:
            assert wechat.hand_over(*letter) == 204
        else:
            orders.cancel(order=order, actor="", at=now())

    endings = together(2, act)
    sent()

    order.refresh_from_db()
    if order.status == "PAID":
        assert endings == {"ok": 1, "STALE_STATE": 1}
        assert (available(user), books.balance("clearing:wechat")) == (6000, 5900)
    else:
        assert (order.status, endings) == ("CLOSED", {"ok": 2})
        assert (available(user), books.balance("clearing:wechat")) == (10_000, 0)
    assert ledger.audit() == []


@no_goods
def test_looked_at_first_and_written_then_it_is_paid_and_given_up():
    """The control: without the payment's lock both find it waiting, and both go on."""
    make_account()
    payment = bought(rich(10_000), 9900, method="BANK_TRANSFER", wallet_fen=4000)
    both_looked, changes = Barrier(2), ({"received_fen": 9900}, {"refunded_fen": 4000})

    def careless(i):
        seen = Payment.objects.get(pk=payment.pk)
        both_looked.wait()
        if seen.status != "WAITING":
            return "late"
        Payment.objects.filter(pk=payment.pk).update(**changes[i])
        return "ok"

    assert together(2, careless) == {"ok": 2}


def test_two_clicks_take_one_part(wechat):  # noqa: F811
    user = rich(10_000)
    order = place(user, make_sku(list_price_fen=9900), at=now())

    endings = together(
        3, lambda _: bought(user, reference=order.number, method="WECHAT", wallet_fen=4000) and "ok"
    )

    assert endings == {"ok": 3}
    assert available(user) == 6000
    assert ledger.audit() == []


@no_goods
def test_to_the_wallet_or_back_to_the_bank_but_not_both():
    make_account()
    owed = []
    for _ in range(4):
        payment = bought(make_user(), PRICE, method="BANK_TRANSFER")
        transfer_in(payment, fen=PRICE + 50)
        owed.append(Refund.objects.select_related("payment__payer").get(payment=payment))

    for refund in owed:
        number = refund.payment.payer.number

        def choose(i, refund=refund, number=number):
            if i % 2:
                wallet.take_owed(refund=refund, owner=number, at=now())
                return "wallet"
            cashier.return_owed(refund=refund, actor=number, at=now())
            return "bank"

        endings = together(4, choose)
        assert endings["STALE_STATE"] == 3, endings
        assert available(refund.payment.payer) == (50 if endings["wallet"] else 0)
    assert ledger.audit() == []


@no_goods
def test_looked_at_first_and_moved_then_it_goes_both_ways():
    """The control: without the row's lock both find it owed."""
    make_account()
    payment = bought(make_user(), PRICE, method="BANK_TRANSFER")
    transfer_in(payment, fen=PRICE + 50)
    both_looked = Barrier(2)

    def careless(i):
        refund = Refund.objects.get(payment=payment)
        both_looked.wait()
        if refund.status != "OWED":
            return "late"
        Refund.objects.filter(pk=refund.pk).update(status=("APPROVED", "FAILED")[i])
        return "ok"

    assert together(2, careless) == {"ok": 2}


@no_goods
def test_many_withdraw_one_balance_and_one_is_accepted(wechat):  # noqa: F811
    """A73: the payee's name differs each time."""
    user = rich(10_000)

    endings = together(
        6,
        lambda i: (
            wallet_out.ask(
                user_id=user.pk,
                owner=user.number,
                amount_fen=10_000,
                to="WECHAT",
                account_name=f"王小{i}",
                at=now(),
            )
            and "ok"
        ),
    )

    assert endings == {"ok": 1, "INSUFFICIENT_BALANCE": 5}
    assert queries.balance(user.number) == (0, 10_000)
    assert ledger.audit() == []


@no_goods
def test_the_limit_of_a_day_holds_for_many_at_once(wechat, settings):  # noqa: F811
    settings.WALLET_WITHDRAWALS = settings.WALLET_WITHDRAWALS | {"day_times": 2}
    user = rich(100_000)
    asked = {"user_id": user.pk, "owner": user.number, "amount_fen": 1000, "to": "WECHAT"}

    endings = together(5, lambda _: wallet_out.ask(at=now(), **asked) and "ok")

    assert endings == {"ok": 2, "WITHDRAWALS_A_DAY": 3}
    assert queries.balance(user.number) == (98_000, 2000)


@no_goods
def test_spent_and_withdrawn_at_once_it_never_is_overdrawn(wechat):  # noqa: F811
    user = rich(4 * PRICE)
    things = [thing(PRICE) for _ in range(6)]

    def act(i):
        if i % 2:
            return bought(user, reference=things[i]) and "ok"
        wallet_out.ask(user_id=user.pk, owner=user.number, amount_fen=PRICE, to="WECHAT", at=now())
        return "ok"

    assert together(6, act) == {"ok": 4, "INSUFFICIENT_BALANCE": 2}
    available_fen, frozen_fen = queries.balance(user.number)
    assert available_fen == 0
    assert frozen_fen + books.balance(f"held:{payable.MERCHANT}") == 4 * PRICE
    assert ledger.audit() == []


@no_goods
def test_two_workers_hear_of_one_end_and_it_is_booked_once(wechat):  # noqa: F811
    user = rich(10_000)
    row = wallet_out.ask(user_id=user.pk, owner=user.number, amount_fen=5000, to="WECHAT", at=now())
    wallet_out.send(number=row.number, at=now())
    wechat.sandbox.control("wechat-pay/transfer", out_bill_no=row.number, state="FAIL")

    assert together(4, lambda _: wallet_out.send(number=row.number, at=now())) == {"ok": 4}

    assert queries.balance(user.number) == (10_000, 0)
    assert ledger.audit() == []
