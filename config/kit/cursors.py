"""Where a list goes on: sealed, so that clients see no primary keys and send nothing made up."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from rest_framework.exceptions import ValidationError


def sealed(values: Sequence[Any], of: str) -> str:
    """Times and numbers as an opaque word, good for the list `of` only."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return _seal().encrypt(json.dumps([of, plain]).encode()).decode().rstrip("=")


def unsealed(cursor: str, of: str) -> list[Any]:
    """Raises ValidationError for what `sealed` has not made, or has made for another list."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        made_for, values = json.loads(_seal().decrypt(padded.encode()))
    except (InvalidToken, ValueError):
        made_for, values = "", []
    if made_for != of:
        raise ValidationError({"cursor": ["cursor 无效，请从第一页重新取"]}, code="invalid")
    return list(values)


@cache
def _seal() -> Fernet:
    key = sha256(b"cursor:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(urlsafe_b64encode(key))
