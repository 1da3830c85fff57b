"""The bank's signatures: RSA-PKCS1v15-SHA256 over what was said, when, and to which address."""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

FRESH_SECONDS = 300


class Unsigned(Exception):
    """The message proves nothing; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Signer:
    """Signs for the holder of a private key."""

    def __init__(self, private_pem: Path) -> None:
        key = serialization.load_pem_private_key(private_pem.read_bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key
        self.serial = _serial(key.public_key())

    def headers(
        self, method: str, target: str, body: bytes, *, nonce: str = "", ago: int = 0
    ) -> dict[str, str]:
        """`target` is path?query as on the wire; an answer repeats the nonce it answers."""
        stamp = str(int(time.time()) - ago)
        nonce = nonce or secrets.token_hex(16)
        signature = self._key.sign(
            _said(stamp, nonce, method, target, body), padding.PKCS1v15(), hashes.SHA256()
        )
        return {
            "X-Bank-Timestamp": stamp,
            "X-Bank-Nonce": nonce,
            "X-Bank-Serial": self.serial,
            "X-Bank-Signature": base64.b64encode(signature).decode(),
        }


class Verifier:
    """Checks for one public key; remembers nonces as long as they could be replayed."""

    def __init__(self, public_pem: Path) -> None:
        key = serialization.load_pem_public_key(public_pem.read_bytes())
        assert isinstance(key, rsa.RSAPublicKey)
        self._key = key
        self._serial = _serial(key)
        self._seen: dict[str, float] = {}
        self._lock = Lock()

    def check(self, headers: Mapping[str, str], method: str, target: str, body: bytes) -> None:
        stamp = headers.get("X-Bank-Timestamp", "")
        nonce = headers.get("X-Bank-Nonce", "")
        if headers.get("X-Bank-Serial") != self._serial:
            raise Unsigned("UNKNOWN_SERIAL")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > FRESH_SECONDS:
            raise Unsigned("STALE_TIMESTAMP")
        try:
            signature = base64.b64decode(headers.get("X-Bank-Signature", ""), validate=True)
            said = _said(stamp, nonce, method, target, body)
            self._key.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature) as error:
            raise Unsigned("BAD_SIGNATURE") from error
        self._spend(nonce)

    def _spend(self, nonce: str) -> None:
        with self._lock:
            old = time.time() - 2 * FRESH_SECONDS
            if len(self._seen) > 10_000:
                self._seen = {key: at for key, at in self._seen.items() if at > old}
            if not nonce or nonce in self._seen:
                raise Unsigned("REPLAYED_NONCE")
            self._seen[nonce] = time.time()


def _said(stamp: str, nonce: str, method: str, target: str, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    return f"{stamp}\n{nonce}\n{method} {target}\n{digest}\n".encode()


def _serial(key: rsa.RSAPublicKey) -> str:
    """A key's id: the first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()[:16]
