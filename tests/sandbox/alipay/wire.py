"""How Alipay writes: yuan, moments, durations, and its ways to say no."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.sandbox.journal import SHANGHAI

APP_ID = "2021000000000001"
SELLER_ID = "2088000000000001"
ACCOUNT = f"{SELLER_ID}0156"  # the seller's, as bills name it
MOST_FEN = 100_000_000_00
Biz = Mapping[str, Any]
Inner = dict[str, Any]
_UNIT = {"m": 60, "h": 3600, "d": 86_400}


class Invalid(Exception):
    """The message is refused before its business: 40001 something missing, 40002 something bad."""

    def __init__(self, sub_code: str, sub_msg: str, *, is_signed: bool = True) -> None:
        super().__init__(sub_code)
        missing = sub_code.startswith("isv.missing")
        self.is_signed = is_signed
        self.inner: Inner = {
            "code": "40001" if missing else "40002",
            "msg": "Missing Required Arguments" if missing else "Invalid Arguments",
            "sub_code": sub_code,
            "sub_msg": sub_msg,
        }


class Failed(Exception):
    """The business says no: code 40004 with a sub_code."""

    def __init__(self, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_code)
        self.sub_msg = sub_msg
        self.inner: Inner = {
            "code": "40004",
            "msg": "Business Failed",
            "sub_code": sub_code,
            "sub_msg": sub_msg,
        }


def bad(name: str) -> Failed:
    return Failed("ACQ.INVALID_PARAMETER", f"参数无效：{name}")


def yuan(fen: int) -> str:
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def fen(biz: Biz, name: str) -> int:
    """Raises Failed for what is not 0.01 to 100000000.00 yuan with at most two decimals."""
    found = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,2}))?", str(biz.get(name, "")), re.ASCII)
    amount = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if not 0 < amount <= MOST_FEN:
        raise bad(name)
    return amount


def word(biz: Biz, name: str, most: int = 64, *, required: bool = True) -> str:
    value = biz.get(name, "")
    if not isinstance(value, str) or len(value) > most or (required and not value.strip()):
        raise bad(name)
    return value


def number(biz: Biz, name: str) -> str:
    """A number of the shop's own making: letters, digits and underlines, as the pages say."""
    value = word(biz, name)
    if not re.fullmatch(r"[0-9A-Za-z_]{1,64}", value, re.ASCII):
        raise bad(name)
    return value


def duration(biz: Biz, name: str) -> int | None:
    """Seconds of `90m`, `2h`, `1d` up to 15 days; None when it is not said."""
    said = word(biz, name, required=False)
    if not said:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", said, re.ASCII)
    seconds = int(found[1]) * _UNIT[found[2]] if found else 0
    if not 60 <= seconds <= 15 * 86_400:
        raise bad(name)
    return seconds


def moment(biz: Biz, name: str) -> float | None:
    """A point in time of `yyyy-MM-dd HH:mm[:ss]`, Beijing time; None when it is not said."""
    said = word(biz, name, required=False)
    if not said:
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise bad(name) from None
    if at.tzinfo or len(said) not in {16, 19}:
        raise bad(name)
    return at.replace(tzinfo=SHANGHAI).timestamp()


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, SHANGHAI):%Y-%m-%d %H:%M:%S}"
