"""One cell at a time: text, header names, amounts, moments.  Nothing unreadable becomes 0."""

import re
import unicodedata
from datetime import datetime, time
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

_AMOUNT = re.compile(r"-?(?:\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:\.(\d{1,2})0*)?", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})[-/.年]?(\d{2})[-/.月]?(\d{2})日?"
    r"(?:[ T]*(\d{2})[:时]?(\d{2})(?:[:分]?(\d{2})(?:\.\d+)?秒?)?)?",
    re.ASCII,
)
_BRACKETED = re.compile(r"\[[^\]]*\]")
_DASHES = frozenset("-—")


def clean(cell: str) -> str:
    """Without the wrapping that exporters add to keep a spreadsheet from changing the value."""
    text = cell.strip()
    if text[:1] in {"`", "'", "="}:
        if text.startswith('="') and text.endswith('"'):
            text = text[2:-1]
        return text.lstrip("`'").strip()
    return text


def name(cell: str) -> str:
    """A header name as it is compared: full width, English part, spaces and 帐/账 do not matter."""
    text = unicodedata.normalize("NFKC", clean(cell))
    return "".join(_BRACKETED.sub("", text).split()).replace(":", "").replace("帐", "账")


def fen(cell: str) -> int | None:
    """Yuan as written by a bank, in fen; None for an empty cell; ValueError for anything else."""
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
        clock = clock.zfill(6) if clock.isdecimal() else clock
        day = f"{day} {clock}"
    found = _MOMENT.fullmatch(day)
    if not found:
        raise ValueError(day)
    year, month, date, hour, minute, second = (int(part or 0) for part in found.groups())
    return plausible(datetime(year, month, date, hour, minute, second, tzinfo=SHANGHAI))


def plausible(at: datetime) -> datetime:
    """The same instant in Shanghai; ValueError for a year no bank statement can have."""
    if not 1990 <= at.year <= 2100:
        raise ValueError(at.year)
    return at.astimezone(SHANGHAI)


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
