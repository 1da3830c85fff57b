"""A party that speaks our signed protocol over HTTP: a bank, the sandbox's carrier.

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
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from rest_framework.exceptions import ParseError

from config.kit.api import StrictJSON
from config.kit.errors import Refusal
from config.kit.outside import assert_no_transaction, waiting

TIMEOUT = (3, 5)  # seconds: connect, read
FRESH_SECONDS = 300
# They did not read what we said.  An earlier message of the same number may have been heard.
NOT_HEARD = {"UNKNOWN_SERIAL", "STALE_TIMESTAMP", "BAD_SIGNATURE", "REPLAYED_NONCE"}

logger = logging.getLogger(__name__)


class BadSignature(Refusal):
    """Not from the bank, or not now; which of the two is nobody's business."""

    status = 401
    message = "签名验证失败"


class BankRefused(Exception):
    """The bank itself said no, in a signed answer: nothing has happened and nothing will."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code


class BankUnknown(Exception):
    """No answer that proves anything: it may have happened.  Ask again with the same number."""


class Signed:
    """The signed exchange itself; safe to share between threads."""

    def __init__(self, base_url: str, public_pem: str, private_pem: str) -> None:
        theirs = serialization.load_pem_public_key(public_pem.encode())
        ours = serialization.load_pem_private_key(private_pem.encode(), password=None)
        assert isinstance(theirs, rsa.RSAPublicKey)
        assert isinstance(ours, rsa.RSAPrivateKey)
        self._theirs, self._their_serial = theirs, _serial(theirs)
        self._ours, self._our_serial = ours, _serial(ours.public_key())
        self._base_url = base_url.rstrip("/")
        self._http = requests.Session()
        # A proxy of the environment must not stand between us and a bank on this machine.
        self._http.trust_env = urlsplit(base_url).hostname not in {"127.0.0.1", "localhost", "::1"}

    def call(self, method: str, path: str, asked: dict[str, Any] | None = None) -> dict[str, Any]:
        """One signed exchange of objects."""
        body = b"" if asked is None else json.dumps(asked, ensure_ascii=False).encode()
        answer = self.exchange(method, path, body, TIMEOUT)
        return heard(f"{method} {path}", read(answer.content, method, path))

    def exchange(
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
            self.verify(answer.headers, method, target, answer.content, datetime.now(UTC))
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

    def verify(
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


def read(body: bytes, method: str, path: str) -> dict[str, Any]:
    try:
        return sound_object(body)
    except BadSignature as error:
        raise _proved_nothing(method, path, error) from error


def heard(what: str, said: dict[str, Any]) -> dict[str, Any]:
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


def sound_object(body: bytes) -> dict[str, Any]:
    """Signed, so the bank's own; still it must be one sound object before anything reads it."""
    try:
        value: dict[str, Any] = StrictJSON().parse(io.BytesIO(body))
    except ParseError:
        raise BadSignature from None
    return value
