import secrets
import unicodedata
from datetime import date, timedelta

import pytest

from config.kit.numbers import is_mod97, mod97_digits
from payments.receiving.rules import draw_codes, draw_unit
from payments.transfers.remarks import (
    _INVISIBLE,
    _IS_PLAIN,
    Codes,
    codes_in,
    is_pooled,
    is_whole_account,
    near_codes,
    normal,
    normal_name,
)

CODE = mod97_digits(481516, 6)
OTHER = mod97_digits(234200, 6)
DAYS = (date(2026, 1, 1) + timedelta(days) for days in range(3650))
DATE = next(day for day in map("{:%Y%m%d}".format, DAYS) if is_mod97(day))
SPELLED = CODE.translate(str.maketrans("0123456789", "〇一二三四五六七八九"))
ARABIC = CODE.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
ON_A_CHEQUE = CODE.translate(str.maketrans("0123456789", "零壹贰叁肆伍陆柒捌玖"))
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
        ("an amount behind eight digits that are no code", ["12345678 500"], set()),
        ("a date", ["2026-01-05 货款"], set()),
        ("a date without separators", ["20260105 货款"], set()),
        ("a date with sound check digits", [DATE], set()),
        ("a date in two groups", [f"{DATE[:4]}-{DATE[4:]}"], set()),
        ("a code in groups behind a date", [f"20260105，{CODE[:4]} {CODE[4:]}"], {CODE}),
        ("a code in groups behind a foreign number", [f"12345678，{CODE[:4]} {CODE[4:]}"], set()),
        ("a code in three groups", [f"{CODE[:2]} {CODE[2:4]} {CODE[4:]}"], set()),
        ("a code over two texts", [CODE[:4], CODE[4:]], set()),
        ("a code at the end of one text, digits in the next", [CODE, "500"], {CODE}),
        ("with a line break inside", [f"{CODE[:4]}\n{CODE[4:]}"], {CODE}),
        ("with an ideographic space", [f"{CODE[:4]}\u3000{CODE[4:]}"], {CODE}),
        ("in circles, as no input method writes it", ["①②③④⑤⑥⑦⑧"], set()),
        (
            "in Arabic-Indic digits",
            [CODE.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))],
            set(),
        ),
        ("spelled out", [f"核对码{SPELLED}"], {CODE}),
        ("spelled out as on a cheque", [ON_A_CHEQUE], {CODE}),
        ("a longer number spelled out", [f"{SPELLED}九"], set()),
        ("spelled in part", [f"{CODE[:4]}{SPELLED[4:]}"], set()),
        ("a phone in groups", [f"138 {CODE[:4]} {CODE[4:]}"], set()),
        ("nothing", ["", "货款"], set()),
    ],
)
def test_codes_are_found_where_payers_and_banks_put_them(case, texts, found):
    assert codes_in(texts).found == found, case


def test_a_joined_code_counts_only_where_none_stands_whole():
    assert not codes_in([f"{CODE} {OTHER[:4]}-{OTHER[4:]}"]).is_joined
    assert codes_in([f"{CODE} {OTHER[:4]}-{OTHER[4:]}"]).found == {CODE}


def test_a_spelled_code_counts_only_where_no_digits_do():
    assert codes_in([SPELLED]).is_spelled
    assert codes_in([SPELLED, OTHER]) == Codes(frozenset({OTHER}))
    assert codes_in([f"{OTHER[:4]}-{OTHER[4:]}，{SPELLED}"]).found == {OTHER}


@named(
    "text", ["货款", "ABC-123", "，。！？（）", "ａｂｃ１２３", "\u200b\ufeff\u0000", "㈱①Ⅳ", "𠮷"]
)
def test_the_short_way_for_plain_texts_is_the_long_way(text):
    assert normal(text) == _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).upper()


def test_every_plain_sign_is_left_as_it_is_by_the_long_way():
    plain = [sign for sign in map(chr, range(0x11000)) if _IS_PLAIN(sign)]

    assert len(plain) > 20_000
    assert all(_INVISIBLE.sub("", unicodedata.normalize("NFKC", sign)) == sign for sign in plain)


@named(
    "name",
    [
        "支付宝（中国）网络技术有限公司客户备付金",
        "财付通支付科技有限公司客户备付金",
        "待清算商户消费款",
        "中国银联股份有限公司",
    ],
)
def test_a_payment_companys_account_is_everybodys(name):
    assert is_pooled(name)


def test_a_persons_or_a_firms_account_is_its_own():
    assert not is_pooled("王小美")
    assert not is_pooled("杭州银联商贸有限公司")


def test_a_swapped_or_wrong_digit_never_makes_another_sound_code():
    for code in draw_codes(500):
        for i in range(8):
            wrong = code[:i] + str((int(code[i]) + 1 + secrets.randbelow(9)) % 10) + code[i + 1 :]
            assert not is_mod97(wrong)
        for i in range(7):
            swapped = code[:i] + code[i + 1] + code[i] + code[i + 2 :]
            assert swapped == code or not is_mod97(swapped)


def test_no_code_reads_as_a_date():
    codes = draw_codes(20_000)

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


@named(
    "account",
    [
        "6222020200112233",
        "6222 0202 0011 2233",
        "3105-0161-3640-0000",
        "243300133",
        "NRA15000012345678",
        "GB29NWBK60161331926819",
    ],
)
def test_an_account_is_whole_when_every_digit_of_it_is_there(account):
    assert is_whole_account(account)


@named(
    "account",
    [
        "", "尾号1234", "6222****2233", "622202XXXXXX1234", "XXXX12345678", "622202…2233", "1234",
        "0000000000000000", "张三6222020200112233", "6222020200112233（尾号）", "62220202001１2233",
        "6222020200112233\n",
    ],
)  # fmt: skip
def test_what_leaves_digits_out_is_no_account(account):
    assert not is_whole_account(account)
