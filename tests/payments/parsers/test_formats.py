"""All four formats, as the sandbox's bank writes them."""

import pytest

from payments.transfers import parsers
from tests.payments.parsers.made import DAY, FORMATS, OPENING, OURS, bookings, rendered

every_format = pytest.mark.parametrize("form", FORMATS)


@every_format
def test_a_statement_is_read_as_it_was_written(form):
    made = bookings()

    statement = parsers.read(rendered(form), ours=[OURS])

    assert statement.format == form
    assert statement.account_no == OURS
    assert statement.opening_fen == OPENING
    assert statement.closing_fen == OPENING + sum(one.signed_fen for one in made)
    assert statement.booked_from == DAY
    assert (statement.booked_until - DAY).days == 1
    assert [
        (row.serial, row.amount_fen, row.virtual_account, row.is_reversal, row.remark)
        for row in statement.rows
    ] == [
        (one.serial, one.signed_fen, one.virtual_account, bool(one.reverses), one.remark)
        for one in made
    ]
    assert [(r.payer_name, r.payer_account, r.payer_bank, r.currency) for r in statement.rows] == [
        (one.payer_name, one.payer_account, one.payer_bank, "CNY") for one in made
    ]
    assert all(one.remark in row.texts for one, row in zip(made, statement.rows, strict=True))


@pytest.mark.parametrize("form", ["ccb_csv", "cmb_xlsx", "camt053"])
def test_the_moment_is_shanghais(form):
    rows = parsers.read(rendered(form), ours=[OURS]).rows
    assert [row.booked_at for row in rows] == [one.booked_at for one in bookings()]


def test_mt940_knows_only_the_day():
    row = parsers.read(rendered("mt940")).rows[0]
    assert row.booked_at.isoformat() == "2026-01-05T00:00:00+08:00"


@pytest.mark.parametrize("form", ["cmb_xlsx", "mt940", "camt053"])
def test_a_day_that_says_it_was_empty_is_empty(form):
    statement = parsers.read(rendered(form, rows=[]))
    assert statement.rows == ()
    assert statement.opening_fen == statement.closing_fen == OPENING
    assert statement.account_no == OURS


def test_a_table_without_rows_that_does_not_say_so_is_refused():
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(rendered("ccb_csv", rows=[]))
    assert refused.value.code == "DAMAGED_FILE"


@every_format
def test_one_payment_to_one_virtual_account_is_told_apart_from_our_account(form):
    made = bookings(1)
    assert made[0].virtual_account

    statement = parsers.read(rendered(form, made), ours=["6222", OURS])

    assert statement.account_no == OURS
    assert statement.rows[0].virtual_account == made[0].virtual_account


@every_format
def test_a_serial_on_two_rows_is_refused(form):
    made = bookings(3)
    twice = [made[0], made[1], made[2], made[0]]

    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(rendered(form, twice), ours=[OURS])

    assert refused.value.code == "SERIAL_TWICE"
    assert refused.value.details["serial"] == made[0].serial


def test_twenty_thousand_lines_are_read_whole():
    """How fast is a matter of `make bench`."""
    statement = parsers.read(rendered("ccb_csv", bookings(20_000)), ours=[OURS])

    assert len(statement.rows) == 20_000
