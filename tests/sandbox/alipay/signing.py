"""Alipay's RSA2: SHA256withRSA over the sorted `k=v` of what is not empty, in Base64."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.sandbox import keys


@dataclass(frozen=True)
class Keys:
    """PEM files; the shop is given `app_private` and `alipay_public`."""

    app_private: Path
    app_public: Path
    alipay_private: Path
    alipay_public: Path


def ensure(home: Path) -> Keys:
    """The keys of this home, made now when they are missing."""
    return Keys(*keys.pair(home, "alipay_app"), *keys.pair(home, "alipay"))


def text(values: Mapping[str, str], *without: str) -> str:
    """What is signed: every value that is not empty, by name, without `sign` and `without`."""
    left_out = {"sign", *without}
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(values.items())
        if value != "" and name not in left_out
    )


class Signer:
    """Signs as Alipay, or as somebody whose key nobody knows."""

    def __init__(self, private_pem: Path) -> None:
        key = serialization.load_pem_private_key(private_pem.read_bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key

    def sign(self, said: str, how: str = "", charset: str = "utf-8") -> str:
        """`how`: "" well, "bad_signature" over another text, "other_key" with a stranger's key,
        "sha1" as the old sign_type RSA.
        """
        key = _stranger() if how == "other_key" else self._key
        spoilt = said + " " if how == "bad_signature" else said
        algorithm = hashes.SHA1() if how == "sha1" else hashes.SHA256()  # noqa: S303
        signature = key.sign(spoilt.encode(charset, "replace"), padding.PKCS1v15(), algorithm)
        return base64.b64encode(signature).decode()


class Verifier:
    """Checks what the shop's app has signed."""

    def __init__(self, public_pem: Path) -> None:
        key = serialization.load_pem_public_key(public_pem.read_bytes())
        assert isinstance(key, rsa.RSAPublicKey)
        self._key = key

    def holds(self, said: str, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            self._key.verify(raw, said.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True


@cache
def _stranger() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
