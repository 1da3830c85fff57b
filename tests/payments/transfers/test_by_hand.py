"""What a clerk paid back in net banking: the statement proves it, and two people say so."""

import pytest
from django.db import IntegrityError, transaction

from config.kit.errors import NotFound
from payments.cashier import by_hand as cashier
from payments.cashier import refunds
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import PaymentEvent, Refund
from payments.cashier.refunds import SecondPersonNeeded
from payments.ledger import queries as ledger
from payments.transfers import by_hand, desk, returns
from payments.transfers.by_hand import BookingUsed, NotInTheStatement, NotThisBooking, Said
from payments.transfers.models import LineEvent, LineReturn, StatementLine
from payments.transfers.models_by_hand import ByHand
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    expected,
    virtual_of,
)
from tests.payments.transfers.bank import account as make_account
from tests.payments.transfers.test_bounces import back, link
from tests.payments.transfers.test_desk import CLERK, PRICE, unmatched
from tests.payments.transfers.test_returns import (  # noqa: F401
    CHECKER,
    ask,
    bank,
    fresh,
    kinds,
    sent,
    suspense,
)
from tests.payments.transfers.test_reversals import reversal

pytestmark = pytest.mark.django_db
CLOSED = "9999000011112222"  # a payer whose account is closed, says the sandbox
NEW = "6217001122334455"  # where he has another


def enter(payout, booked, **changes):
    said = {
        "payout": payout,
        "booked": booked,
        "lines": StatementLine.objects.all(),
        "reason": "客户销户，改付新账户",
        "actor": CLERK,
        "at": NOON,
    }
    said = Said(**(said | changes))
    everything = {"returned": LineReturn.objects.all(), "refunded": Refund.objects.all()}
    return by_hand.enter(said=said, **everything)


def check(asked, *, approve=True, actor=CHECKER, reason=""):
    by_hand.check(asked=asked, approve=approve, actor=actor, reason=reason, at=NOON)
    asked.refresh_from_db()


def paid_out(fen, **changes):
    """The booking of money that a clerk sent in net banking."""
    named = {"payer_name": "王小美", "payer_account": NEW} | changes
    return fresh(arrive(booking(-fen, **named))[0])


def elsewhere():
    return ledger.balance(f"elsewhere:{ACCOUNT}")


def in_bank():
    return ledger.balance(f"bank:{ACCOUNT}")


def payable():
    return ledger.balance("refund_payable:BANK_TRANSFER")


@pytest.fixture
def failed(bank):  # noqa: F811
    """A line whose return the bank refused."""
    asked = sent(ask(unmatched(payer_account=CLOSED, payer_name="王小美")))
    assert asked.status == "FAILED"
    return asked


@pytest.fixture
def refund(bank):  # noqa: F811
    """7.00 too much, that the bank did not send back."""
    payment = expected(PRICE)
    arrive(
        booking(
            PRICE + 700,
            virtual_account=virtual_of(payment),
            payer_account=CLOSED,
            payer_name="王小美",
        )
    )
    row = Refund.objects.select_related("payment").get()
    refunds.approve(refund=row, actor=CLERK, at=NOON)
    refunds.send(refund=row, at=NOON)
    row.refresh_from_db()
    assert row.status == "FAILED"
    return row


def as_it_was():
    """All that a refusal must leave alone."""
    tables = (Refund, LineReturn, ByHand, StatementLine, PaymentEvent, LineEvent)
    rows = [list(table.objects.order_by("pk").values()) for table in tables]
    return rows, payable(), suspense(), elsewhere(), in_bank()


# --- a return


def test_a_return_is_done_when_another_person_confirms_the_booking(failed):
    out = paid_out(PRICE)
    assert (suspense(), elsewhere(), in_bank()) == (PRICE, -PRICE, 0)

    asked = enter(failed.number, out.serial)
    line = fresh(failed.line)
    assert (line.verdict, asked.line_return.status) == ("RETURNING", "ASKED")
    assert suspense() == PRICE
    with pytest.raises(returns.ReturnUnderWay):
        ask(line)
    check(asked)

    line, made = fresh(failed.line), LineReturn.objects.get(pk=asked.line_return_id)
    assert (line.verdict, line.returned_fen) == ("RETURNED", PRICE)
    assert (made.status, made.serial, made.asked_by, made.checked_by) == (
        "DONE", out.serial, CLERK, CHECKER,
    )  # fmt: skip
    assert (suspense(), elsewhere(), in_bank()) == (0, 0, 0)
    assert (asked.status, asked.checked_by) == ("DONE", CHECKER)
    assert kinds(line)[-2:] == ["RETURN_ASKED", "RETURNED"]
    assert kinds(out) == ["BY_HAND", "PAID_BY_HAND"]
    assert fresh(out).reasons == [f"已在网银退款：{made.number}"]
    assert failed.status == "FAILED"


def test_nothing_is_asked_of_the_bank(failed, bank):  # noqa: F811
    asked = enter(failed.number, paid_out(PRICE).serial)
    before = bank.journal("/bank/payouts")
    sent(asked.line_return)
    check(asked)
    sent(asked.line_return)

    assert bank.journal("/bank/payouts") == before


def test_declined_it_is_where_it_was_and_may_be_said_again(failed):
    out = paid_out(PRICE)
    asked = enter(failed.number, out.serial)

    check(asked, approve=False, reason="收款人不对")

    line = fresh(failed.line)
    assert (line.verdict, suspense(), elsewhere()) == ("UNMATCHED", PRICE, -PRICE)
    assert "收款人不对" in line.reasons[0]
    assert (asked.status, asked.line_return.status) == ("DECLINED", "DECLINED")
    check(enter(failed.number, out.serial))
    assert fresh(failed.line).verdict == "RETURNED"


def test_a_line_that_no_bank_could_return_is_returned_by_hand(account):
    """A masked payer, and no interface: there never was a return that failed."""
    make_account("622000000001", provider="")
    (line,) = arrive(
        booking(500, payer_account="6225****1234", payer_name="张三"), account_no="622000000001"
    )
    (out,) = arrive(
        booking(-300, payer_account=NEW, payer_name=" 张三 "), account_no="622000000001"
    )

    check(enter(fresh(line).number, out.number))

    line = fresh(line)
    assert (line.verdict, line.returned_fen) == ("UNMATCHED", 300)
    assert ledger.balance("bank:622000000001") == 200


def test_money_that_came_back_was_paid_by_hand_and_may_come_back_again(failed):
    out = paid_out(PRICE)
    asked = enter(failed.number, out.serial)
    check(asked)

    link(back(PRICE, f"退汇 {asked.line_return.number}"), asked.line_return.number)

    assert (fresh(failed.line).verdict, suspense(), in_bank()) == ("UNMATCHED", PRICE, PRICE)
    with pytest.raises(BookingUsed):
        enter(failed.number, out.serial)
    check(enter(failed.number, paid_out(PRICE).serial))
    assert (suspense(), elsewhere(), in_bank()) == (0, 0, 0)


def test_a_clerk_who_writes_our_number_has_his_payout_known(failed):
    """Its line was taken for a payout of ours, and stands in no books until now."""
    out = paid_out(PRICE, remark=f"退款 {failed.number}")
    assert (out.is_elsewhere, elsewhere(), in_bank()) == (False, 0, PRICE)

    check(enter(failed.number, out.serial))

    assert (suspense(), elsewhere(), in_bank()) == (0, 0, 0)


# --- a refund


def test_a_refund_is_done_when_another_person_confirms_the_booking(refund):
    out = paid_out(700)

    asked = enter(refund.number, out.serial)
    refund.refresh_from_db()
    assert (refund.status, refund.hand_txn, payable()) == ("SENDING", out.serial, 700)
    check(asked)

    refund.refresh_from_db()
    assert (refund.status, refund.channel_txn, refund.hand_txn) == ("DONE", out.serial, "")
    assert (payable(), elsewhere(), in_bank(), suspense()) == (0, 0, PRICE, 0)
    events = refund.payment.events.order_by("pk").values_list("kind", "actor")
    assert list(events)[-3:] == [
        ("REFUND_BY_HAND", CLERK), ("REFUND_APPROVED", CHECKER), ("REFUND_DONE", ""),
    ]  # fmt: skip
    assert kinds(out) == ["BY_HAND", "PAID_BY_HAND"]


def test_while_it_waits_nobody_sends_it(refund, bank):  # noqa: F811
    asked = enter(refund.number, paid_out(700).serial)
    before = bank.journal("/bank/payouts")

    cashier_tasks.send_refund(refund_id=refund.pk)
    Refund.objects.update(sent_at=NOON)
    cashier_tasks.send_refunds()
    with pytest.raises(refunds.StaleState):
        refunds.approve(refund=refund, actor="U9", at=NOON)

    assert bank.journal("/bank/payouts") == before
    check(asked)
    refund.refresh_from_db()
    assert refund.status == "DONE"


def test_declined_a_refund_has_failed_as_before(refund):
    out = paid_out(700)
    check(enter(refund.number, out.serial), approve=False, reason="不是这个人")

    refund.refresh_from_db()
    assert (refund.status, refund.hand_txn, payable()) == ("FAILED", "", 700)
    assert "不是这个人" in refund.failure
    check(enter(refund.number, out.serial))
    refund.refresh_from_db()
    assert (refund.status, payable()) == ("DONE", 0)


def test_a_refund_that_came_back_is_paid_by_hand(bank):  # noqa: F811
    payment = expected(PRICE)
    arrive(booking(PRICE + 700, virtual_account=virtual_of(payment)))
    row = Refund.objects.select_related("payment").get()
    refunds.approve(refund=row, actor=CLERK, at=NOON)
    refunds.send(refund=row, at=NOON)
    row.refresh_from_db()
    theirs = paid_out(700, serial=row.channel_txn, remark=f"退款 {row.number}")
    link(back(700, f"退汇 {row.number}"), row.number)

    with pytest.raises(BookingUsed):  # the bank's own payout, which came back
        enter(row.number, theirs.serial)
    check(enter(row.number, paid_out(700, remark=f"退款 {row.number}").serial))

    row.refresh_from_db()
    assert (row.status, payable(), elsewhere()) == ("DONE", 0, 0)


def test_what_the_bank_takes_back_meanwhile_is_a_loss_and_not_paid_twice(refund):
    asked = enter(refund.number, paid_out(700).serial)
    arrival = StatementLine.objects.get(amount_fen=PRICE + 700)

    arrive(reversal(fresh(arrival)))
    check(asked)

    refund.refresh_from_db()
    assert (refund.status, payable()) == ("DONE", 0)
    assert fresh(arrival).verdict == "REVERSED"
    assert ledger.balance("receivable:M0000000000000") == 700


# --- what is refused


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ({"fen": 699}, "金额"),
        ({"fen": 701}, "金额"),
        ({"fen": -700}, "不是付出"),
        ({"currency": "USD"}, "人民币"),
        ({"is_reversal": True}, "冲正"),
        ({"payer_name": "李四"}, "付款人"),
        ({"payer_name": ""}, "付款人"),
    ],
)
@pytest.mark.parametrize("of", ["return", "refund"])
def test_a_booking_that_is_not_this_payout_proves_nothing(bank, request, of, out, why):  # noqa: F811
    if of == "return":
        first = sent(ask(unmatched(fen=700, payer_account=CLOSED, payer_name="王小美")))
    else:
        first = request.getfixturevalue("refund")
    out = paid_out(**({"fen": 700} | out))
    before = as_it_was()

    with pytest.raises(NotThisBooking, match=why):
        enter(first.number, out.serial)

    assert as_it_was() == before


def test_what_is_not_in_the_statement_of_that_account_proves_nothing(refund):
    make_account("622000000001", provider="")
    (other,) = arrive(booking(-700, payer_name="王小美"), account_no="622000000001")
    before = as_it_was()

    for booked in ("S_NEVER", other.serial, other.number, ""):
        with pytest.raises(NotInTheStatement):
            enter(refund.number, booked)

    assert as_it_was() == before


def test_one_booking_proves_one_payout(refund, failed):
    out = paid_out(700)
    enter(refund.number, out.serial)
    other = sent(ask(unmatched(fen=700, payer_account=CLOSED, payer_name="王小美")))
    before = as_it_was()

    with pytest.raises(BookingUsed):
        enter(other.number, out.number)
    used = pytest.raises(IntegrityError, match="by_hand_booking_used_once")
    with used, transaction.atomic():
        ByHand.objects.create(
            booking=out, line_return=other, asked_by=CLERK, asked_at=NOON, reason=""
        )

    assert as_it_was() == before


def test_a_payout_that_the_bank_made_is_no_proof_of_another(failed):
    done = sent(ask(unmatched(payer_name="王小美")))
    # Told before its answer was booked, it would stand elsewhere; so it does here.
    (out,) = arrive(booking(-PRICE, payer_name="王小美", payer_account=NEW))
    LineReturn.objects.filter(pk=done.pk).update(serial=out.serial)

    with pytest.raises(BookingUsed):
        enter(failed.number, out.serial)


def test_who_says_it_does_not_confirm_it(failed, refund):
    for number, fen in ((failed.number, PRICE), (refund.number, 700)):
        asked = enter(number, paid_out(fen).serial)
        before = as_it_was()
        for approve in (True, False):
            with pytest.raises(SecondPersonNeeded):
                check(asked, approve=approve, actor=CLERK)
        assert as_it_was() == before
        if asked.line_return:
            with pytest.raises(returns.CheckedElsewhere):
                returns.check(asked=asked.line_return, approve=True, actor=CHECKER, at=NOON)
    same = pytest.raises(IntegrityError, match="by_hand_checked_by_another")
    with same, transaction.atomic():
        ByHand.objects.update(status="DONE", checked_by=CLERK, checked_at=NOON)


def test_it_is_checked_once(failed):
    asked = enter(failed.number, paid_out(PRICE).serial)
    check(asked)
    before = as_it_was()

    for approve in (True, False):
        with pytest.raises(by_hand.CheckedMeanwhile):
            check(asked, approve=approve, actor="U00THIRD")

    assert as_it_was() == before


def test_only_what_has_failed_is_said_to_be_paid_by_hand(bank):  # noqa: F811
    done = sent(ask(unmatched()))
    arrive(booking(PRICE + 700, virtual_account=virtual_of(expected(PRICE))))
    owed = Refund.objects.get()
    out, other = paid_out(PRICE), paid_out(700)
    before = as_it_was()

    with pytest.raises(cashier.NotFailed):
        enter(done.number, out.serial)
    with pytest.raises(cashier.NotFailed):
        enter(owed.number, other.serial)
    with pytest.raises(NotFound):
        enter("R_NOBODY", other.serial)
    with pytest.raises(NotFound):
        enter(done.line.number, out.serial, lines=StatementLine.objects.none())
    with pytest.raises(NotThisBooking, match="没有等待处理"):
        enter(done.line.number, out.serial)

    assert as_it_was() == before


def test_a_line_taken_back_by_the_bank_is_not_confirmed(failed):
    asked = enter(failed.number, paid_out(PRICE).serial)
    arrive(reversal(fresh(failed.line)))

    with pytest.raises(returns.reversals.TakenBack):
        check(asked)
    check(asked, approve=False, reason="银行已冲正")

    assert fresh(failed.line).verdict == "REVERSED"
    assert elsewhere() == -PRICE  # the loss stands where people look


def test_more_than_is_left_is_refused(failed):
    out = paid_out(PRICE)
    ask_again = ask(fresh(failed.line), 100)
    with pytest.raises(returns.ReturnUnderWay):
        enter(failed.number, out.serial)
    sent(ask_again)
    payment = expected(4000)
    desk.assign(
        line=fresh(failed.line),
        shares={payment.number: 4000},
        payments=type(payment).objects.all(),
        actor=CLERK,
        at=NOON,
    )

    with pytest.raises(returns.MoreThanLeft):
        enter(failed.number, out.serial)
