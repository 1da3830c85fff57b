"""What a payer wrote: codes and names, whatever the input method and the bank made of them."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from config.kit.numbers import is_mod97

# Zero-width signs, the byte order mark and control signs; none is part of what a person typed.
_INVISIBLE = re.compile("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2060\ufeff]")
_EIGHT = re.compile(r"(?<![0-9])[0-9]{8}(?![0-9])")
# Exactly two groups of digits around one separator; a longer chain (a date, a phone) is no code.
_PAIR = re.compile(
    r"(?<![0-9])(?<![0-9][ \-_.·/])([0-9]{1,7})[ \-_.·/]([0-9]{1,7})(?![ \-_.·/]?[0-9])"
)


def normal(text: str) -> str:
    """As codes are searched: full width to half, invisible signs removed, upper case."""
    if text.isascii() and text.isprintable():
        return text.upper()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).upper()


def normal_name(name: str) -> str:
    """As names are compared: exactly, but for width, spaces and brackets.  Never fuzzily."""
    return re.sub(r"[\s()]", "", normal(name))


@dataclass(frozen=True)
class Codes:
    """Sound codes in what the payer wrote; joined ones count only where none stands whole."""

    found: frozenset[str] = frozenset()
    is_joined: bool = False


NO_CODES = Codes()


def codes_in(texts: Iterable[str]) -> Codes:
    """Every 8-digit run with sound check digits, in every text the payer's words may be in."""
    plain = [normal(text) for text in texts]
    whole = {code for text in plain for code in _EIGHT.findall(text) if is_mod97(code)}
    if whole:
        return Codes(frozenset(whole))
    pairs = {left + right for text in plain for left, right in _PAIR.findall(text)}
    joined = {code for code in pairs if len(code) == 8 and is_mod97(code)}
    return Codes(frozenset(joined), is_joined=True) if joined else NO_CODES


def near_codes(texts: Iterable[str]) -> frozenset[str]:
    """Sound codes one typing error away from what was written (T6): for a person to look at."""
    runs = {run for text in texts for run in re.findall(r"[0-9]{7,9}", normal(text))}
    near = {code for run in runs for code in _one_edit(run) if len(code) == 8 and is_mod97(code)}
    return frozenset(near - codes_in(texts).found)


def _one_edit(run: str) -> Iterable[str]:
    for i in range(len(run) + 1):
        yield from (run[:i] + digit + run[i:] for digit in "0123456789")
        yield from (run[:i] + digit + run[i + 1 :] for digit in "0123456789")
        yield run[:i] + run[i + 1 :]
        yield run[:i] + run[i : i + 2][::-1] + run[i + 2 :]
