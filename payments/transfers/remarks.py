"""What a payer wrote, and who he is: codes, names and accounts, whatever was made of them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from config.kit.numbers import is_mod97

# Zero-width signs, the byte order mark and control signs; none is part of what a person typed.
_INVISIBLE = re.compile("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2060\ufeff]")
# What NFKC and the removal above leave as it is; most remarks are no more than this.
_IS_PLAIN = re.compile("[ -~\u3001\u3002\u4e00-\u9fff]*").fullmatch
_EIGHT = re.compile(r"(?<![0-9])[0-9]{8}(?![0-9])")
# Exactly two groups of digits around one separator; a longer chain (a date, a phone) is no code.
_PAIR = re.compile(
    r"(?<![0-9])(?<![0-9][ \-_.·/])([0-9]{1,7})[ \-_.·/]([0-9]{1,7})(?![ \-_.·/]?[0-9])"
)
_NUMERALS = "〇零一二三四五六七八九壹贰叁肆伍陆柒捌玖幺"
_SPELLED = re.compile(f"(?<![{_NUMERALS}0-9])[{_NUMERALS}]{{8}}(?![{_NUMERALS}0-9])")
_DIGIT_OF = str.maketrans(_NUMERALS, "001234567891234567891")
# No code is ever given that reads as one (receiving.rules.draw_codes).
_DATE = re.compile(r"(?:19[9][0-9]|20[0-9]{2})(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
# Accounts of payment companies and banks, through which everybody's money comes.
_POOLED = re.compile("备付金|支付宝|财付通|微信支付|中国银联|网联清算|待清算|待划转|过渡户")

# What banks print of an account: digits, perhaps in groups, behind an IBAN's head (GB29NWBK) or a
# few letters (NRA, FTN).  X is a mask, and so is anything else: 尾号1234, 6222****1234, 0000000000.
_WHOLE_ACCOUNT = re.compile(
    r"(?:[A-Z]{2}[0-9]{2}[A-Z]{4}|[A-WYZ]{2,4})?(?!0+\Z)[0-9](?:[ -]?[0-9]){7,39}", re.ASCII
)


def normal(text: str) -> str:
    """As codes are searched: full width to half, invisible signs removed, upper case."""
    if _IS_PLAIN(text):
        return text.upper()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).upper()


def normal_name(name: str) -> str:
    """As names are compared: exactly, but for width, spaces and brackets.  Never fuzzily."""
    return re.sub(r"[\s()]", "", normal(name))


def is_pooled(payer_name: str) -> bool:
    """Whether this payer is a payment company or the bank itself, and tells nothing of a person."""
    return _POOLED.search(payer_name) is not None


def is_whole_account(account: str) -> bool:
    """Whether this is an account to its last digit: one payer's, and good to send money back to."""
    return _WHOLE_ACCOUNT.fullmatch(account) is not None


class Codes(NamedTuple):
    """Sound codes in what the payer wrote.

    Those joined from two groups of digits count only where none stands whole, those spelled in
    Chinese numerals only where there are no others.
    """

    found: frozenset[str] = frozenset()
    is_joined: bool = False
    is_spelled: bool = False


NO_CODES = Codes()


def codes_in(texts: Sequence[str]) -> Codes:
    """Every 8-digit run with sound check digits, in every text the payer's words may be in."""
    # No code reaches over the end of a text.
    return _codes(texts[0] if len(texts) == 1 else "。".join(texts))


@lru_cache(maxsize=4096)  # most payers write what others write: 货款
def _codes(text: str) -> Codes:
    if not _IS_PLAIN(text):
        text = normal(text)
    if runs := _EIGHT.findall(text):
        whole = [run for run in runs if int(run) % 97 == 1 and not _DATE.match(run)]
        if whole:
            return Codes(frozenset(whole))
        # Something of a code's length that is neither a code nor a date: mistyped, or foreign.
        if not all(map(_DATE.match, runs)):
            return NO_CODES
    if joined := {left + right for left, right in _PAIR.findall(text)}:
        joined = {code for code in joined if _is_code(code)}
        if joined:
            return Codes(frozenset(joined), is_joined=True)
    spelled = {run.translate(_DIGIT_OF) for run in _SPELLED.findall(text)}
    spelled = {code for code in spelled if _is_code(code)}
    return Codes(frozenset(spelled), is_spelled=True) if spelled else NO_CODES


def _is_code(digits: str) -> bool:
    return len(digits) == 8 and is_mod97(digits) and not _DATE.match(digits)


def near_codes(texts: Sequence[str]) -> frozenset[str]:
    """Sound codes one typing error away from what was written (T6): for a person to look at."""
    runs = {run for text in texts for run in re.findall(r"[0-9]{7,9}", normal(text))}
    near = {code for run in runs for code in _one_edit(run) if len(code) == 8 and is_mod97(code)}
    return frozenset(near - codes_in(texts).found) if near else frozenset()


def _one_edit(run: str) -> Iterable[str]:
    """Everything at optimal string alignment distance 1: one sign more, less, other or swapped."""
    for i in range(len(run) + 1):
        yield from (run[:i] + digit + run[i:] for digit in "0123456789")
        yield from (run[:i] + digit + run[i + 1 :] for digit in "0123456789")
        yield run[:i] + run[i + 1 :]
        yield run[:i] + run[i : i + 2][::-1] + run[i + 2 :]
