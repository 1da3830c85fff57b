"""WeChat Pay's keys, both regimes at once: what proves that a message is WeChat's."""

import base64
import binascii
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from payments.channels.answers import BadNotice

FRESH_SECONDS = 300
SIGNED_BY = "WECHATPAY2-SHA256-RSA2048"


class Keys:
    """WeChat's public keys by serial, as many as were given; safe to share between threads."""

    def __init__(self, certificates: Sequence[str], public_keys: Mapping[str, str]) -> None:
        self._by_serial: dict[str, rsa.RSAPublicKey] = {}
        for pem in certificates:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            self._add(f"{certificate.serial_number:X}", certificate.public_key())
        for serial, pem in public_keys.items():
            self._add(serial, serialization.load_pem_public_key(pem.encode()))

    def _add(self, serial: str, key: object) -> None:
        assert isinstance(key, rsa.RSAPublicKey)
        self._by_serial[serial] = key

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises BadNotice: unknown key, not fresh, or not what was signed (probes are that)."""
        serial = headers.get("Wechatpay-Serial", "")
        stamp = headers.get("Wechatpay-Timestamp", "")
        nonce = headers.get("Wechatpay-Nonce", "")
        key = self._by_serial.get(serial if serial.startswith("PUB_KEY_ID_") else _hex(serial))
        if key is None or headers.get("Wechatpay-Signature-Type", SIGNED_BY) != SIGNED_BY:
            raise BadNotice
        if not (stamp.isascii() and stamp.isdecimal()) or abs(now - int(stamp)) > FRESH_SECONDS:
            raise BadNotice
        try:
            signature = base64.b64decode(headers.get("Wechatpay-Signature", ""), validate=True)
            said = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
            key.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
        except (binascii.Error, ValueError, InvalidSignature) as error:
            raise BadNotice from error


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
