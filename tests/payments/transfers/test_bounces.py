"""Money that the bank had paid comes back (退汇): a person says which, and it is owed again."""

import pytest

from config.kit.errors import NotFound, StaleState
from payments.cashier import refunds
from payments.cashier.models import PaymentEvent, Refund
from payments.closing import explaining
from payments.ledger import queries as ledger
from payments.ledger import services as books
from payments.transfers import bounces, queries, returns
from payments.transfers.bounces import NotABounce, NotThisPayout
from payments.transfers.decisions import DecidedMeanwhile
from payments.transfers.models import LineEvent, LineReturn
from payments.wallet.models import Withdrawal
from tests.members.people import client_of, make_merchant, make_staff, make_user
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    expected,
    virtual_of,
)
from tests.payments.transfers.test_desk import CLERK, PRICE, unmatched
from tests.payments.transfers.test_returns import (  # noqa: F401
    ask,
    bank,
    fresh,
    kinds,
    sent,
    suspense,
)
from tests.payments.transfers.test_reversals import reversal

pytestmark = pytest.mark.django_db


def back(fen, text, **changes):
    """A credit under rule R."""
    (line,) = arrive(booking(fen, remark=text, is_reversal=True, **changes))
    line = fresh(line)
    assert (line.verdict, line.rule, queries.actions(line)["bounce"]) == ("CONFLICT", "R", True)
    return line


def link(line, number, **changes):
    said = {"reason": "附言有单号", "actor": CLERK, "at": NOON} | changes
    everything = {
        "returned": LineReturn.objects.all(),
        "refunded": Refund.objects.all(),
        "withdrawn": Withdrawal.objects.all(),
    }
    return bounces.link(line=line, payout=number, **(everything | said))


@pytest.fixture
def returned(bank):  # noqa: F811
    line = unmatched()
    return line, sent(ask(line))


@pytest.fixture
def refund(bank):  # noqa: F811
    """7.00 too much, given back by the bank."""
    arrive(booking(PRICE + 700, virtual_account=virtual_of(expected(PRICE))))
    return pay_out(Refund.objects.select_related("payment").get())


def pay_out(refund):
    refunds.approve(refund=refund, actor=CLERK, at=NOON)
    refunds.send(refund=refund, at=NOON)
    refund.refresh_from_db()
    assert refund.status == "DONE"
    return refund


def payable():
    return ledger.balance("refund_payable:BANK_TRANSFER")


def test_a_return_that_came_back_is_left_of_its_line_and_can_be_returned_again(returned):
    line, asked = returned
    credit = back(PRICE, f"退汇 {asked.number}", payer_account="")

    link(credit, asked.number)

    asked.refresh_from_db()
    line = fresh(line)
    assert (asked.status, line.verdict, line.returned_fen) == ("FAILED", "UNMATCHED", 0)
    assert "退汇" in asked.failure
    assert (fresh(credit).verdict, fresh(credit).returned_fen) == ("REVERSED", PRICE)
    assert suspense() == queries.left_fen(line) == ledger.balance(f"bank:{ACCOUNT}") == PRICE
    again = sent(ask(line))
    assert (again.status, fresh(line).verdict) == ("DONE", "RETURNED")
    assert suspense() == 0
    assert kinds(line)[:3] == ["RETURNING", "RETURNED", "RETURN_BOUNCED"]
    event = LineEvent.objects.get(line=credit, kind="BOUNCED")
    assert (event.actor, event.facts["payout"]) == (CLERK, asked.number)


def test_a_part_that_came_back_is_left_beside_the_rest(bank):  # noqa: F811
    line = unmatched()
    asked = sent(ask(line, 4000))
    sent(ask(fresh(line)))
    assert fresh(line).verdict == "RETURNED"

    link(back(4000, "退汇"), asked.number)  # from the account that it was sent to

    line = fresh(line)
    assert (line.verdict, line.returned_fen, queries.left_fen(line)) == (
        "UNMATCHED", PRICE - 4000, 4000,
    )  # fmt: skip


def test_a_refund_that_came_back_is_owed_and_paid_again_under_another_key(refund, bank):  # noqa: F811
    credit = back(700, f"退回 {refund.number}", payer_account="")
    assert payable() == 0

    link(credit, refund.number)

    refund.refresh_from_db()
    assert (refund.status, refund.done_at) == ("FAILED", None)
    assert "退汇" in refund.failure
    assert (payable(), suspense()) == (700, 0)
    event = PaymentEvent.objects.get(kind="REFUND_BOUNCED")
    assert (event.actor, event.facts["line"]) == (CLERK, credit.number)
    pay_out(refund)
    assert payable() == 0
    assert len(bank.journal("/bank/payouts")) == 2
    assert ledger.balance(f"bank:{ACCOUNT}") == PRICE

    link(back(700, f"退回 {refund.number}", payer_account=""), refund.number)
    refund.refresh_from_db()
    assert refund.status == "FAILED"
    assert PaymentEvent.objects.filter(kind="REFUND_BOUNCED").count() == 2


def test_a_reversal_that_waited_finds_its_original_when_the_return_came_back(returned):
    line, asked = returned
    waits = reversal(line)
    assert fresh(waits).verdict == "CONFLICT"

    link(back(PRICE, "退汇"), asked.number)

    assert {fresh(one).verdict for one in (line, waits)} == {"REVERSED"}
    assert suspense() == 0


def test_what_the_bank_took_back_before_its_refund_came_back_is_owed_to_nobody(bank):  # noqa: F811
    (line,) = arrive(booking(PRICE, virtual_account=virtual_of(expected(PRICE - 700))))
    refund = pay_out(Refund.objects.select_related("payment").get())
    reversal(line)
    assert ledger.balance(f"receivable:{refund.payment.merchant}") == 700

    link(back(700, f"退汇 {refund.number}", payer_account=""), refund.number)

    refund.refresh_from_db()
    assert (refund.status, refund.parts.get().status) == ("VOID", "VOID")
    assert ledger.balance(f"receivable:{refund.payment.merchant}") == payable() == 0


# --- less came back


def fees():
    return ledger.balance(f"fee:{ACCOUNT}")


def test_a_return_that_came_back_less_a_fee_is_left_whole_and_the_shop_bears_the_fee(returned):
    line, asked = returned
    credit = back(PRICE - 150, f"退汇 {asked.number}", payer_account="")

    link(credit, asked.number, fee_fen=150)

    asked.refresh_from_db()
    line = fresh(line)
    assert (asked.status, line.verdict, queries.left_fen(line)) == ("FAILED", "UNMATCHED", PRICE)
    assert "银行扣费 1.50 元" in asked.failure
    assert (fresh(credit).verdict, queries.left_fen(fresh(credit))) == ("REVERSED", 0)
    assert (suspense(), fees(), ledger.balance(f"bank:{ACCOUNT}")) == (PRICE, 150, PRICE - 150)
    assert LineEvent.objects.get(line=credit, kind="BOUNCED").facts["fee_fen"] == 150
    sent(ask(line))
    assert (suspense(), fees(), ledger.balance(f"bank:{ACCOUNT}")) == (0, 150, -150)
    assert books.audit() == []


def test_a_refund_that_came_back_less_a_fee_is_owed_whole(refund):
    credit = back(680, f"退回 {refund.number}", payer_account="")

    link(credit, refund.number, fee_fen=20)

    refund.refresh_from_db()
    assert (refund.status, refund.amount_fen) == ("FAILED", 700)
    assert (payable(), suspense(), fees()) == (700, 0, 20)
    pay_out(refund)
    assert (payable(), fees(), ledger.balance(f"bank:{ACCOUNT}")) == (0, 20, PRICE - 20)
    assert books.audit() == []


@pytest.mark.parametrize("fee_fen", [0, 149, 151, PRICE])
def test_a_difference_that_nobody_has_said_to_the_fen_is_shown_and_refused(returned, fee_fen):
    _, asked = returned
    credit = back(PRICE - 150, f"退汇 {asked.number}")

    unchanged(credit, asked.number, NotThisPayout, "少 1.50 元", fee_fen=fee_fen)

    assert fees() == 0


def test_a_fee_is_no_way_to_use_up_what_is_no_bounce(returned, refund):
    _, asked = returned
    stranger = {"payer_account": "6217009988776655"}
    most = back(4000, f"退汇 {asked.number}")
    more = back(PRICE + 1, f"退汇 {asked.number}")

    unchanged(most, asked.number, NotThisPayout, "不会是银行扣费", fee_fen=PRICE - 4000)
    unchanged(more, asked.number, NotThisPayout, "多出 0.01", fee_fen=0)
    unchanged(back(690, "退汇", **stranger), refund.number, NotThisPayout, "单号", fee_fen=10)
    whole = back(700, f"退汇 {refund.number}")
    unchanged(whole, refund.number, NotThisPayout, "没有扣费", fee_fen=10)


# --- what is refused


def unchanged(credit, number, error, why=None, **said):
    before = ledger.balance(f"suspense:{ACCOUNT}"), payable(), LineEvent.objects.count()
    with pytest.raises(error, match=why):
        link(credit, number, **said)
    assert (ledger.balance(f"suspense:{ACCOUNT}"), payable(), LineEvent.objects.count()) == before


def test_what_is_not_it_is_refused(returned, refund):
    _, asked = returned
    stranger = {"payer_account": "6217009988776655"}

    unchanged(back(PRICE, "退汇", **stranger), asked.number, NotThisPayout, "单号")
    unchanged(back(PRICE - 1, f"退汇 {asked.number}"), asked.number, NotThisPayout, "98.99")
    unchanged(back(700, "退汇", **stranger), refund.number, NotThisPayout, "单号")
    unchanged(back(1, refund.number), refund.number, NotThisPayout, "0.01")
    unchanged(back(700, "退汇"), "RNOSUCHNUMBER0", NotFound)
    unchanged(unmatched(700), refund.number, NotABounce)


def test_what_came_back_once_does_not_come_back_twice(returned, refund):
    _, asked = returned
    for number, fen in ((asked.number, PRICE), (refund.number, 700)):
        first, second = back(fen, number), back(fen, number)
        stale = fresh(first)
        link(first, number)

        unchanged(second, number, NotThisPayout, "已记为退汇")
        unchanged(stale, number, (DecidedMeanwhile, NotThisPayout))
        unchanged(fresh(first), number, NotABounce)


def test_a_late_refusal_of_the_bank_does_not_undo_what_is_done(returned, refund):
    """DONE may become FAILED by a person alone, not by a worker that lost a race."""
    line, asked = returned

    with pytest.raises(StaleState):
        returns._not_returned(asked, "银行拒绝退回", NOON)
    refunds.conclude(refund, NOON)

    assert Refund.objects.get().status == refund.parts.get().status == "DONE"
    assert (fresh(line).verdict, payable()) == ("RETURNED", 0)


def test_over_http_by_ones_own_finance_only(refund):
    credit = back(700, refund.number)
    url = f"/api/v1/bank/lines/{credit.number}/bounce"
    said = {"payout": refund.number, "reason": "附言有单号"}
    stranger = client_of(make_staff(make_merchant("别家"), "FINANCE"))
    platform = client_of(make_user("平台", is_superuser=True))

    assert stranger.post(url, said, format="json").status_code == 404
    assert platform.post(url, {"payout": refund.number}, format="json").status_code == 400
    assert platform.post(url, said, format="json").json()["verdict"] == "REVERSED"
    again = platform.post(url, said, format="json")
    less = back(600, refund.number)
    refused = platform.post(f"/api/v1/bank/lines/{less.number}/bounce", said, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_THIS_PAYOUT")
    assert (again.status_code, again.json()["code"]) == (409, "NOT_A_BOUNCE")


def test_the_books_know_both_payouts_in_the_banks_statement(account, refund):
    first = booking(-700, remark=f"退款 {refund.number}")
    arrive(first)
    link(back(700, refund.number), refund.number)
    pay_out(refund)
    arrive(booking(-700, serial=refund.channel_txn))  # says no number

    found = explaining.reasons(account, first=NOON.date(), gaps=[], moved={}, at=NOON)

    assert found.strays == []
    assert [(one.number, len(one.seen)) for one in found.payouts] == [
        (refund.number, 1), (f"{refund.number}-2", 1),
    ]  # fmt: skip
