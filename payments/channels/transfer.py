"""Banks that speak our signed protocol: virtual sub-units, payouts, pushes of what was booked."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote

import redis
from django.conf import settings

from config.kit.errors import Refusal
from config.kit.redis import connection
from payments.channels.signed import (
    FRESH_SECONDS,
    BadSignature,
    BankRefused,
    BankUnknown,
    Signed,
    heard,
    read,
    sound_object,
)

__all__ = [
    "FRESH_SECONDS", "BadSignature", "Bank", "BankRefused", "BankUnknown", "PayoutResult",
    "PushReplayed", "SignedBank", "StatementFile", "bank", "hear_once", "that_can",
]  # fmt: skip

FILE_TIMEOUT = (3, 60)
UNITS_PER_CALL = 1000


class PushReplayed(Refusal):
    """A message that we have heard before, to the letter; the bank signs every attempt anew."""

    status = 401
    message = "该推送已经收到过"


@dataclass(frozen=True)
class PayoutResult:
    """Money left the account; `serial` is the bank's booking."""

    out_no: str
    serial: str
    status: str


@dataclass(frozen=True)
class StatementFile:
    """A day's bookings as the bank prints them, in whatever format it prints."""

    filename: str
    content: bytes


class Bank(Protocol):
    """What the shop needs of a bank."""

    def register_units(self, parent_account: str, units: Sequence[str]) -> int:
        """Make parent + unit (1 to 10 digits) receive money; how many are now registered."""

    def limit_unit(
        self, parent_account: str, unit: str, *, cap_fen: int | None, payer_account: str
    ) -> None:
        """From now on refuse, before booking, transfers of more than the cap or of another payer.

        None and "" lift what was said before.  招商银行 记账子单元: lmtflg/ballmt, chktyp/rcvtyp.
        """

    def pay_out(
        self,
        *,
        out_no: str,
        account_no: str,
        to_account: str,
        to_name: str,
        amount_fen: int,
        remark: str,
    ) -> PayoutResult:
        """Pay once per `out_no`; raises BankRefused, or BankUnknown and may be asked again."""

    def payout(self, out_no: str) -> PayoutResult | None:
        """What became of it; None when the bank never booked it."""

    def statement(self, account_no: str, day: date) -> StatementFile:
        """All that was booked on a day (Asia/Shanghai), so far; raises BankRefused, BankUnknown."""

    def verify_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> dict[str, Any]:
        """The pushed booking; raises BadSignature.  Replays are the caller's: `event_id`."""


def hear_once(provider: str, headers: Mapping[str, str]) -> None:
    """Raises PushReplayed.  Call it after `verify_push`, or a stranger could use nonces up.

    Without Redis every push is heard: what it books is taken once all the same.
    """
    nonce = hashlib.sha256(headers["X-Bank-Nonce"].encode()).hexdigest()
    key = f"siyu:bank:{provider}:heard:{nonce}"
    try:
        is_new = connection().set(key, 1, nx=True, ex=2 * FRESH_SECONDS)
    except redis.RedisError:
        return
    if not is_new:
        raise PushReplayed


def bank(provider: str) -> Bank:
    """The bank of that name in BANK_PROVIDERS; KeyError when the installation has none."""
    told = settings.BANK_PROVIDERS[provider]
    return _bank(provider, told["base_url"], told["public_key"], told["private_key"])


@cache
def _bank(provider: str, base_url: str, public_key: str, private_key: str) -> "SignedBank":
    return SignedBank(provider, base_url, public_key, private_key)


def that_can(ability: str) -> list[str]:
    """Names of the banks that can: `limits` is `limit_unit`, `statements` is `statement`."""
    told = settings.BANK_PROVIDERS.items()
    return sorted(name for name, bank in told if ability in bank.get("can", ()))


class SignedBank(Signed):
    """A bank over HTTP; safe to share between threads."""

    def __init__(self, provider: str, base_url: str, public_pem: str, private_pem: str) -> None:
        super().__init__(base_url, public_pem, private_pem)
        self._push_target = f"/api/v1/hooks/bank/{provider}"

    def register_units(self, parent_account: str, units: Sequence[str]) -> int:
        registered = 0
        for start in range(0, len(units), UNITS_PER_CALL):
            some = list(units[start : start + UNITS_PER_CALL])
            said = self.call(
                "POST", "/bank/units", {"parent_account": parent_account, "units": some}
            )
            registered += int(said["registered"])
        return registered

    def limit_unit(
        self, parent_account: str, unit: str, *, cap_fen: int | None, payer_account: str
    ) -> None:
        asked = {
            "parent_account": parent_account,
            "unit": unit,
            "cap_fen": cap_fen,
            "payer_account": payer_account,
        }
        said = self.call("POST", "/bank/units/limits", asked)
        heard = (said.get("unit"), said.get("cap_fen", 0), said.get("payer_account"))
        if heard != (unit, cap_fen, payer_account):
            raise BankUnknown(f"{parent_account}{unit}")

    def pay_out(
        self,
        *,
        out_no: str,
        account_no: str,
        to_account: str,
        to_name: str,
        amount_fen: int,
        remark: str,
    ) -> PayoutResult:
        asked = {
            "out_no": out_no,
            "account_no": account_no,
            "to_account": to_account,
            "to_name": to_name,
            "amount_fen": amount_fen,
            "remark": remark,
        }
        return _result(out_no, self.call("POST", "/bank/payouts", asked))

    def payout(self, out_no: str) -> PayoutResult | None:
        try:
            said = self.call("GET", f"/bank/payouts/{quote(out_no, safe='')}")
        except BankRefused as refused:
            if refused.code == "PAYOUT_UNKNOWN":
                return None
            raise
        return _result(out_no, said)

    def statement(self, account_no: str, day: date) -> StatementFile:
        path = f"/bank/files?account_no={quote(account_no, safe='')}&date={day:%Y-%m-%d}"
        answer = self.exchange("GET", path, b"", FILE_TIMEOUT)
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            heard(f"GET {path}", read(answer.content, "GET", path))
            raise BankUnknown(f"GET {path}")  # an object that is no refusal is no statement either
        said = answer.headers.get("Content-Disposition", "")
        named = re.search(r'filename="([^"/\\]{1,200})"', said)
        return StatementFile(named[1] if named else f"{account_no}-{day:%Y%m%d}", answer.content)

    def verify_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> dict[str, Any]:
        self.verify(headers, "POST", self._push_target, body, now)
        return sound_object(body)


def _result(out_no: str, said: dict[str, Any]) -> PayoutResult:
    """The answer must speak of the payout that was asked about."""
    if said.get("out_no") != out_no or not said.get("serial"):
        raise BankUnknown(out_no)
    return PayoutResult(out_no, str(said["serial"]), str(said.get("status", "")))
