"""What must never be matched to the wrong payment (reference/reconciliation.md §1.6)."""

from collections import Counter
from datetime import timedelta

import pytest

from payments.cashier import services as cashier
from payments.cashier.models import Refund
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.remarks import codes_in
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    NOON,
    account,
    arrive,
    booking,
    code_of,
    expected,
    push,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900


def swapped(code: str) -> str:
    i = next(i for i in range(7) if code[i] != code[i + 1])
    return code[:i] + code[i + 1] + code[i] + code[i + 2 :]


def _meant_for_nobody(crowd, alone):
    codes = [code_of(payment) for payment in crowd]
    reversed_ = booking(PRICE, virtual_account=virtual_of(crowd[9]))
    rows = [
        booking(PRICE, remark="货款"),  # any of 24
        booking(PRICE, remark="99元", payer_name="王小美"),
        booking(PRICE, remark=swapped(codes[0])),  # its check digits tell
        booking(PRICE, remark="20260618 货款"),
        booking(PRICE, remark="2026-06-18"),
        booking(PRICE, remark=f"{codes[1]} {codes[2]}"),
        booking(2 * PRICE, remark=f"{codes[3]}和{codes[4]}"),
        booking(PRICE, virtual_account=virtual_of(alone["a"]), remark=code_of(alone["b"])),
        booking(PRICE, remark=f"6222{codes[5]}1234"),
        booking(PRICE - 1, remark=code_of(alone["short"])),
        booking(PRICE, remark=code_of(alone["gone"])),
        booking(PRICE, remark=f"{codes[6]}{codes[7]}"),
        booking(PRICE, remark=codes[8], caution="明细金额与入账金额不符"),
        reversed_,
        booking(-PRICE, is_reversal=True, reverses=reversed_.serial, remark="冲正"),
        booking(PRICE, virtual_account="7559000001100000009999", remark="货款"),
    ]
    return [(None, row) for row in rows]


def _meant(crowd, alone):
    twelfth = code_of(crowd[12])
    return [
        (alone["over"], booking(PRICE + 5, virtual_account=virtual_of(alone["over"]))),
        (crowd[10], booking(PRICE, virtual_account=virtual_of(crowd[10]))),
        (crowd[11], booking(PRICE, remark=f"订单{code_of(crowd[11])}")),
        (crowd[12], booking(PRICE, remark=f"{twelfth[:4]} {twelfth[4:]}")),
    ]


def test_no_line_of_the_adversarial_set_pays_a_payment_that_it_was_not_meant_for(account):
    """Precision is 1.0: every allocation is one that the payer meant."""
    crowd = make_user()
    crowd_of = [expected(PRICE, payer=crowd) for _ in range(24)]
    alone = {
        name: expected(PRICE, payer=make_user()) for name in ("a", "b", "gone", "short", "over")
    }
    cashier.close(purpose="ORDER", references=[alone["gone"].reference], at=NOON)
    rows, meant = [], {}
    for pays, row in [*_meant_for_nobody(crowd_of, alone), *_meant(crowd_of, alone)]:
        rows.append(row)
        if pays is not None:
            meant[row.serial] = pays.number

    arrive(*rows)
    arrive(*rows)

    made = {
        allocation.line.serial: allocation.payment.number
        for allocation in Allocation.objects.select_related("line", "payment")
    }
    assert made == meant
    assert StatementLine.objects.filter(verdict="NEW").count() == 0
    assert list(Refund.objects.values_list("amount_fen", flat=True)) == [5]


def test_three_hundred_open_payments_of_one_price_and_only_the_named_one_is_paid(db):
    account(units=1)
    payments = [expected(PRICE) for _ in range(300)]
    wanted = payments[177]

    arrive(
        booking(PRICE, remark="货款"),
        booking(PRICE, remark=code_of(wanted)),
        booking(PRICE, remark="谢谢老板"),
    )

    assert [a.payment_id for a in Allocation.objects.all()] == [wanted.pk]
    assert Counter(StatementLine.objects.values_list("verdict", flat=True)) == {
        "UNMATCHED": 2,
        "MATCHED": 1,
    }


def test_twins_of_the_same_minute_are_two_transfers(account):
    payment = expected(PRICE)
    virtual = virtual_of(payment)
    twin = {"virtual_account": virtual, "booked_at": NOON + timedelta(seconds=1)}

    push(booking(PRICE, **twin))
    push(booking(PRICE, **twin))

    payment.refresh_from_db()
    assert payment.received_fen == PRICE
    assert [refund.amount_fen for refund in Refund.objects.all()] == [PRICE]


def test_a_code_beside_a_foreign_number_with_sound_check_digits_is_still_one_candidate(account):
    payment = expected(PRICE)
    foreign = next(
        number for number in map(str, range(10_000_000, 10_000_200))
        if codes_in([number]).found and number != code_of(payment)
    )  # fmt: skip

    (line,) = arrive(booking(PRICE, remark=f"合同{foreign} 核对码{code_of(payment)}"))

    assert line.rule == "T2a"
