"""Keys of the merchant and of WeChat Pay, made once per home; each side gets its own files."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

MCHID = "1900000001"
PUBLIC_KEY_ID = "PUB_KEY_ID_"


@dataclass(frozen=True)
class Keys:
    """Files of `home`.  The shop is given the first six; the sandbox keeps the other two."""

    merchant_private: Path
    merchant_cert: Path
    platform_cert: Path
    public_key: Path
    public_key_id_file: Path
    apiv3_key_file: Path
    platform_private: Path
    public_key_private: Path

    @property
    def merchant_serial(self) -> str:
        return serial_of(self.merchant_cert)

    @property
    def platform_serial(self) -> str:
        return serial_of(self.platform_cert)

    @property
    def public_key_id(self) -> str:
        return self.public_key_id_file.read_text()

    @property
    def apiv3_key(self) -> str:
        """32 ASCII characters."""
        return self.apiv3_key_file.read_text()


def ensure(home: Path) -> Keys:
    """The keys of this home, made now when they are missing; RSA-2048, readable by us only."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = Keys(
        merchant_private=home / "wechat_pay_merchant_private.pem",
        merchant_cert=home / "wechat_pay_merchant_cert.pem",
        platform_cert=home / "wechat_pay_platform_cert.pem",
        public_key=home / "wechat_pay_public_key.pem",
        public_key_id_file=home / "wechat_pay_public_key_id.txt",
        apiv3_key_file=home / "wechat_pay_apiv3_key.txt",
        platform_private=home / "wechat_pay_platform_private.pem",
        public_key_private=home / "wechat_pay_public_key_private.pem",
    )
    with _one_at_a_time(home):
        if not held.merchant_cert.exists():
            _pair(held.merchant_private, held.merchant_cert, MCHID)
        if not held.platform_cert.exists():
            _pair(held.platform_private, held.platform_cert, "Tenpay.com sign (sandbox)")
        if not held.public_key.exists():
            key = _rsa(held.public_key_private)
            _write(
                held.public_key,
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                ),
            )
        if not held.public_key_id_file.exists():
            # As the real ones: the prefix, then 01, the merchant's number, the day, zeros.
            number = f"01{MCHID}{datetime.now(UTC):%Y%m%d}00{secrets.randbelow(10**8):08d}"
            _write(held.public_key_id_file, f"{PUBLIC_KEY_ID}{number}".encode())
        if not held.apiv3_key_file.exists():
            _write(held.apiv3_key_file, secrets.token_hex(16).encode())
    return held


def serial_of(certificate: Path) -> str:
    """40 hex digits in capitals, as WeChat Pay writes them."""
    return f"{x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number:X}"


def _pair(private: Path, certificate: Path, name: str) -> None:
    key = _rsa(private)
    until = datetime.now(UTC) + timedelta(days=5 * 365)
    made = certified(key, name, until)
    _write(certificate, made.public_bytes(serialization.Encoding.PEM))


def certified(key: rsa.RSAPrivateKey, name: str, until: datetime) -> x509.Certificate:
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        # The first digit is not zero: libraries print the number without leading ones.
        .serial_number(int(f"4{secrets.token_hex(20)[1:]}", 16))
        .not_valid_before(until - timedelta(days=5 * 365 + 1))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )


def _rsa(private: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(
        private,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return key


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """The demo and its sandbox may both find the home empty."""
    with os.fdopen(os.open(home / ".wechat_pay.lock", os.O_RDWR | os.O_CREAT, 0o600)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
