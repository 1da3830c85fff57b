import secrets

import pytest

from config.kit.numbers import is_mod97, mod97_digits
from payments.receiving.rules import draw_codes, draw_unit
from payments.transfers.remarks import codes_in, near_codes, normal_name

CODE = mod97_digits(481516, 6)
OTHER = mod97_digits(234200, 6)
FULL_WIDTH = "".join(chr(ord(digit) + 0xFEE0) for digit in CODE)
named = pytest.mark.parametrize


@named(
    ("case", "texts", "found"),
    [
        ("alone", [CODE], {CODE}),
        ("behind what the bank prepends", [f"转账{CODE}"], {CODE}),
        ("in the second text", ["网银转账", f"货款 {CODE}"], {CODE}),
        ("full width", [f"货款{FULL_WIDTH}"], {CODE}),
        ("with a zero-width space inside", [f"{CODE[:3]}\u200b{CODE[3:]}"], {CODE}),
        ("the same in two columns", [CODE, f"附言:{CODE}"], {CODE}),
        ("two codes", [f"{CODE},{OTHER}"], {CODE, OTHER}),
        ("two codes without a separator", [CODE + OTHER], set()),
        ("part of a longer number", [f"6222{CODE}"], set()),
        ("wrong check digits", [CODE[:-1] + str((int(CODE[-1]) + 1) % 10)], set()),
        ("a blank in the middle", [f"{CODE[:4]} {CODE[4:]}"], {CODE}),
        ("a dash in the middle", [f"{CODE[:4]}-{CODE[4:]}"], {CODE}),
        ("two separators", [f"{CODE[:4]}--{CODE[4:]}"], set()),
        ("an amount behind the code", [f"{CODE} 500"], {CODE}),
        ("a date", ["2026-01-05 货款"], set()),
        ("a phone in groups", [f"138 {CODE[:4]} {CODE[4:]}"], set()),
        ("nothing", ["", "货款"], set()),
    ],
)
def test_codes_are_found_where_payers_and_banks_put_them(case, texts, found):
    assert codes_in(texts).found == found, case


def test_a_joined_code_counts_only_where_none_stands_whole():
    assert not codes_in([f"{CODE} {OTHER[:4]}-{OTHER[4:]}"]).is_joined
    assert codes_in([f"{CODE} {OTHER[:4]}-{OTHER[4:]}"]).found == {CODE}


def test_a_swapped_or_wrong_digit_never_makes_another_sound_code():
    for code in draw_codes(500, []):
        for i in range(8):
            wrong = code[:i] + str((int(code[i]) + 1 + secrets.randbelow(9)) % 10) + code[i + 1 :]
            assert not is_mod97(wrong)
        for i in range(7):
            swapped = code[:i] + code[i + 1] + code[i] + code[i + 2 :]
            assert swapped == code or not is_mod97(swapped)


def test_no_code_reads_as_a_date_or_as_a_tail_of_our_accounts():
    codes = draw_codes(20_000, ["755900" + CODE])

    assert CODE not in codes
    assert not [code for code in codes if "1990" <= code[:4] <= "2099" and code[4:6] in _MONTHS
                and "01" <= code[6:] <= "31"]  # fmt: skip


_MONTHS = {f"{month:02d}" for month in range(1, 13)}


def test_units_are_ten_digits_with_check_digits():
    unit = draw_unit()

    assert len(unit) == 10
    assert is_mod97(unit)


def test_a_code_one_error_away_is_found_for_the_clerk_only():
    typed = CODE[:2] + CODE[3] + CODE[2] + CODE[4:] if CODE[2] != CODE[3] else CODE[1:]

    assert CODE in near_codes([f"货款{typed}"])
    assert CODE in near_codes([CODE[:-1]])
    assert CODE not in codes_in([f"货款{typed}"]).found


def test_names_are_equal_or_not_never_nearly():
    assert normal_name("杭州（私域）有限公司") == normal_name("杭州(私域) 有限公司")
    assert normal_name("张三") != normal_name("张三丰")
