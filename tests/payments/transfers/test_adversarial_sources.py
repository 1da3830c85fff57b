"""What a booking is not, whatever it looks like: the adversarial set of where money comes from.

Ours that comes back is no buyer's; one booking under two names is one booking.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.cashier.models import Refund
from payments.ledger import queries as ledger
from payments.ledger.services import audit
from payments.transfers import desk, queries
from payments.transfers.models import LineEvent, StatementLine
from payments.transfers.parsers.cells import PERHAPS_TAKEN_BACK
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    ccb_csv,
    code_of,
    expected,
    icbc_csv,
    imported,
    push,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900

# --- our own money that comes back (退汇) -------------------------------------------------------


@pytest.fixture
def tempted(account):
    """A known payer with one open payment: an equal credit from his account pays it (T4)."""
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    return expected(PRICE, payer=buyer)


OUR_RETURN, OUR_REFUND = "T23456789ABCDG", "R23456789ABCDG"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"remark": "退汇"}, id="the bank's word alone"),
        pytest.param({"remark": "货款", "texts": ("货款", " 退票 ")}, id="in any of its texts"),
        pytest.param({"remark": f"退回 {OUR_RETURN}"}, id="the number of a return"),
        pytest.param({"remark": f"退款 {OUR_REFUND} 户名不符"}, id="that of a refund"),
        pytest.param({"remark": f"账号错误{OUR_RETURN.lower()}"}, id="in small letters"),
        pytest.param({"is_reversal": True}, id="what the bank marks"),
        pytest.param(
            {"remark": "退汇-账号有误", "caution": PERHAPS_TAKEN_BACK},
            id="where payer and bank share a text",
        ),
    ],
)
def test_a_payout_of_ours_that_comes_back_pays_nobody(tempted, changes):
    (line,) = arrive(booking(PRICE, **changes))

    tempted.refresh_from_db()
    assert (line.verdict, line.rule, line.is_posted) == ("CONFLICT", "R", True)
    assert tempted.status == "WAITING"


@pytest.mark.parametrize(
    "words", ["退货补差价", "退票手续，货款", "T23456789ABCDX", f"X{OUR_RETURN}", "货款"]
)
def test_a_payers_own_words_are_no_payout_that_comes_back(tempted, words):
    """The control: the layout keeps the bank's words apart, and the payer's are not the bank's."""
    (line,) = arrive(booking(PRICE, remark=words))

    tempted.refresh_from_db()
    assert (line.verdict, line.rule) == ("MATCHED", "T4")
    assert tempted.status == "CONFIRMED"


# --- one booking under two names ----------------------------------------------------------------

CLERK = "U000CLERK"


def verdicts() -> list[tuple[str, bool]]:
    lines = StatementLine.objects.order_by("pk")
    return [(line.verdict, line.is_posted) for line in lines]


def in_books() -> tuple[int, int]:
    """Of the account's bank and suspense."""
    assert audit() == []
    return ledger.balance(f"bank:{ACCOUNT}"), ledger.balance(f"suspense:{ACCOUNT}")


def doubted() -> StatementLine:
    return StatementLine.objects.select_related("receiving_account").get(verdict="CONFLICT")


def in_file(form, row) -> None:
    """As a file of that form has it: without its serial, or with one written otherwise."""
    imported(
        icbc_csv([row]) if form == "icbc" else ccb_csv([replace(row, serial="A" + row.serial)])
    )


@pytest.mark.parametrize("form", ["icbc", "ccb"])
@pytest.mark.parametrize("is_file_first", [False, True])
def test_what_was_pushed_and_stands_in_a_file_under_another_name_is_one(
    account, form, is_file_first
):
    payment = expected(PRICE)
    row = booking(PRICE, virtual_account=virtual_of(payment), remark="货款")
    ways = [lambda: push(row), lambda: in_file(form, row)]

    for way in reversed(ways) if is_file_first else ways:
        way()

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("CONFIRMED", PRICE)
    assert not Refund.objects.exists()  # T1d would owe all of it to the buyer
    assert verdicts() == [("MATCHED", True), ("CONFLICT", False)]
    assert "疑似已收录（流水号写法不同）" in doubted().reasons[0]
    assert in_books() == (PRICE, 0)


def test_two_forms_of_file_name_one_booking_differently(account):
    payment = expected(PRICE)
    row = booking(PRICE, remark=code_of(payment))

    imported(ccb_csv([row]))
    imported(icbc_csv([row]))

    assert verdicts() == [("MATCHED", True), ("CONFLICT", False)]
    assert in_books() == (PRICE, 0)


def test_a_clerk_says_that_it_is_the_same(account):
    row = booking(PRICE)
    push(row)
    in_file("icbc", row)

    desk.ignore(line=doubted(), reason="与已收录的是同一笔", actor=CLERK, at=NOON)

    assert verdicts()[1] == ("IGNORED", False)
    assert in_books() == (PRICE, PRICE)
    pushed = StatementLine.objects.get(serial=row.serial)
    assert LineEvent.objects.filter(line=pushed, kind="CONFIRMED").exists()
    assert pushed.balance_fen == PRICE


def test_a_clerk_says_that_it_is_new(account):
    payment = expected(PRICE)
    row = booking(PRICE)
    push(row)
    in_file("icbc", row)
    line = doubted()
    assert queries.actions(line)["take_in"]

    desk.take_in(line=line, actor=CLERK, at=NOON)

    assert in_books() == (2 * PRICE, 2 * PRICE)
    found = queries.candidates(line, make_user(is_superuser=True))
    assert [one.payment for one in found] == [payment.number]


@pytest.mark.parametrize("is_reversal", [False, True])
def test_money_out_under_two_names_is_one_until_a_clerk_says_that_it_is_new(account, is_reversal):
    row = booking(-PRICE, is_reversal=is_reversal)
    push(row)
    in_file("ccb", replace(row, is_reversal=False))
    line = StatementLine.objects.latest("pk")
    assert (line.verdict, in_books()) == ("CONFLICT", (-PRICE, 0))

    desk.take_in(line=line, actor=CLERK, at=NOON)

    assert (line.verdict, line.is_elsewhere, in_books()) == ("IGNORED", True, (-2 * PRICE, 0))


# --- and two that are two -----------------------------------------------------------------------


def test_two_equal_payments_are_as_many_as_the_source_with_most_of_them_says(account):
    twins = [booking(PRICE, booked_at=NOON + timedelta(minutes=n)) for n in range(3)]
    push(twins[0])
    imported(icbc_csv(twins))
    push(twins[2])
    push(twins[1])

    assert verdicts().count(("CONFLICT", False)) == 3
    assert in_books() == (3 * PRICE, 3 * PRICE)
    imported(icbc_csv([*twins, booking(PRICE, booked_at=NOON + timedelta(hours=1))]))
    assert in_books() == (4 * PRICE, 4 * PRICE)


@pytest.mark.parametrize("are_together", [True, False])
def test_a_second_payment_whose_push_was_lost_is_new_where_serials_are_the_same(
    account, are_together
):
    first, second = booking(PRICE), booking(PRICE)
    push(first)
    imported(ccb_csv([first, second] if are_together else [first]))
    if not are_together:
        imported(ccb_csv([second], opening=PRICE))

    assert [is_posted for _, is_posted in verdicts()] == [True, True]
    assert in_books() == (2 * PRICE, 2 * PRICE)


def test_a_second_payment_that_is_pushed_after_the_file_is_new_where_serials_are_the_same(account):
    yesterday = booking(100, booked_at=NOON - timedelta(days=1))
    push(yesterday)
    first, second = booking(PRICE), booking(PRICE)
    imported(ccb_csv([yesterday, first]))

    push(second)

    assert [is_posted for _, is_posted in verdicts()] == [True, True, True]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"amount_fen": PRICE + 1}, id="another amount"),
        pytest.param({"booked_at": NOON + timedelta(days=1)}, id="another day"),
        pytest.param({"payer_account": "6217009988776655"}, id="another account"),
        pytest.param({"payer_account": "", "payer_name": "王大美"}, id="another name"),
        pytest.param({"virtual_account": f"{ACCOUNT}0000000029"}, id="another virtual account"),
        pytest.param({"remark": "核对码 10000119"}, id="another code"),
    ],
)
def test_what_differs_in_one_fact_is_another_booking(account, changes):
    row = booking(PRICE, virtual_account=f"{ACCOUNT}0000000030", remark="核对码 10000022")
    push(row)

    imported(icbc_csv([replace(row, **changes)]), at=NOON + timedelta(days=1))

    assert StatementLine.objects.count() == 2
    assert not StatementLine.objects.filter(rule="T0").exists()


def test_a_file_alone_asks_once_for_what_other_sources_hold(account):
    rows = [booking(PRICE, booked_at=NOON + timedelta(minutes=n)) for n in range(20)]
    with CaptureQueriesContext(connection) as asked:
        imported(icbc_csv(rows))

    assert sum("others AS" in one["sql"] for one in asked) == 1


# --- around midnight ----------------------------------------------------------------------------

MIDNIGHT = datetime(2026, 6, 17, 16, 0, tzinfo=UTC)  # of the 18th, in Shanghai
DAY = timedelta(days=1)


def apart(**times):
    return timedelta(**times)


ACROSS = {
    "pushed before, booked after": (-apart(seconds=30), apart(seconds=20)),
    "pushed before, the file says only the next day": (-apart(minutes=9), apart()),
    "pushed after, booked before": (apart(seconds=30), -apart(seconds=10)),
    "pushed after, the file says only the day before": (apart(minutes=9), -DAY),
}
across = pytest.mark.parametrize(("pushed", "booked"), ACROSS.values(), ids=ACROSS.keys())


def both_ways(row, pushed, booked, *, is_file_first, form="icbc"):
    ways = [
        lambda: push(replace(row, booked_at=MIDNIGHT + pushed), at=NOON),
        lambda: in_file(form, replace(row, booked_at=MIDNIGHT + booked)),
    ]
    for way in reversed(ways) if is_file_first else ways:
        way()


@across
@pytest.mark.parametrize("is_file_first", [False, True])
@pytest.mark.parametrize("form", ["icbc", "ccb"])
def test_what_is_pushed_before_midnight_and_booked_after_it_waits_for_a_person(
    account, pushed, booked, is_file_first, form
):
    payment = expected(PRICE)
    row = booking(PRICE, virtual_account=virtual_of(payment), remark="货款")

    both_ways(row, pushed, booked, is_file_first=is_file_first, form=form)

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("CONFIRMED", PRICE)
    assert verdicts() == [("MATCHED", True), ("CONFLICT", False)]
    line = doubted()
    assert "相隔午夜几分钟" in line.reasons[0]
    assert line.facts["held_as"] == StatementLine.objects.get(verdict="MATCHED").number
    assert in_books() == (PRICE, 0)


@pytest.mark.parametrize("is_file_first", [False, True])
@pytest.mark.parametrize(
    ("pushed", "booked", "changes"),
    [
        pytest.param(-apart(minutes=11), apart(), {}, id="long before a day"),
        pytest.param(apart(minutes=11), -DAY, {}, id="long after a day"),
        pytest.param(-apart(minutes=6), apart(minutes=6), {}, id="not minutes apart"),
        pytest.param(-DAY, apart(), {}, id="two days"),
        pytest.param(-apart(minutes=1), DAY, {}, id="two midnights"),
        pytest.param(
            -apart(minutes=1), apart(), {"payer_account": "6217009988776655"}, id="another payer"
        ),
        pytest.param(-apart(minutes=1), apart(), {"amount_fen": PRICE + 1}, id="another amount"),
    ],
)
def test_what_is_not_minutes_from_one_midnight_is_two_bookings(
    account, pushed, booked, changes, is_file_first
):
    ways = [
        lambda: push(booking(PRICE, booked_at=MIDNIGHT + pushed), at=NOON + 2 * DAY),
        lambda: imported(
            icbc_csv([replace(booking(PRICE, booked_at=MIDNIGHT + booked), **changes)]),
            at=NOON + 2 * DAY,
        ),
    ]
    for way in reversed(ways) if is_file_first else ways:
        way()

    assert [is_posted for _, is_posted in verdicts()] == [True, True]


@pytest.mark.parametrize("is_file_first", [False, True])
def test_who_pays_the_same_every_night_has_paid_every_night(account, is_file_first):
    """The files have no times, and each day's comes in turn."""
    nights = [MIDNIGHT + n * DAY - apart(minutes=1) for n in range(3)]
    for n, night in enumerate(nights):
        ways = [
            lambda night=night: push(booking(PRICE, booked_at=night), at=NOON + 4 * DAY),
            lambda n=n: imported(
                icbc_csv([booking(PRICE, booked_at=MIDNIGHT + (n - 1) * DAY)], opening=n),
                at=NOON + 4 * DAY,
            ),
        ]
        for way in reversed(ways) if is_file_first else ways:
            way()

    assert in_books() == (3 * PRICE, 3 * PRICE)
    assert verdicts().count(("CONFLICT", False)) == 3


def test_what_was_found_over_midnight_stands_for_no_other_payment_of_either_day(account):
    row = booking(PRICE)
    both_ways(row, -apart(seconds=30), apart(seconds=20), is_file_first=False)
    later = [MIDNIGHT + apart(hours=9), MIDNIGHT - apart(hours=9)]

    for n, moment in enumerate(later, 1):
        push(booking(PRICE, booked_at=moment), at=NOON)
        imported(icbc_csv([booking(PRICE, booked_at=moment)], opening=n * PRICE))

    assert in_books() == (3 * PRICE, 3 * PRICE)
    assert verdicts().count(("CONFLICT", False)) == 3
    held = StatementLine.objects.filter(facts__has_key="held_as")
    assert len({one.facts["held_as"] for one in held}) == 3


def test_a_payment_of_the_next_day_whose_push_was_lost_is_new(account):
    push(booking(PRICE, booked_at=MIDNIGHT - apart(minutes=1)), at=NOON)
    imported(icbc_csv([booking(PRICE, booked_at=MIDNIGHT - DAY)]))
    imported(icbc_csv([booking(PRICE, booked_at=MIDNIGHT)], opening=PRICE))

    assert in_books() == (2 * PRICE, 2 * PRICE)


@pytest.mark.parametrize("minutes", [0, 60])
def test_rows_of_midnight_ask_no_more_often_than_others(account, minutes):
    rows = [
        booking(PRICE + n, booked_at=MIDNIGHT + apart(minutes=minutes, seconds=n))
        for n in range(20)
    ]
    for row in rows:
        push(replace(row, booked_at=row.booked_at - apart(seconds=40)), at=NOON)
    with CaptureQueriesContext(connection) as asked:
        imported(icbc_csv(rows))

    assert verdicts().count(("CONFLICT", False)) == 20
    assert sum("others AS" in one["sql"] for one in asked) == 1
    assert sum("WITH own" in one["sql"] for one in asked) == 1
