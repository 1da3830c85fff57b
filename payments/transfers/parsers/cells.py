"""One cell at a time: text, header names, amounts, moments.  Nothing unreadable becomes 0."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

MAX_NAME = 200  # characters; the longest name a bank gives a column has about 60

_AMOUNT = re.compile(r"-?(?:\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:\.(\d{1,2})0*)?", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})[-/.年]?(\d{2})[-/.月]?(\d{2})日?"
    r"(?:[ T]*(\d{2})[:时]?(\d{2})(?:[:分]?(\d{2})(?:\.\d+)?秒?)?)?",
    re.ASCII,
)
_PLAIN_MOMENT = re.compile(r"(?:\d{8}|\d{4}-\d\d-\d\d)(?: (?:\d{6}|\d\d:\d\d:\d\d))?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{2})/(\d{2})/(\d{4})", re.ASCII)
_WITHOUT_YEAR = re.compile(r"(\d{2})/(\d{2})", re.ASCII)
_ORIGINAL = re.compile(r"原(?:交易)?流水号?[:： ]*([0-9A-Za-z-]{4,40})")
_BRACKETED = re.compile(r"\[[^\]]*\]")
_DASHES = frozenset("-—")
_WRAPPERS = frozenset("`'=-")


def clean(cell: str) -> str:
    """Without the wrapping that exporters add to keep a spreadsheet from changing the value."""
    text = cell.strip()
    return _unwrapped(text) if text[:1] in _WRAPPERS else text


def _unwrapped(text: str) -> str:
    if not text.strip("-"):
        return ""  # a bank's way to draw an empty cell
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text if text.startswith("-") else text.lstrip("`'").strip()


def name(cell: str) -> str:
    """A header name as it is compared: full width, English part, spaces and 帐/账 do not matter."""
    text = unicodedata.normalize("NFKC", clean(cell)[:MAX_NAME])
    return "".join(_BRACKETED.sub("", text).split()).replace(":", "").replace("帐", "账")


def fen(cell: str) -> int | None:
    """Yuan as written by a bank, in fen; None for an empty cell; ValueError for anything else."""
    if cell[-3:-2] == "." and len(cell) < 19:
        digits = cell[:-3] + cell[-2:]
        if digits.isdecimal() and digits.isascii() and cell[0] != ".":
            return int(digits)  # 1234.56, as nearly every cell is
    text = cell
    if not _AMOUNT.fullmatch(text):
        text = _plain_amount(cell)
        if not text:
            return None
        if not _AMOUNT.fullmatch(text):
            raise ValueError(cell)
    whole, _, part = text.partition(".")
    return int(whole.replace(",", "") + (part + "00")[:2])


def _plain_amount(cell: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", clean(cell)).split())
    if set(text) <= _DASHES:
        return ""
    for mark in ("¥", "元", "CNY", "RMB"):
        text = text.removeprefix(mark).removesuffix(mark)
    if text.startswith("(") and text.endswith(")"):
        return "-" + text[1:-1]
    text = text.removeprefix("+")
    # "-¥1.00" and "¥-1.00" both occur
    return "-" + text[2:] if text.startswith("-¥") else text


def moment(day: str, clock: str = "") -> datetime:
    """A date (and time) without zone is Shanghai's; ValueError when it is not one."""
    if clock:
        day = f"{day} {clock.zfill(6) if clock.isdecimal() else clock}"
    if _PLAIN_MOMENT.fullmatch(day):  # as nearly every cell is
        at = _in_range(datetime.fromisoformat(day))
        return datetime.combine(at, at.time(), SHANGHAI)  # much faster than replace()
    found = _MOMENT.fullmatch(day)
    if not found:
        raise ValueError(day)
    year, month, date, hour, minute, second = (int(part or 0) for part in found.groups())
    return _in_range(datetime(year, month, date, hour, minute, second, tzinfo=SHANGHAI))


def plausible(at: datetime) -> datetime:
    """The same instant in Shanghai; ValueError for a year no bank statement can have."""
    return _in_range(at).astimezone(SHANGHAI)


def _in_range(at: datetime) -> datetime:
    if not 1990 <= at.year <= 2100:
        raise ValueError(at.year)
    return at


def day_first(day: str) -> str:
    """31/01/2026, as Hong Kong writes it, in the order that `moment` reads; ValueError if not."""
    found = _DAY_FIRST.fullmatch(day)
    if not found:
        raise ValueError(day)
    return f"{found[3]}{found[2]}{found[1]}"


def without_year(day: str, year: int, month: int) -> str:
    """MM/DD in the twelve months that end with that one, as YYYYMMDD; ValueError if not a day."""
    found = _WITHOUT_YEAR.fullmatch(day)
    if not found:
        raise ValueError(day)
    return f"{year - (int(found[1]) > month)}{found[1]}{found[2]}"


def written(cell: object) -> str:
    """A spreadsheet's typed cell as text; ValueError for a number too long to be still itself."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool) or cell is None:
        return "" if cell is None else str(cell).upper()
    if isinstance(cell, (int, float)):
        return _written_number(cell)
    if isinstance(cell, datetime):
        return cell.strftime("%Y%m%d %H:%M:%S")
    return cell.strftime("%H%M%S") if isinstance(cell, time) else str(cell)


def _written_number(number: float) -> str:
    if abs(number) >= 10**15:
        # Excel keeps 15 digits: the rest of this account or serial number is already lost.
        raise ValueError(number)
    if number == int(number):
        return str(int(number))
    cents = round(number, 2)
    # 1234.5600000000001 is what adding cents leaves behind; 1234.567 is not.
    return f"{cents:.2f}" if abs(number - cents) < 1e-6 else repr(number)


TAKEN_BACK = re.compile("冲正|冲账|冲帐|冲销|抹账|抹帐|退汇|退票")
# On a credit of a format that keeps the payer's words and the bank's in one text: either may have
# said it, so that a person looks (screening makes it rule R).
PERHAPS_TAKEN_BACK = "文字含冲正、退汇或退票，可能是本店的付款被退回"


def perhaps_taken_back(fen: int, texts: Iterable[str]) -> str:
    """That caution, for money in whose words say so; else nothing."""
    if fen > 0 and any(TAKEN_BACK.search(text) for text in texts):
        return PERHAPS_TAKEN_BACK
    return ""


def original(texts: Sequence[str]) -> str | None:
    """Serial of the booking that a reversal takes back, where the bank's words name it."""
    return next((found[1] for text in texts if (found := _ORIGINAL.search(text))), None)
