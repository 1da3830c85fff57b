"""消息推送 in 安全模式 with JSON: how WeChat seals and signs what it tells the shop.

AES-256-CBC, key = base64(EncodingAESKey + "="), iv = its first half, PKCS#7 to 32 bytes, around
16 random bytes, the length, the message and the appid; SHA-1 over the sorted token, timestamp,
nonce and sealed text.
"""

import base64
import hashlib
import http.client
import json
import secrets
import struct
import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.sandbox.deliveries import PATIENCE, is_here, post

TOKEN = "siyuSandboxPush"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"  # 43 signs
PATH = "/api/v1/hooks/wechat"
FROM = "oWeChatPlatform"
ACCOUNT = "gh_sandbox000001"


class Mail:
    def __init__(self, appid: str) -> None:
        self._appid = appid
        self._key = base64.b64decode(f"{KEY}=")

    def event(self, name: str, at: int) -> dict[str, Any]:
        return {
            "ToUserName": ACCOUNT,
            "FromUserName": FROM,
            "CreateTime": at,
            "MsgType": "event",
            "Event": name,
        }

    def post(self, shop_url: str, event: dict[str, Any], flaw: str = "") -> tuple[int, str]:
        """One push; status 0 and the name of the trouble where there is no answer."""
        text = json.dumps(event, ensure_ascii=False).encode()
        sealed = self._sealed(text, "wx0000000000000000" if flaw == "other_app" else self._appid)
        at = str(int(time.time()) - (3600 if flaw == "stale" else 0))
        nonce = secrets.token_hex(5)
        signature = signed(TOKEN, at, nonce, sealed)
        if flaw == "bad_signature":
            signature = signature[::-1]
        query = {
            "signature": signed(TOKEN, at, nonce),
            "timestamp": at,
            "nonce": nonce,
            "encrypt_type": "aes",
            "msg_signature": signature,
        }
        body = text if flaw == "plain" else json.dumps(
            {"ToUserName": ACCOUNT, "Encrypt": sealed}
        ).encode()  # fmt: skip
        url = f"{shop_url}{PATH}?{urlencode(query)}"
        return post(url, body, {"Content-Type": "application/json"})

    def ask(self, url: str, echostr: str, token: str = TOKEN) -> dict[str, Any]:
        """What the console does when the address is saved."""
        if not is_here(url):
            raise ValueError("not this machine")
        at, nonce = str(int(time.time())), secrets.token_hex(5)
        query = f"signature={signed(token, at, nonce)}&timestamp={at}&nonce={nonce}"
        address = urlsplit(url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=PATIENCE
        )
        try:
            connection.request("GET", f"{PATH}?{query}&echostr={quote(echostr)}")
            got = connection.getresponse()
            return {"status": got.status, "said": got.read(2_000).decode("utf-8", "replace")}
        finally:
            connection.close()

    def _sealed(self, text: bytes, appid: str) -> str:
        plain = secrets.token_bytes(16) + struct.pack(">I", len(text)) + text + appid.encode()
        pad = 32 - len(plain) % 32
        plain += bytes([pad]) * pad
        machine = Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16])).encryptor()
        return base64.b64encode(machine.update(plain) + machine.finalize()).decode()


def signed(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324  theirs
