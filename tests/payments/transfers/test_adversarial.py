"""What must never be matched to the wrong payment: a case for each item of the adversarial set.

Precision is 1: every allocation is one that the payer meant.  Its cases of reversals are in
test_adversarial_reversals.
"""

import io
from collections import Counter
from datetime import date, timedelta

import pytest

from config.kit.numbers import is_mod97
from payments.cashier import services as cashier
from payments.cashier.models import Refund
from payments.transfers import services
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.remarks import codes_in
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    NOON,
    account,
    arrive,
    booking,
    ccb_csv,
    code_of,
    expected,
    push,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900
MINUTE = timedelta(minutes=1)
MASKED = {"payer_account": "6222****2233"}


def paid() -> dict[str, set[str]]:
    """Numbers of the payments that a line gave money to, by its serial."""
    made: dict[str, set[str]] = {}
    for allocation in Allocation.objects.filter(undone_at=None).select_related("line", "payment"):
        made.setdefault(allocation.line.serial, set()).add(allocation.payment.number)
    return made


def verdicts() -> Counter[str]:
    return Counter(StatementLine.objects.values_list("verdict", flat=True))


def imported(content: bytes):
    statement = services.upload(
        file=io.BytesIO(content),
        filename="明细.csv",
        account_no="",
        tenants=None,
        uploaded_by_id=make_user().pk,
        at=NOON,
    )
    services.import_statement(statement=statement, at=NOON)
    statement.refresh_from_db()
    return statement


def swapped(code: str) -> str:
    i = next(i for i in range(7) if code[i] != code[i + 1])
    return code[:i] + code[i + 1] + code[i] + code[i + 2 :]


# --- twins --------------------------------------------------------------------------------------


def test_twins_of_the_same_minute_are_two_transfers(account):
    payment = expected(PRICE)
    twin = {"virtual_account": virtual_of(payment), "booked_at": NOON + timedelta(seconds=1)}

    push(booking(PRICE, **twin))
    push(booking(PRICE, **twin))

    payment.refresh_from_db()
    assert payment.received_fen == PRICE
    assert [refund.amount_fen for refund in Refund.objects.all()] == [PRICE]


def test_twins_by_code_pay_once_and_the_second_waits(account):
    payment = expected(PRICE)
    first, second = (booking(PRICE, remark=code_of(payment)) for _ in range(2))

    arrive(first, second)

    assert paid() == {first.serial: {payment.number}}
    assert verdicts() == {"MATCHED": 1, "SUGGESTED": 1}


def test_twins_of_a_known_payer_who_names_nothing_pay_nothing(account):
    buyer = make_user()
    known = booking(PRICE, virtual_account=virtual_of(expected(PRICE, payer=buyer)))
    arrive(known)
    expected(5000, payer=buyer)

    arrive(booking(5000), booking(5000))

    assert set(paid()) == {known.serial}
    assert verdicts() == {"MATCHED": 1, "SUGGESTED": 2}


# --- codes that are not what they seem ----------------------------------------------------------


def test_swapped_digits_pay_nothing_even_of_a_payer_who_is_known_by_name(account):
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    payment = expected(PRICE, payer=buyer)

    (line,) = arrive(booking(PRICE, remark=swapped(code_of(payment)), **MASKED))

    assert (line.verdict, line.rule) == ("SUGGESTED", "T6")
    assert set(paid()) == {known.serial}


def test_swapped_digits_of_another_buyers_code_stop_a_known_account(account):
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    expected(PRICE, payer=buyer)
    other = expected(PRICE)

    (line,) = arrive(booking(PRICE, remark=swapped(code_of(other))))

    assert (line.verdict, line.rule) == ("SUGGESTED", "T4")
    assert set(paid()) == {known.serial}


def test_the_code_of_a_closed_order_pays_nothing(account):
    gone = expected(PRICE)
    expected(PRICE)
    cashier.close(purpose="ORDER", references=[gone.reference], at=NOON)

    (line,) = arrive(booking(PRICE, remark=code_of(gone)))

    assert line.verdict == "SUGGESTED"
    assert "已关闭" in line.candidates[0]["why_not"]
    assert paid() == {}


def test_the_code_of_a_paid_order_pays_nothing_again(account):
    payment = expected(PRICE)
    first = booking(PRICE, remark=code_of(payment))
    arrive(first)

    (line,) = arrive(booking(PRICE, remark=code_of(payment)))

    assert line.verdict == "SUGGESTED"
    assert paid() == {first.serial: {payment.number}}
    assert not Refund.objects.exists()


def test_dates_are_no_codes(account):
    expected(PRICE), expected(PRICE)
    days = (date(2026, 1, 1) + timedelta(days) for days in range(3650))
    sound = next(day for day in days if is_mod97(f"{day:%Y%m%d}"))

    arrive(
        booking(PRICE, remark="20260618 货款"),
        booking(PRICE, remark="2026-06-18"),
        booking(PRICE, remark=f"{sound:%Y%m%d}"),
        booking(PRICE, remark=f"{sound:%Y}-{sound:%m%d}"),
    )

    assert paid() == {}
    assert verdicts() == {"UNMATCHED": 4}


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda code: f"6222{code}1234", id="inside a longer number"),
        pytest.param(lambda code: f"138 {code[:4]} {code[4:]}", id="inside a phone number"),
        pytest.param(lambda code: f"{code}{code}", id="twice without a gap"),
        pytest.param(lambda code: f"{code[:4]}--{code[4:]}", id="over two signs"),
        pytest.param(lambda code: f"12345678 {code[:4]} {code[4:]}", id="behind a foreign number"),
    ],
)
def test_digits_that_only_contain_a_code_are_none(account, write):
    payment = expected(PRICE)
    expected(PRICE)

    arrive(booking(PRICE, remark=write(code_of(payment))))

    assert paid() == {}


def test_a_code_beside_a_foreign_number_with_sound_check_digits_is_still_one_candidate(account):
    payment = expected(PRICE)
    foreign = next(
        number for number in map(str, range(10_000_000, 10_000_200))
        if codes_in([number]).found and number != code_of(payment)
    )  # fmt: skip

    (line,) = arrive(booking(PRICE, remark=f"合同{foreign} 核对码{code_of(payment)}"))

    assert line.rule == "T2a"


# --- one remark with two codes ------------------------------------------------------------------


def test_two_codes_of_two_buyers_pay_neither(account):
    one, other = expected(PRICE), expected(PRICE)

    arrive(
        booking(2 * PRICE, remark=f"{code_of(one)} {code_of(other)}"),
        booking(PRICE, remark=f"{code_of(one)}{code_of(other)}"),
    )

    assert paid() == {}


def test_two_codes_of_one_buyer_pay_both_only_with_the_sum(account):
    buyer = make_user()
    one, other = expected(PRICE, payer=buyer), expected(5000, payer=buyer)
    words = f"{code_of(one)}和{code_of(other)}"
    short, single, exact = (booking(fen, remark=words) for fen in (14_899, PRICE, 14_900))

    arrive(short, single, exact)

    assert paid() == {exact.serial: {one.number, other.number}}
    assert sorted(payable.told.paid) == sorted([one.reference, other.reference])
    line = StatementLine.objects.get(serial=exact.serial)
    assert (line.rule, line.allocated_fen) == ("T3a", 14_900)
    assert sorted(line.allocations.values_list("amount_fen", flat=True)) == [5000, PRICE]


# --- what disagrees -----------------------------------------------------------------------------


def test_a_virtual_account_and_a_code_that_disagree_pay_neither(account):
    one, other = expected(PRICE), expected(PRICE)

    arrive(
        booking(PRICE, virtual_account=virtual_of(one), remark=code_of(other)),
        booking(PRICE, virtual_account="7559000001109999999999", remark=code_of(other)),
    )

    assert paid() == {}
    assert verdicts() == {"CONFLICT": 2}


def test_a_virtual_account_of_nobody_pays_nothing_even_of_a_known_payer(account):
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    expected(PRICE, payer=buyer)

    arrive(booking(PRICE, virtual_account="7559000001109999999999"))

    assert set(paid()) == {known.serial}


@pytest.mark.parametrize("fen", [PRICE - 1, PRICE + 1])
def test_one_fen_off_is_no_agreement(account, fen):
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    expected(PRICE, payer=buyer)
    strangers = expected(PRICE)

    arrive(
        booking(fen),  # of the known account
        booking(fen, remark=code_of(strangers), payer_name="赵六", payer_account="6217"),
    )

    assert set(paid()) == {known.serial}
    assert payable.told.paid[1:] == []


def test_one_fen_off_on_a_virtual_account_is_kept_and_counted_exactly(account):
    less, more = expected(PRICE), expected(PRICE)

    arrive(
        booking(PRICE - 1, virtual_account=virtual_of(less)),
        booking(PRICE + 1, virtual_account=virtual_of(more)),
    )

    assert payable.told.paid == [more.reference]
    assert [refund.amount_fen for refund in Refund.objects.all()] == [1]
    less.refresh_from_db()
    assert (less.status, less.received_fen) == ("WAITING", PRICE - 1)


def test_a_row_that_the_reader_doubts_pays_nothing(account):
    payment = expected(PRICE)

    arrive(booking(PRICE, remark=code_of(payment), caution="明细金额与入账金额不符"))

    assert paid() == {}


# --- the same money in several files ------------------------------------------------------------


def test_overlapping_statements_pay_once(account):
    payments = [expected(PRICE) for _ in range(3)]
    rows = [booking(PRICE, remark=code_of(payment)) for payment in payments]

    imported(ccb_csv(rows[:2]))
    second = imported(ccb_csv(rows[1:]))
    arrive(*rows)

    assert (second.duplicates, second.matched) == (1, 1)
    assert paid() == {
        row.serial: {payment.number} for row, payment in zip(rows, payments, strict=True)
    }
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    ("encoding", "ends"),
    [
        ("gb18030", b"\n"),
        ("gb18030", b"\r"),
        ("utf-8", b"\r\n"),
        ("utf-8-sig", b"\n"),
        ("utf-16", b""),  # its line ends are of two bytes: left as they are
    ],
)
def test_the_same_file_with_other_line_ends_or_in_another_encoding_pays_once(
    account, encoding, ends
):
    payment = expected(PRICE)
    rows = [booking(PRICE, remark=f"货款{code_of(payment)}", payer_name="张三丰")]
    imported(ccb_csv(rows))
    again = ccb_csv(rows, encoding=encoding)

    statement = imported(again.replace(b"\r\n", ends) if ends else again)

    assert (statement.lines, statement.duplicates) == (1, 1)
    assert paid() == {rows[0].serial: {payment.number}}
    assert not Refund.objects.exists()


# --- payers -------------------------------------------------------------------------------------


def test_a_payer_with_the_same_name_pays_nothing_of_a_namesake(account):
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    payment = expected(PRICE, payer=buyer)

    lines = arrive(
        booking(PRICE, payer_account="6217009988776655"),
        booking(PRICE, **MASKED),
    )

    assert [line.rule for line in lines] == ["T5", "T5"]
    assert set(paid()) == {known.serial}
    assert {line.candidates[0]["payment"] for line in lines} == {payment.number}


def test_a_payer_who_pays_for_two_buyers_is_asked_about(account):
    wife, husband = make_user(), make_user()
    rows = [
        booking(fen, virtual_account=virtual_of(expected(fen, payer=buyer)))
        for fen, buyer in ((5000, wife), (6000, husband))
    ]
    arrive(*rows)
    expected(PRICE, payer=wife)

    (line,) = arrive(booking(PRICE))

    assert (line.verdict, line.rule) == ("SUGGESTED", "T4")
    assert set(paid()) == {row.serial for row in rows}


def test_money_through_a_payment_company_says_nothing_of_who_paid(account):
    alipay = {"payer_name": "支付宝（中国）客户备付金", "payer_account": "2155001122"}
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)), **alipay)
    arrive(known)
    payment = expected(PRICE, payer=buyer)
    expected(PRICE)

    arrive(booking(PRICE, **alipay), booking(1, remark=code_of(payment), **alipay))

    assert set(paid()) == {known.serial}


def test_a_known_account_pays_the_only_open_payment_and_no_other(account):
    """The control of those above: without their doubts it does pay by itself."""
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    payment, _ = expected(PRICE, payer=buyer), expected(PRICE)
    row = booking(PRICE)

    (line,) = arrive(row)

    assert (line.verdict, line.rule) == ("MATCHED", "T4")
    assert paid()[row.serial] == {payment.number}


# --- the crowd ----------------------------------------------------------------------------------


def test_three_hundred_open_payments_of_one_price_and_only_the_named_one_is_paid(db):
    account(units=1)
    payments = [expected(PRICE) for _ in range(300)]
    wanted = payments[177]
    named = booking(PRICE, remark=code_of(wanted))

    arrive(booking(PRICE, remark="货款"), named, booking(PRICE, remark="99元 谢谢老板"))

    assert paid() == {named.serial: {wanted.number}}
    assert verdicts() == {"UNMATCHED": 2, "MATCHED": 1}


def test_all_of_it_in_one_batch_and_twice(account):
    crowd = make_user()
    payments = [expected(PRICE, payer=crowd) for _ in range(8)]
    codes = [code_of(payment) for payment in payments]
    good = booking(PRICE, remark=f"订单{codes[0]}")
    split = booking(PRICE, remark=f"{codes[1][:4]} {codes[1][4:]}")
    own = booking(PRICE, virtual_account=virtual_of(payments[2]))
    rows = [
        booking(PRICE, remark="货款"),
        booking(PRICE, remark=swapped(codes[3])),
        good,
        booking(PRICE - 1, remark=codes[4], payer_name="赵六", payer_account="6217"),
        split,
        booking(PRICE, virtual_account=virtual_of(payments[5]), remark=codes[6]),
        own,
    ]

    arrive(*rows)
    arrive(*rows)

    assert paid() == {
        good.serial: {payments[0].number},
        split.serial: {payments[1].number},
        own.serial: {payments[2].number},
    }
    assert not Refund.objects.exists()
