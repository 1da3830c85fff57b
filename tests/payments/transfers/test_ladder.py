"""Each rung of the ladder, by a table: what arrives, what the line becomes, what the buyer owes."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Refund
from payments.transfers import evidence, judging
from payments.transfers.ladder.facts import Book, Fact
from payments.transfers.ladder.versions import CURRENT, decide
from payments.transfers.models import Allocation
from payments.transfers.remarks import NO_CODES
from payments.transfers.rules import Verdict
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    NOON,
    account,
    arrive,
    booking,
    code_of,
    expected,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900


@dataclass(frozen=True)
class Case:
    name: str
    fen: int = PRICE
    virtual: str = ""  # "own", "other": the virtual account of this or of another payment
    code: str = ""  # "own", "other", "both"
    closed: bool = False
    verdict: str = Verdict.MATCHED
    rule: str = ""
    received: int = 0
    owed: int = 0


CASES = [
    Case("T1a the price", virtual="own", rule="T1a", received=PRICE),
    Case("T1a with its code", virtual="own", code="own", rule="T1a", received=PRICE),
    Case("T1b too little", 9800, virtual="own", rule="T1b", received=9800),
    Case("T1c too much", 10000, virtual="own", rule="T1c", received=PRICE, owed=100),
    Case("T1d closed", virtual="own", closed=True, rule="T1d", owed=PRICE),
    Case("T2a the price", code="own", rule="T2a", received=PRICE),
    Case("T2b one fen off", 9899, code="own", verdict=Verdict.SUGGESTED, rule="T2b"),
    Case("T2b twice the price", 19800, code="own", verdict=Verdict.SUGGESTED, rule="T2b"),
    Case("T2a closed", code="own", closed=True, verdict=Verdict.SUGGESTED, rule="T2a"),
    Case("T3b two buyers", 19800, code="both", verdict=Verdict.SUGGESTED, rule="T3b"),
    Case("W account and code", virtual="own", code="other", verdict=Verdict.CONFLICT, rule="W"),
    Case("W account, both codes", virtual="own", code="both", verdict=Verdict.CONFLICT, rule="W"),
    Case("nothing names a payment", verdict=Verdict.UNMATCHED),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line_becomes_what_its_rung_says(account, case):
    one, other = expected(PRICE), expected(PRICE)
    if case.closed:
        cashier.close(purpose="ORDER", references=[one.reference], at=NOON)
    virtual = {"": None, "own": virtual_of(one), "other": virtual_of(other)}[case.virtual]
    codes = {"own": [one], "other": [other], "both": [one, other], "": []}[case.code]

    (line,) = arrive(
        booking(
            case.fen,
            remark="货款" + ",".join(code_of(payment) for payment in codes),
            virtual_account=virtual,
        )
    )

    one.refresh_from_db()
    other.refresh_from_db()
    assert (line.verdict, line.rule) == (case.verdict, case.rule)
    assert (one.received_fen, other.received_fen) == (case.received, 0)
    assert sum(Refund.objects.values_list("amount_fen", flat=True)) == case.owed
    assert payable.told.paid == ([one.reference] if case.received == PRICE else [])
    assert line.reasons
    assert Allocation.objects.count() == (1 if case.verdict == Verdict.MATCHED else 0)


def test_every_verdict_keeps_rule_version_reasons_and_candidates(account):
    one, two = expected(), expected()

    (line,) = arrive(booking(PRICE, remark=f"{code_of(one)} {code_of(two)}"))

    assert line.rule_version == CURRENT
    assert line.decided_at == NOON
    assert {c["payment"] for c in line.candidates} == {one.number, two.number}
    assert all(c["order"] and c["why"] and c["score"] for c in line.candidates)


def test_every_judged_line_keeps_the_version_and_what_was_seen(account):
    one, other = expected(), expected(5000)
    rows = {
        "UNMATCHED": booking(1, remark="货款"),
        "SUGGESTED": booking(5000),
        "CONFLICT": booking(PRICE, virtual_account=virtual_of(one), remark=code_of(other)),
    }

    lines = arrive(*rows.values())

    assert [line.verdict for line in lines] == list(rows)
    assert {line.rule_version for line in lines} == {CURRENT}
    assert [line.facts for line in lines] == [
        {"equal": 0},
        {"equal": 1, "left_fen": 5000},
        {"virtual_account": virtual_of(one), "codes": [code_of(other)]},
    ]


def test_a_payment_that_changed_while_it_was_looked_at_stays_a_candidate(account):
    """Found without its lock (T4), and closed before it could be taken."""
    buyer = make_user()
    arrive(booking(PRICE, virtual_account=virtual_of(expected(payer=buyer))))
    wanted = expected(5000, payer=buyer)
    line = Fact(
        1, account.pk, 5000, "", NO_CODES, (), "王小美", "6222020200112233",
        booked=int(NOON.timestamp()),
    )  # fmt: skip
    intents, payers = evidence.more([line])
    book = Book.of(intents)
    book.payers = payers
    decisions = decide([line], book, CURRENT)
    assert [one.rule for one in decisions if one.pays] == ["T4"]
    cashier.close(purpose="ORDER", references=[wanted.reference], at=NOON)

    (decision,) = judging.still_so([line], decisions, book, frozenset())

    assert (decision.verdict, decision.pays) == (Verdict.SUGGESTED, ())
    assert [(one.payment, one.why_not) for one in decision.candidates] == [
        (wanted.number, judging.CHANGED)
    ]
    assert decision.facts["payer_account"] == "6222020200112233"


def test_a_second_transfer_to_a_refunded_orders_account_is_for_a_person(account):
    payment = expected()
    arrive(booking(PRICE, virtual_account=virtual_of(payment)))
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON)

    (again,) = arrive(booking(PRICE, virtual_account=virtual_of(payment)))

    assert (again.verdict, again.rule) == (Verdict.SUGGESTED, "T1d")
    assert [one["payment"] for one in again.candidates] == [payment.number]
    assert Refund.objects.count() == 1


def test_what_is_only_owed_of_a_part_paid_order_stops_no_late_money(account):
    """The control: nobody has given anything back yet."""
    payment = expected()
    arrive(booking(5000, virtual_account=virtual_of(payment)))
    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)
    assert Refund.objects.get().status == "OWED"

    (late,) = arrive(booking(4900, virtual_account=virtual_of(payment)))

    assert (late.verdict, late.rule) == (Verdict.MATCHED, "T1d")


def test_parts_add_up_until_the_payment_is_full(account):
    payment = expected(PRICE)
    va = virtual_of(payment)

    lines = arrive(*(booking(fen, virtual_account=va) for fen in (4000, 5000, 900)))

    payment.refresh_from_db()
    assert [line.rule for line in lines] == ["T1b", "T1b", "T1a"]
    assert payment.status == "CONFIRMED"
    assert payable.told.paid == [payment.reference]


def test_of_two_lines_for_one_payment_the_earlier_booked_one_pays(account):
    payment = expected(PRICE)
    va = virtual_of(payment)
    later = booking(PRICE, virtual_account=va, booked_at=NOON + timedelta(minutes=2))
    earlier = booking(PRICE, virtual_account=va, booked_at=NOON + timedelta(minutes=1))

    second, first = arrive(later, earlier)

    assert (first.rule, second.rule) == ("T1a", "T1d")
    assert [refund.amount_fen for refund in Refund.objects.all()] == [PRICE]
    assert Refund.objects.get().receipt.channel_txn == second.number


def test_another_amount_is_credited_when_the_payer_has_paid_for_this_buyer_before(account):
    buyer = make_user()
    first, second = expected(payer=buyer), expected(payer=buyer)
    arrive(booking(PRICE, virtual_account=virtual_of(first)))

    (line,) = arrive(booking(5000, remark=code_of(second)))

    second.refresh_from_db()
    assert (line.verdict, line.rule) == (Verdict.MATCHED, "T2b")
    assert second.received_fen == 5000


def test_a_stranger_or_a_masked_account_is_no_second_fact(account):
    buyer = make_user()
    first, second = expected(payer=buyer), expected(payer=buyer)
    known = {"payer_name": "王小美", "payer_account": "6222****2233"}
    arrive(booking(PRICE, virtual_account=virtual_of(first), **known))

    lines = arrive(
        booking(5000, remark=code_of(second), payer_name="王小明", payer_account="6222****2233"),
        booking(5000, remark=code_of(second), payer_name="王小", payer_account="6217001122334455"),
    )

    assert {line.verdict for line in lines} == {Verdict.SUGGESTED}


def test_a_code_on_another_of_our_accounts_is_a_conflict(account_two, account):
    payment = expected()  # on the first account, which is older

    (line,) = arrive(booking(PRICE, remark=code_of(payment)), account_no="755900000220")

    assert (line.verdict, line.rule) == (Verdict.CONFLICT, "W")
    assert [c["payment"] for c in line.candidates] == [payment.number]


def test_a_code_on_a_virtual_account_of_nobody_is_a_conflict(account):
    payment = expected()

    (line,) = arrive(
        booking(PRICE, remark=code_of(payment), virtual_account="7559000001109999999999")
    )

    assert (line.verdict, line.rule) == (Verdict.CONFLICT, "W")


def test_a_row_with_a_caution_is_shown_to_a_person_first(account):
    payment = expected()

    (line,) = arrive(
        booking(PRICE, virtual_account=virtual_of(payment), caution="一笔汇总入账拆成多笔")
    )

    payment.refresh_from_db()
    assert line.verdict == Verdict.SUGGESTED
    assert "一笔汇总入账拆成多笔" in line.reasons
    assert payment.received_fen == 0


@pytest.mark.parametrize("reversal_first", [True, False])
def test_what_the_bank_has_reversed_pays_nothing(account, reversal_first):
    payment = expected()
    paid = booking(PRICE, virtual_account=virtual_of(payment))
    reversal = booking(-PRICE, is_reversal=True, reverses=paid.serial, remark="冲正")
    rows = [reversal, paid] if reversal_first else [paid, reversal]

    lines = {line.serial: line for line in arrive(*rows)}

    payment.refresh_from_db()
    assert {line.verdict for line in lines.values()} == {Verdict.REVERSED}
    assert {line.rule for line in lines.values()} == {"R"}
    assert (payment.status, payment.received_fen) == ("WAITING", 0)
    assert lines[paid.serial].returned_fen == PRICE


def test_a_batch_takes_as_many_statements_as_one_line(account, django_assert_max_num_queries):
    payments = [expected() for _ in range(25)]
    rows = [booking(PRICE, virtual_account=virtual_of(payment)) for payment in payments]
    arrive(booking(1))

    with django_assert_max_num_queries(32):
        arrive(*rows)

    assert len(payable.told.paid) == 25


def test_one_poisonous_line_does_not_hold_up_the_others(account, caplog):
    good, bad, fine = expected(), expected(), expected()
    payable.told.poisonous.add(bad.reference)

    lines = arrive(
        *(booking(PRICE, virtual_account=virtual_of(payment)) for payment in (good, bad, fine))
    )

    assert [line.verdict for line in lines] == ["MATCHED", "CONFLICT", "MATCHED"]
    assert payable.told.paid == [good.reference, fine.reference]


@pytest.fixture
def account_two(db):
    account()  # the elder is the one that payments get
    return account("755900000220", units=0)
