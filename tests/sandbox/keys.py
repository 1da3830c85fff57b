"""The key pairs of the bank and of the shop, made once per home."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class Keys:
    """PEM files; the shop is given `bank_public`, `carrier_public` and `shop_private`."""

    bank_private: Path
    bank_public: Path
    shop_private: Path
    shop_public: Path
    carrier_private: Path
    carrier_public: Path


def ensure(home: Path) -> Keys:
    """The keys of this home, made now when they are missing; RSA-2048, readable by us only."""
    for owner in ("bank", "shop", "carrier"):
        pair(home, owner)
    return Keys(
        bank_private=home / "bank_private.pem",
        bank_public=home / "bank_public.pem",
        shop_private=home / "shop_private.pem",
        shop_public=home / "shop_public.pem",
        carrier_private=home / "carrier_private.pem",
        carrier_public=home / "carrier_public.pem",
    )


def pair(home: Path, owner: str) -> tuple[Path, Path]:
    """OWNER_private.pem and OWNER_public.pem of this home, made now when they are missing."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    private, public = home / f"{owner}_private.pem", home / f"{owner}_public.pem"
    if private.exists() and public.exists():
        return private, public
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(
        private,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    _write(
        public,
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )
    return private, public


def _write(path: Path, pem: bytes) -> None:
    """Whole or not at all: another process may look at the same moment."""
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    draft.replace(path)
