"""A reversal without its original: a person names it, and it is undone whatever it has paid."""

from datetime import timedelta

import pytest

from payments.cashier import refunds
from payments.cashier.models import Payment, PaymentEvent, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers import queries, returns, reversals
from payments.transfers.decisions import DecidedMeanwhile
from payments.transfers.models import Allocation, LineEvent, Policy, StatementLine
from payments.transfers.reversals import NotAReversal, NotTheOriginal
from shop.orders import services as orders
from shop.orders.models import Order
from tests.factories import NOON, make_sku, make_user, pay, place, ship
from tests.members.people import make_merchant, make_staff
from tests.payments.transfers.bank import ACCOUNT, account, arrive, booking, push

pytestmark = pytest.mark.django_db
CLERK = "U000CLERK"
LATER = NOON + timedelta(hours=3)


@pytest.fixture(autouse=True)
def _books():
    yield
    assert ledger.audit() == []


def fresh(line):
    return StatementLine.objects.select_related("receiving_account").get(pk=line.pk)


def paid():
    order = place(make_user(), make_sku())
    payment = pay(order)
    order.refresh_from_db()
    line = fresh(Allocation.objects.get(payment=payment).line)
    return order, payment, line


def taken(line, fen=None, **changes):
    """The bank takes so many fen out, and does not say of what."""
    own = line.receiving_account.account_no
    said = {"is_reversal": True, "remark": "冲正", "booked_at": LATER} | changes
    (found,) = arrive(booking(-(fen or line.amount_fen), **said), account_no=own, at=LATER)
    return fresh(found)


def pair(reversal, original, **changes):
    said = {"reason": "银行回单注明", "actor": CLERK, "at": LATER} | changes
    return reversals.pair(line=reversal, original=original, **said)


def both(*lines):
    return {fresh(line).verdict for line in lines}


def test_what_was_paid_with_it_is_undone_and_not_shipped():
    order, payment, line = paid()
    reversal = taken(line)
    assert (reversal.verdict, queries.actions(reversal)["reverse"]) == ("CONFLICT", True)

    pair(reversal, line)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert both(line, reversal) == {"REVERSED"}
    assert (payment.status, payment.received_fen) == ("WAITING", 0)
    assert (order.status, order.freeze_reason) == ("PAID", "REVERSED")
    own = line.receiving_account.account_no
    assert books.balance(f"suspense:{own}") == books.balance(f"bank:{own}") == 0
    assert books.balance(f"elsewhere:{own}") == 0


def test_who_said_so_and_why_is_kept_on_both_lines_and_the_payment():
    _, payment, line = paid()
    reversal = taken(line)

    pair(reversal, line)

    on_line = LineEvent.objects.get(line=line, kind="REVERSED")
    on_reversal = LineEvent.objects.get(line=reversal, kind="REVERSED")
    assert on_line.actor == on_reversal.actor == CLERK
    assert (on_line.facts["reversal"], on_line.facts["reason"]) == (
        reversal.number, "银行回单注明",
    )  # fmt: skip
    assert on_reversal.facts["original"] == line.number
    assert on_reversal.facts["judged"]["rule"] == "R"
    assert PaymentEvent.objects.get(payment=payment, kind="REVERSED").actor == CLERK


def test_goods_that_have_left_do_not_stop_it():
    order, payment, line = paid()
    ship(order)

    pair(taken(line), line)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, payment.status) == ("SHIPPED", "WAITING")
    assert order.frozen_at


def test_what_was_refunded_already_is_the_merchants_debt(settings):
    order, payment, line = paid()
    orders.cancel(order=order, actor="U1", at=NOON)
    settings.PAYMENT_METHODS = {"BANK_TRANSFER": "tests.payments.channel"}
    refunds.send(refund=Refund.objects.select_related("payment").get(), at=NOON)

    pair(taken(line), line)

    assert books.balance(f"receivable:{payment.merchant}") == line.amount_fen
    assert Refund.objects.get().status == "DONE"
    assert Order.objects.get().frozen_at


def test_what_waits_in_suspense_is_gone():
    account()
    (line,) = arrive(booking(9900))
    line = fresh(line)
    reversal = taken(line)

    pair(reversal, line)

    assert both(line, reversal) == {"REVERSED"}
    assert books.balance(f"suspense:{ACCOUNT}") == 0


def test_the_next_statement_that_names_the_original_changes_nothing():
    _, _, line = paid()
    reversal = taken(line)
    pair(reversal, line)

    again = booking(-line.amount_fen, serial=reversal.serial, is_reversal=True,
                    reverses=line.serial, remark="冲正", booked_at=LATER)  # fmt: skip
    arrive(again, account_no=line.receiving_account.account_no, at=LATER)

    assert both(line, reversal) == {"REVERSED"}
    assert fresh(reversal).reverses == line.serial
    assert LineEvent.objects.filter(kind="REVERSED").count() == 2


# --- what it is not


def refused(reversal, original, why):
    before = [fresh(reversal).verdict, fresh(original).verdict, LineEvent.objects.count()]
    with pytest.raises(NotTheOriginal, match=why):
        pair(reversal, original)
    assert [fresh(reversal).verdict, fresh(original).verdict, LineEvent.objects.count()] == before


def test_another_amount_another_day_or_another_account_is_refused():
    account()
    account("755900000220")
    (line,) = arrive(booking(9900))
    line = fresh(line)
    (late,) = arrive(booking(9900, booked_at=LATER + timedelta(days=1)))
    (other,) = arrive(booking(9900), account_no="755900000220")

    refused(taken(line, 9899), line, "98.99 元")
    reversal = taken(line)
    refused(reversal, fresh(late), "之后才入账")
    refused(reversal, fresh(other), "收款账户")
    refused(reversal, reversal, "99.00 元")


def test_what_another_reversal_names_or_the_bank_calls_by_another_serial_is_refused():
    account()
    lines = [fresh(one) for one in arrive(booking(9900), booking(9800), booking(9900))]
    reversal = taken(lines[0])
    taken(lines[0], 1, reverses=lines[0].serial)
    named = taken(lines[2], reverses=lines[1].serial)

    refused(reversal, lines[0], "另一笔冲正")
    refused(named, lines[2], lines[1].serial)


def test_a_line_that_is_being_returned_is_refused_until_that_is_declined():
    account()
    (line,) = arrive(booking(9900))
    reversal = taken(fresh(line))
    Policy.objects.create(merchant="", check_above_fen=0)
    asked = returns.give_back(line=fresh(line), actor="U0", at=NOON)

    refused(reversal, fresh(line), "正在退回")

    returns.check(asked=asked, approve=False, actor="U1", at=NOON)
    pair(reversal, fresh(line))
    assert both(line, reversal) == {"REVERSED"}


def test_an_ordinary_debit_and_a_reversal_that_is_done_are_refused():
    account()
    first, second, debit = arrive(booking(9900), booking(9900), booking(-9900))
    with pytest.raises(NotAReversal):
        pair(fresh(debit), fresh(first))
    reversal = taken(fresh(first))
    stale = fresh(reversal)
    pair(reversal, fresh(first))

    with pytest.raises(DecidedMeanwhile):
        pair(stale, fresh(second))
    with pytest.raises(DecidedMeanwhile):
        pair(fresh(reversal), fresh(second))

    assert fresh(second).verdict == "UNMATCHED"
    assert Payment.objects.count() == 0


# --- what is offered


def test_the_same_payers_lines_are_offered_first_and_no_other_merchants():
    ours, theirs = make_merchant(), make_merchant("别家")
    account(merchant=ours.number)
    account("755900000220", merchant=theirs.number)
    for one in (
        booking(9900, payer_account="6217000000000001", payer_name="李四"),
        booking(9900, booked_at=NOON - timedelta(hours=1)),
        booking(9800),
        booking(9900, booked_at=NOON - timedelta(days=40)),
    ):
        push(one)
    arrive(booking(9900), account_no="755900000220")
    found = StatementLine.objects.filter(receiving_account__account_no=ACCOUNT, amount_fen=9900)
    recent = found.filter(booked_at__gt=NOON - timedelta(days=1))
    li, wang = (recent.get(payer_name=name) for name in ("李四", "王小美"))
    reversal = taken(fresh(li), payer_account=wang.payer_account, payer_name="王小美")
    finance, stranger = make_staff(ours, "FINANCE"), make_staff(theirs, "FINANCE")

    assert list(queries.originals(finance, reversal)) == [wang, li]
    assert list(queries.originals(stranger, reversal)) == []
    assert list(queries.originals(finance, reversal, li.number)) == [li]
    assert queries.originals(finance, reversal, "王小美").count() == 2  # the old one, too
