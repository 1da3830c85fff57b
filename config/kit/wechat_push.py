"""What WeChat pushes to the mini program's server: 消息推送 in 安全模式, as JSON.

Proved by SHA-1 over our token, sealed with AES-256-CBC under our EncodingAESKey, for our appid:
https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from config.kit.errors import Refusal

FRESH = timedelta(minutes=10)
LONGEST = 64 * 1024  # bytes of a push


class PushRefused(Refusal):
    """Nothing is told of why: only WeChat need know how to do it right."""

    status = 401
    message = "推送未通过验证"


@dataclass(frozen=True)
class Seal:
    """What WeChat and we know; `key` has 43 signs."""

    token: str
    key: str
    appid: str

    def echo(self, query: Mapping[str, str]) -> str:
        """The answer when the address is saved in WeChat's console; PushRefused for others."""
        self._check(query, "signature")
        return query.get("echostr", "")

    def open(self, query: Mapping[str, str], body: bytes, at: datetime) -> dict[str, Any]:
        """The event in a push.  Raises PushRefused: forged, old, of another app, not sealed."""
        try:
            sealed = json.loads(body)["Encrypt"]
            sent = float(query.get("timestamp", ""))
            self._check(query, "msg_signature", sealed)
            told = json.loads(self._unsealed(sealed))
        except (IndexError, KeyError, TypeError, ValueError):
            raise PushRefused from None
        if abs(at.timestamp() - sent) > FRESH.total_seconds() or not isinstance(told, dict):
            raise PushRefused
        return told

    def _check(self, query: Mapping[str, str], name: str, *more: str) -> None:
        parts = [self.token, query.get("timestamp", ""), query.get("nonce", ""), *more]
        # The rule is WeChat's.
        ours = hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324
        if not compare_digest(ours.encode(), query.get(name, "").encode()):
            raise PushRefused

    def _unsealed(self, sealed: str) -> bytes:
        """16 random bytes, the length (big endian), the message, the appid; padded to 32."""
        key = base64.b64decode(f"{self.key}=")
        machine = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        plain = machine.update(base64.b64decode(sealed, validate=True)) + machine.finalize()
        plain = plain[: -plain[-1]]
        end = 20 + int.from_bytes(plain[16:20], "big")
        if not compare_digest(plain[end:], self.appid.encode()):
            raise PushRefused
        return plain[20:end]
