"""MT940: signs, pages, accounts, encodings, and what a payer may try in his remark."""

import io

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.cells import PERHAPS_TAKEN_BACK
from payments.transfers.parsers.messages import mt940
from tests.payments.parsers.made import OURS

LINE = ":61:2601050105C100,50NTRFNONREF//S1"


def page(*lines, account=OURS, opening="C260104CNY1000,", closing="C260105CNY1100,50", first="F"):
    return [
        *(":20:REF", f":25:{account}", ":28C:1/1", f":60{first}:{opening}"),
        *(lines or [LINE, ":86:166?00转账?20货款?2112345678?30工商银行?31622200?32乙?33公司"]),
        *(f":62F:{closing}", "-"),
    ]


def file(*pages, encoding="utf-8"):
    return "\r\n".join([line for one in pages for line in one] + [""]).encode(encoding)


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content)
    return refused.value


@pytest.mark.parametrize(
    ("mark", "closing", "fen", "reversal"),
    [
        ("C", "C260105CNY1100,50", 10_050, False),
        ("D", "C260105CNY899,5", -10_050, False),
        ("RC", "C260105CNY899,50", -10_050, True),
        ("RD", "C260105CNY1100,50", 10_050, True),
    ],
)
def test_a_reversal_of_a_credit_is_money_out(mark, closing, fen, reversal):
    line = f":61:2601050105{mark}100,50NTRFNONREF//S1"
    row = parsers.read(file(page(line, closing=closing))).rows[0]
    assert (row.amount_fen, row.is_reversal) == (fen, reversal)


@pytest.mark.parametrize(
    ("reference", "details", "reverses"),
    [
        ("S0000001", ":86:166?20冲正", "S0000001"),
        ("NONREF", ":86:166?20冲正 原流水号：S0000002", "S0000002"),
        ("S0000001", ":86:166?20冲正 原流水号：S0000002", "S0000002"),
        ("NONREF", ":86:166?20冲正", None),
        ("S1", ":86:166?20冲正", None),
    ],
)
def test_a_reversal_names_what_it_takes_back(reference, details, reverses):
    line = f":61:2601050105RC100,50NTRF{reference}//S1"
    row = parsers.read(file(page(line, details, closing="C260105CNY899,50"))).rows[0]
    assert row.reverses == reverses


@pytest.mark.parametrize(
    ("mark", "closing"), [("C", "C260105CNY1100,50"), ("D", "C260105CNY899,50")]
)
def test_money_in_whose_words_say_returned_is_for_a_person(mark, closing):
    line = f":61:2601050105{mark}100,50NTRFNONREF//S1"
    row = parsers.read(file(page(line, ":86:166?20退汇 户名不符", closing=closing))).rows[0]
    assert (row.caution, row.is_reversal) == (PERHAPS_TAKEN_BACK if mark == "C" else "", False)


def test_an_ordinary_bookings_reference_reverses_nothing():
    row = parsers.read(file(page(":61:2601050105C100,50NTRFS0000001//S1"))).rows[0]
    assert row.reverses is None


def test_a_page_is_read_when_its_turn_comes():
    """The last page decides, so a caller keeps nothing of a file that ends in a refusal."""
    broken = page(account="110000000000001", closing="C260105CNY1100,51")
    stream = mt940.open(io.BytesIO(file(page(), broken)))

    assert stream.account_no == OURS
    assert next(stream.rows).amount_fen == 10_050
    with pytest.raises(parsers.Unreadable):
        next(stream.rows)


def test_more_than_a_day_of_any_account_is_too_large():
    with pytest.raises(parsers.Unreadable) as refused:
        mt940.open(io.BytesIO(file(page()) + bytes(32 << 20)))
    assert refused.value.code == "FILE_TOO_LARGE"


def test_structured_details_are_joined_without_spaces():
    row = parsers.read(file(page())).rows[0]
    assert row.remark == "货款12345678"
    assert (row.payer_name, row.payer_account, row.payer_bank) == ("乙公司", "622200", "工商银行")
    assert (row.serial, row.position, row.virtual_account) == ("S1", 5, None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_text_is_read_in_the_encodings_banks_use(encoding):
    details = ":86:166?00转账?20货款?32乙喆公司"
    assert (
        parsers.read(file(page(LINE, details), encoding=encoding)).rows[0].payer_name == "乙喆公司"
    )


def test_european_text_is_not_taken_for_chinese():
    details = ":86:166?20Überweisung für März?32Café Müller ÄÖ"
    row = parsers.read(file(page(LINE, details), encoding="latin-1")).rows[0]
    assert row.payer_name == "Café Müller ÄÖ"


def test_a_flaw_in_utf8_is_not_read_as_another_encoding():
    refused = refusal(file(page()).replace("乙".encode(), b"\xe4\xb9"))
    assert refused.code == "WRONG_ENCODING"
    assert refused.details["row"] == 6


def test_the_booking_day_is_the_entry_date_also_across_new_year():
    line = ":61:2512310102C100,50NTRFNONREF//S1"
    assert parsers.read(file(page(line))).rows[0].booked_at.date().isoformat() == "2026-01-02"


def test_a_reference_that_is_none_is_no_serial():
    line = LINE.replace("S1", "NONREF")
    assert parsers.read(file(page(line))).rows[0].serial is None


def test_only_the_banks_own_subfield_names_a_virtual_account():
    virtual = f":86:166?20货款?32乙公司?60VA{OURS}0000000007"
    row = parsers.read(file(page(LINE, virtual))).rows[0]
    assert row.virtual_account == f"{OURS}0000000007"

    typed_by_the_payer = f":86:166?20货款?60VA{OURS}0000000007?30工商银行?32乙公司"
    assert parsers.read(file(page(LINE, typed_by_the_payer))).rows[0].virtual_account is None


def test_pages_of_one_account_follow_one_another():
    one = page()
    one[-2] = one[-2].replace("62F", "62M")
    more = ":61:2601050105C1,NTRFNONREF//S2"
    two = page(more, opening="C260105CNY1100,50", closing="C260105CNY1101,50", first="M")

    statement = parsers.read(file(one, two))

    assert (statement.opening_fen, statement.closing_fen) == (100_000, 110_150)
    assert [row.amount_fen for row in statement.rows] == [10_050, 100]
    assert refusal(file(one)).code == "DAMAGED_FILE"
    assert refusal(file(two)).code == "DAMAGED_FILE"
    gap = page(more, opening="C260105CNY1100,49", closing="C260105CNY1101,49", first="M")
    assert refusal(file(one, gap)).code == "DAMAGED_FILE"


def test_a_file_of_several_accounts_is_none_of_them():
    statement = parsers.read(file(page(), page(account="110000000000001")))

    assert statement.accounts == (OURS, "110000000000001")
    assert statement.account_no not in statement.accounts
    assert statement.opening_fen is statement.closing_fen is None
    assert [row.account_no for row in statement.rows] == list(statement.accounts)


def test_a_balance_without_currency_has_the_opening_ones():
    assert parsers.read(file(page(closing="C2601051100,50"))).rows[0].currency == "CNY"
    assert refusal(file(page(closing="C260105EUR1100,50"))).code == "BAD_CELL"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda lines: lines[:-2], "DAMAGED_FILE"),
        (lambda lines: [line for line in lines if not line.startswith(":60")], "DAMAGED_FILE"),
        (lambda lines: [line for line in lines if not line.startswith(":25")], "DAMAGED_FILE"),
        (lambda lines: [line for line in lines if not line.startswith(":61")], "UNBALANCED"),
        (lambda lines: [line.replace("C100,50N", "C100,51N") for line in lines], "UNBALANCED"),
        (lambda lines: [line.replace("C100,50N", "C100.50N") for line in lines], "BAD_CELL"),
        (lambda lines: [line.replace("C100,50N", "C100,505N") for line in lines], "BAD_CELL"),
        (lambda lines: [line.replace(":61:2601", ":61:2613") for line in lines], "BAD_CELL"),
        (lambda lines: [line.replace("1000,", "10OO,") for line in lines], "BAD_CELL"),
        (lambda lines: [*lines[:4], ":34F:CNY0,", *lines[4:]], "NOT_BOOKED"),
        (lambda lines: ["{1:F01BANK}{2:O9421200}{4:", *lines], "NOT_BOOKED"),
        (lambda lines: [*lines[:3], "garbage"], "DAMAGED_FILE"),
    ],
)
def test_a_statement_that_is_not_whole_is_refused(change, code):
    assert refusal(file(change(page()))).code == code


def test_lines_around_the_message_do_not_matter():
    lines = ["{1:F01BANKCNBJXXXX}{2:O9401200}{4:", *page()[:-1], "-}"]
    assert len(parsers.read(file(lines)).rows) == 1
    assert len(parsers.read(b"\x01\r\n" + file(page())[:-3] + b"-\x03\r\n").rows) == 1
