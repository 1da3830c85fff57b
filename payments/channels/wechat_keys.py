"""WeChat Pay's keys, both regimes at once: what proves that a message is WeChat's."""

import base64
import binascii
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payments.channels.answers import BadNotice

FRESH_SECONDS = 300
SIGNED_BY = "WECHATPAY2-SHA256-RSA2048"
# Strangers name unknown keys as well: what was renewed is looked for no more often, in seconds.
LEARN_EVERY = 10.0


class _Key(NamedTuple):
    key: rsa.RSAPublicKey
    until: float = math.inf  # seconds since 1970


class Keys:
    """WeChat's public keys by serial, as many as were given; safe to share between threads.

    `learn` gives certificates that were renewed meanwhile; asked when an unknown one is named.
    """

    def __init__(
        self,
        certificates: Sequence[str],
        public_keys: Mapping[str, str],
        learn: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._by_serial: dict[str, _Key] = {}
        self._learn, self._learnt_at = learn, -math.inf
        self.add(certificates)
        for serial, pem in public_keys.items():
            self._by_serial[serial] = _Key(_rsa(serialization.load_pem_public_key(pem.encode())))

    def add(self, certificates: Iterable[str]) -> None:
        for pem in certificates:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            self._by_serial[f"{certificate.serial_number:X}"] = _Key(
                _rsa(certificate.public_key()), certificate.not_valid_after_utc.timestamp()
            )

    def _named(self, serial: str) -> _Key | None:
        if serial.startswith("PUB_KEY_ID_"):
            return self._by_serial.get(serial)
        name = _hex(serial)
        if name not in self._by_serial and self._learn:
            at = time.monotonic()
            if at - self._learnt_at >= LEARN_EVERY:
                self._learnt_at = at
                self.add(self._learn())
        return self._by_serial.get(name)

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises BadNotice: unknown or old key, not fresh, not what was signed (as probes are)."""
        serial = headers.get("Wechatpay-Serial", "")
        stamp = headers.get("Wechatpay-Timestamp", "")
        nonce = headers.get("Wechatpay-Nonce", "")
        found = self._named(serial)
        if found is None or now > found.until:
            raise BadNotice
        if headers.get("Wechatpay-Signature-Type", SIGNED_BY) != SIGNED_BY:
            raise BadNotice
        if not (stamp.isascii() and stamp.isdecimal()) or abs(now - int(stamp)) > FRESH_SECONDS:
            raise BadNotice
        try:
            signature = base64.b64decode(headers.get("Wechatpay-Signature", ""), validate=True)
            said = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
            found.key.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
        except (binascii.Error, ValueError, InvalidSignature) as error:
            raise BadNotice from error


def _rsa(key: object) -> rsa.RSAPublicKey:
    assert isinstance(key, rsa.RSAPublicKey)
    return key


@dataclass(frozen=True)
class Described:
    serial: str
    begins_at: datetime
    ends_at: datetime


def described(pem: str) -> Described:
    """ValueError for what is no certificate with an RSA key."""
    one = x509.load_pem_x509_certificate(pem.encode())
    if not isinstance(one.public_key(), rsa.RSAPublicKey):
        raise ValueError(f"certificate {one.serial_number:X} has no RSA key")
    return Described(f"{one.serial_number:X}", one.not_valid_before_utc, one.not_valid_after_utc)


def unsealed(told: Mapping[str, Any], apiv3_key: str) -> str:
    """A certificate out of the answer of /v3/certificates, as PEM; ValueError where it is none."""
    try:
        sealed = told["encrypt_certificate"]
        pem = (
            AESGCM(apiv3_key.encode())
            .decrypt(
                sealed["nonce"].encode(),
                base64.b64decode(sealed["ciphertext"], validate=True),
                (sealed.get("associated_data") or "").encode(),
            )
            .decode()
        )
        named = _hex(told["serial_no"])
    except (KeyError, TypeError, AttributeError, InvalidTag) as error:
        raise ValueError("a certificate is not sealed for us") from error
    if described(pem).serial != named:
        raise ValueError(f"certificate {named} is another one")
    return pem


def _hex(serial: str) -> str:
    return serial.upper().lstrip("0")


def preferred(certificates: Sequence[str], public_keys: Mapping[str, str]) -> tuple[str, str]:
    """The key that answers are asked to be signed with: the public key, where there is one."""
    if public_keys:
        return next(iter(public_keys.items()))
    latest = max(
        (x509.load_pem_x509_certificate(pem.encode()) for pem in certificates),
        key=lambda one: one.not_valid_after_utc,
    )
    pem = latest.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"{latest.serial_number:X}", pem.decode()


def serial_of(certificate: str) -> str:
    return f"{x509.load_pem_x509_certificate(certificate.encode()).serial_number:X}"
