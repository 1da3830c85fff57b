"""Money goes back to the account it came from: in whole or in part, above a limit by two people."""

import pytest

from payments.cashier import refunds
from payments.cashier.models import Refund
from payments.cashier.refunds import SecondPersonNeeded
from payments.ledger import queries as ledger
from payments.transfers import desk, queries, returns, tasks
from payments.transfers.models import LineEvent, LineReturn, Policy, StatementLine
from payments.transfers.rules import Verdict
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    code_of,
    expected,
    virtual_of,
)
from tests.payments.transfers.test_desk import CLERK, PRICE, assign, undo, unmatched

pytestmark = pytest.mark.django_db
CHECKER = "U00CHECKER"


@pytest.fixture
def bank(sandbox, account):
    sandbox.open_account(ACCOUNT, 10_000_000)
    return sandbox


def limit(fen, merchant=""):
    Policy.objects.update_or_create(merchant=merchant, defaults={"check_above_fen": fen})


def ask(line, fen=None, **more):
    given = {"actor": CLERK, "at": NOON} | more
    return returns.give_back(line=line, amount_fen=fen, **given)


def check(asked, *, approve=True, actor=CHECKER, **more):
    return returns.check(asked=asked, approve=approve, actor=actor, at=NOON, **more)


def sent(asked):
    tasks.send_return(return_id=asked.pk)
    tasks.send_return(return_id=asked.pk)
    asked.refresh_from_db()
    return asked


def fresh(line):
    return StatementLine.objects.select_related("receiving_account").get(pk=line.pk)


def suspense():
    return ledger.balance(f"suspense:{ACCOUNT}")


def kinds(line):
    return list(LineEvent.objects.filter(line=line).order_by("pk").values_list("kind", flat=True))


# --- to the bank


def test_a_line_goes_back_to_the_account_it_came_from_once(bank):
    line = unmatched(payer_account="6217001122334455", payer_name="张三")

    asked = sent(ask(line))

    (paid,) = bank.journal("/bank/payouts")
    line = fresh(line)
    assert (line.verdict, line.returned_fen) == (Verdict.RETURNED, PRICE)
    assert (asked.status, bool(asked.serial)) == ("DONE", True)
    assert suspense() == ledger.balance(f"bank:{ACCOUNT}") == 0
    assert "6217001122334455" in str(paid)
    assert kinds(line) == ["RETURNING", "RETURNED"]


def test_an_answer_that_never_came_is_asked_for_again_and_paid_once(bank):
    line = unmatched()
    bank.faults("/bank/payouts", "error_after")
    asked = ask(line)
    tasks.send_return(return_id=asked.pk)
    assert fresh(line).verdict == Verdict.RETURNING

    tasks.send_returns()

    assert fresh(line).verdict == Verdict.RETURNED
    assert ledger.balance(f"bank:{ACCOUNT}") == 0


def test_a_return_that_the_bank_refuses_waits_again_and_another_has_its_own_number(bank):
    line = unmatched(payer_account="9999000011112222")  # closed, says the sandbox

    first = sent(ask(line))

    line = fresh(line)
    assert (first.status, line.verdict) == ("FAILED", Verdict.UNMATCHED)
    assert "银行拒绝退回" in line.reasons[0]
    assert suspense() == queries.left_fen(line) == PRICE
    second = sent(ask(line))
    assert second.number != first.number
    assert len(bank.journal("/bank/payouts")) == 2


# --- in part


def test_part_is_paid_part_is_returned_and_the_rest_waits(bank):
    one = expected(3000)
    line = unmatched(10_000)

    assign(line, {one: 3000})
    assert (line.verdict, line.allocated_fen) == (Verdict.UNMATCHED, 3000)
    assert line.reasons == ["人工核销", "还剩 70.00 元待处理"]
    asked = ask(line, 2000)
    assert (line.verdict, queries.left_fen(line)) == (Verdict.RETURNING, 5000)
    sent(asked)

    line = fresh(line)
    assert (line.verdict, line.returned_fen, queries.left_fen(line)) == ("UNMATCHED", 2000, 5000)
    assert suspense() == 5000
    assert ledger.balance(f"bank:{ACCOUNT}") == 8000
    assign(line, {expected(5000): 5000})
    assert line.verdict == Verdict.MATCHED
    assert suspense() == 0


def test_what_is_left_can_be_given_while_a_part_is_on_its_way_back(bank):
    line = unmatched(10_000)
    asked = ask(line, 4000)

    with pytest.raises(desk.MoreThanLeft):
        assign(line, {expected(6001): 6001})
    assign(line, {expected(6000): 6000})

    assert line.verdict == Verdict.RETURNING
    sent(asked)
    assert fresh(line).verdict == Verdict.MATCHED


@pytest.mark.parametrize("fen", [0, -1, PRICE + 1])
def test_no_more_than_is_left_is_returned(account, fen):
    line = unmatched()

    with pytest.raises(desk.MoreThanLeft):
        ask(line, fen)

    assert fresh(line).verdict == Verdict.UNMATCHED
    assert not LineReturn.objects.exists()


def test_one_return_at_a_time(account):
    line = unmatched()
    ask(line, 100)

    with pytest.raises(returns.ReturnUnderWay):
        ask(line, 100)

    assert LineReturn.objects.count() == 1


def test_a_line_without_a_full_account_or_a_bank_cannot_be_returned(account):
    masked = unmatched(payer_account="6222****2233")
    type(account).objects.filter(pk=account.pk).update(provider="")
    silent = unmatched()

    with pytest.raises(returns.PayerUnknown):
        ask(masked)
    with pytest.raises(returns.ReturnNotPossible):
        ask(silent)

    assert fresh(masked).verdict == fresh(silent).verdict == Verdict.UNMATCHED
    assert not LineReturn.objects.exists()


def test_returned_money_cannot_be_undone_but_the_match_beside_it_can(bank):
    payment = expected(3000)
    line = unmatched(10_000)
    assign(line, {payment: 3000})
    sent(ask(line))
    line = fresh(line)
    assert line.verdict == Verdict.MATCHED

    undo(line)

    assert (line.verdict, line.allocated_fen, line.returned_fen) == ("UNMATCHED", 0, 7000)
    assert suspense() == 3000
    sent(ask(line))
    with pytest.raises(desk.AlreadyReturned):
        undo(fresh(line))


# --- two people


def test_above_the_limit_a_second_person_is_asked_before_the_bank_is(bank):
    limit(PRICE - 1)
    line = unmatched()

    asked = ask(line, reason="重复付款")
    assert (asked.status, line.verdict) == ("ASKED", Verdict.RETURNING)
    sent(asked)
    assert bank.journal("/bank/payouts") == []
    check(asked)

    assert (asked.status, asked.checked_by) == ("SENDING", CHECKER)
    assert sent(asked).status == "DONE"
    assert kinds(line) == ["RETURN_ASKED", "RETURNING", "RETURNED"]


def test_who_asked_does_not_check(account):
    limit(0)
    line = unmatched()
    asked = ask(line)

    for approve in (True, False):
        with pytest.raises(SecondPersonNeeded):
            check(asked, approve=approve, actor=CLERK)

    asked.refresh_from_db()
    assert (asked.status, asked.checked_by) == ("ASKED", "")


def test_what_is_declined_waits_again(account):
    limit(0)
    line = unmatched()
    asked = check(ask(line), approve=False, reason="先联系买家")

    line = fresh(line)
    assert (asked.status, asked.failure) == ("DECLINED", "先联系买家")
    assert (line.verdict, queries.left_fen(line)) == (Verdict.UNMATCHED, PRICE)
    assert line.reasons == ["退回 99.00 元复核未通过：先联系买家"]
    with pytest.raises(desk.DecidedMeanwhile, match="否决退回"):
        check(asked, actor="U_A_THIRD")


def test_small_parts_of_one_line_do_not_slip_under_the_limit(bank):
    limit(5000)
    line = unmatched()
    assert sent(ask(line, 5000)).status == "DONE"

    assert ask(fresh(line), 1).status == "ASKED"


def test_a_merchants_own_limit_goes_before_everybodys(account):
    assert queries.check_above_fen("M1") == 1_000_000
    limit(5000)
    limit(7000, "M1")

    assert (queries.check_above_fen("M1"), queries.check_above_fen("M2")) == (7000, 5000)


# --- who was first


def test_the_second_person_hears_who_was_first_and_what_he_did(account):
    person = make_user("李会计")
    payment = expected()
    line, stale = unmatched(), None
    stale = fresh(line)
    shares = {payment.number: PRICE}
    desk.assign(line=line, shares=shares, payments=type(payment).objects.all(),
                actor=person.number, at=NOON)  # fmt: skip

    with pytest.raises(desk.DecidedMeanwhile) as refused:
        desk.ignore(line=stale, reason="不是货款", actor=CLERK, at=NOON)

    assert str(refused.value) == f"李会计已在 12:00 核销到 {payment.number}，请刷新"
    assert (refused.value.status, refused.value.code) == (409, "DECIDED_MEANWHILE")
    with pytest.raises(desk.DecidedMeanwhile, match="核销到"):
        ask(fresh(line))  # freshly read, and decided all the same


def test_a_match_of_the_ladder_is_told_as_the_systems(account):
    payment = expected()
    (line,) = arrive(booking(PRICE, remark=code_of(payment)))

    with pytest.raises(desk.DecidedMeanwhile, match=f"系统已在 12:00 核销到 {payment.number}"):
        desk.ignore(line=fresh(line), reason="不是货款", actor=CLERK, at=NOON)


# --- refunds of the cashier


@pytest.fixture
def excess(account):
    payment = expected(PRICE)
    arrive(booking(PRICE + 700, virtual_account=virtual_of(payment)))
    return Refund.objects.select_related("payment").get()


def approve(refund, actor):
    return refunds.approve(refund=refund, actor=actor, at=NOON)


def test_a_large_refund_takes_two_people(excess):
    limit(699)

    assert approve(excess, CLERK).status == "OWED"
    with pytest.raises(SecondPersonNeeded):
        approve(excess, CLERK)
    excess.refresh_from_db()
    assert (excess.status, excess.asked_by) == ("OWED", CLERK)
    assert approve(excess, CHECKER).status == "APPROVED"

    said = excess.payment.events.filter(kind__startswith="REFUND_").order_by("pk")
    assert list(said.values_list("kind", "actor")) == [
        ("REFUND_ASKED", CLERK),
        ("REFUND_APPROVED", CHECKER),
    ]


def test_a_small_refund_takes_one(excess):
    limit(700)

    assert approve(excess, CLERK).status == "APPROVED"


def test_a_large_cancelled_payment_waits_for_another_than_the_one_who_cancelled(account):
    limit(PRICE - 1)
    payment = expected(PRICE)
    arrive(booking(PRICE, virtual_account=virtual_of(payment)))

    (refund,) = refunds.refund_all(
        purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON, actor="UBUYER"
    )

    assert (refund.status, refund.asked_by) == ("OWED", "UBUYER")
    with pytest.raises(SecondPersonNeeded):
        approve(refund, "UBUYER")
    assert approve(refund, CLERK).status == "APPROVED"


def test_a_large_refund_that_failed_takes_two_people_again(bank):
    limit(0)
    payment = expected(PRICE)
    arrive(booking(PRICE, virtual_account=virtual_of(payment), payer_account="9999000000000001"))
    (refund,) = refunds.refund_all(
        purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON, actor=CLERK
    )
    approve(refund, CHECKER)

    refunds.send(refund=refund, at=NOON)

    refund.refresh_from_db()
    assert (refund.status, refund.asked_by) == ("FAILED", "")
    assert approve(refund, CHECKER).status == "FAILED"
