"""Banks that speak our signed protocol: virtual sub-units, payouts, pushes of what was booked.

Every message is signed with RSA-PKCS1v15-SHA256 over
`timestamp\\nnonce\\nMETHOD path?query\\nsha256hex(body)\\n` (headers X-Bank-…), in both directions;
an answer repeats the nonce of its request.  A key's serial is the first 16 hex digits of the
SHA-256 of its SubjectPublicKeyInfo.
"""

import base64
import hashlib
import io
import json
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import redis
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings
from rest_framework.exceptions import ParseError

from config.kit.api import StrictJSON
from config.kit.errors import Refusal
from config.kit.outside import assert_no_transaction, waiting
from config.kit.redis import connection

TIMEOUT = (3, 5)  # seconds: connect, read
FILE_TIMEOUT = (3, 60)
FRESH_SECONDS = 300
UNITS_PER_CALL = 1000
# The bank did not read what we said.  An earlier message of the same number may have been heard.
NOT_HEARD = {"UNKNOWN_SERIAL", "STALE_TIMESTAMP", "BAD_SIGNATURE", "REPLAYED_NONCE"}

logger = logging.getLogger(__name__)


class BadSignature(Refusal):
    """Not from the bank, or not now; which of the two is nobody's business."""

    status = 401
    message = "签名验证失败"


class PushReplayed(Refusal):
    """A message that we have heard before, to the letter; the bank signs every attempt anew."""

    status = 401
    message = "该推送已经收到过"


class BankRefused(Exception):
    """The bank itself said no, in a signed answer: nothing has happened and nothing will."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code


class BankUnknown(Exception):
    """No answer that proves anything: it may have happened.  Ask again with the same number."""


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


class SignedBank:
    """A bank over HTTP; safe to share between threads."""

    def __init__(self, provider: str, base_url: str, public_pem: str, private_pem: str) -> None:
        theirs = serialization.load_pem_public_key(public_pem.encode())
        ours = serialization.load_pem_private_key(private_pem.encode(), password=None)
        assert isinstance(theirs, rsa.RSAPublicKey)
        assert isinstance(ours, rsa.RSAPrivateKey)
        self._theirs, self._their_serial = theirs, _serial(theirs)
        self._ours, self._our_serial = ours, _serial(ours.public_key())
        self._base_url = base_url.rstrip("/")
        self._push_target = f"/api/v1/hooks/bank/{provider}"
        self._http = requests.Session()
        # A proxy of the environment must not stand between us and a bank on this machine.
        self._http.trust_env = urlsplit(base_url).hostname not in {"127.0.0.1", "localhost", "::1"}

    def register_units(self, parent_account: str, units: Sequence[str]) -> int:
        registered = 0
        for start in range(0, len(units), UNITS_PER_CALL):
            some = list(units[start : start + UNITS_PER_CALL])
            said = self._call(
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
        said = self._call("POST", "/bank/units/limits", asked)
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
        return _result(out_no, self._call("POST", "/bank/payouts", asked))

    def payout(self, out_no: str) -> PayoutResult | None:
        try:
            said = self._call("GET", f"/bank/payouts/{quote(out_no, safe='')}")
        except BankRefused as refused:
            if refused.code == "PAYOUT_UNKNOWN":
                return None
            raise
        return _result(out_no, said)

    def statement(self, account_no: str, day: date) -> StatementFile:
        path = f"/bank/files?account_no={quote(account_no, safe='')}&date={day:%Y-%m-%d}"
        answer = self._exchange("GET", path, b"", FILE_TIMEOUT)
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            _heard(f"GET {path}", _read(answer.content, "GET", path))
            raise BankUnknown(f"GET {path}")  # an object that is no refusal is no statement either
        said = answer.headers.get("Content-Disposition", "")
        named = re.search(r'filename="([^"/\\]{1,200})"', said)
        return StatementFile(named[1] if named else f"{account_no}-{day:%Y%m%d}", answer.content)

    def verify_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> dict[str, Any]:
        self._verify(headers, "POST", self._push_target, body, now)
        return _object(body)

    # --- signatures

    def _call(self, method: str, path: str, asked: dict[str, Any] | None = None) -> dict[str, Any]:
        """One signed exchange of objects."""
        body = b"" if asked is None else json.dumps(asked, ensure_ascii=False).encode()
        answer = self._exchange(method, path, body, TIMEOUT)
        return _heard(f"{method} {path}", _read(answer.content, method, path))

    def _exchange(
        self, method: str, path: str, body: bytes, timeout: tuple[int, int]
    ) -> requests.Response:
        """What the bank signed as the answer to this very message, whatever its HTTP status."""
        assert_no_transaction()
        target = f"{urlsplit(self._base_url).path}{path}"
        headers = self._sign(method, target, body)
        try:
            with waiting():
                answer = self._http.request(
                    method,
                    f"{self._base_url}{path}",
                    data=body,
                    headers={**headers, "Content-Type": "application/json"},
                    timeout=timeout,
                    allow_redirects=False,
                )
            self._verify(answer.headers, method, target, answer.content, datetime.now(UTC))
            if answer.headers["X-Bank-Nonce"] != headers["X-Bank-Nonce"]:
                raise BadSignature
        except (requests.RequestException, BadSignature) as error:
            raise _proved_nothing(method, path, error) from error
        return answer

    def _sign(self, method: str, target: str, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(datetime.now(UTC).timestamp())), secrets.token_hex(16)
        signature = self._ours.sign(
            _said(stamp, nonce, method, target, body), padding.PKCS1v15(), hashes.SHA256()
        )
        return {
            "X-Bank-Timestamp": stamp,
            "X-Bank-Nonce": nonce,
            "X-Bank-Serial": self._our_serial,
            "X-Bank-Signature": base64.b64encode(signature).decode(),
        }

    def _verify(
        self, headers: Mapping[str, str], method: str, target: str, body: bytes, now: datetime
    ) -> None:
        """Signature, key and time are all looked at, whichever of them is wrong."""
        stamp = headers.get("X-Bank-Timestamp", "")
        nonce = headers.get("X-Bank-Nonce", "")
        is_fresh = _is_number(stamp) and abs(now.timestamp() - int(stamp)) <= FRESH_SECONDS
        is_known = headers.get("X-Bank-Serial", "") == self._their_serial
        try:
            signature = base64.b64decode(headers.get("X-Bank-Signature", ""), validate=True)
            said = _said(stamp, nonce, method, target, body)
            self._theirs.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature):
            raise BadSignature from None
        if not (is_fresh and is_known and nonce):
            raise BadSignature


def _proved_nothing(method: str, path: str, error: Exception) -> BankUnknown:
    logger.warning("bank: %s %s proved nothing (%s)", method, path, type(error).__name__)
    return BankUnknown(f"{method} {path}")


def _read(body: bytes, method: str, path: str) -> dict[str, Any]:
    try:
        return _object(body)
    except BadSignature as error:
        raise _proved_nothing(method, path, error) from error


def _heard(what: str, said: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it is not a refusal."""
    code = str(said.get("code", ""))
    if code in NOT_HEARD:
        logger.error("bank: it does not accept our signatures (%s)", code)
        raise BankUnknown(f"{what}: {code}")
    if code:
        raise BankRefused(code, str(said.get("message", "")))
    return said


def _is_number(stamp: str) -> bool:
    return stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12


def _said(stamp: str, nonce: str, method: str, target: str, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    return f"{stamp}\n{nonce}\n{method} {target}\n{digest}\n".encode()


def _serial(key: rsa.RSAPublicKey) -> str:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()[:16]


def _object(body: bytes) -> dict[str, Any]:
    """Signed, so the bank's own; still it must be one sound object before anything reads it."""
    try:
        value: dict[str, Any] = StrictJSON().parse(io.BytesIO(body))
    except ParseError:
        raise BadSignature from None
    return value


def _result(out_no: str, said: dict[str, Any]) -> PayoutResult:
    """The answer must speak of the payout that was asked about."""
    if said.get("out_no") != out_no or not said.get("serial"):
        raise BankUnknown(out_no)
    return PayoutResult(out_no, str(said["serial"]), str(said.get("status", "")))
