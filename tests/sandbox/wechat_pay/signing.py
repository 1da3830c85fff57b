"""APIv3 on the wire: the merchant's signature checked, WeChat Pay's made, resources sealed.

https://pay.weixin.qq.com/docs/merchant/development/interface-rules/signature-verification.html
"""

import base64
import binascii
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.sandbox.web import Refused, Request
from tests.sandbox.wechat_pay.keys import MCHID, Keys, certified

SCHEME = "WECHATPAY2-SHA256-RSA2048"
FRESH_SECONDS = 300
PROBE = "WECHATPAY/SIGNTEST/"
REGIMES = ("certificate", "public_key", "public_key_only")
_PAIR = re.compile(r'(mchid|nonce_str|signature|timestamp|serial_no)="([^"]*)"')
SHA1 = hashes.SHA1()  # noqa: S303 -- what WeChat Pay says for sensitive fields
OAEP = padding.OAEP(mgf=padding.MGF1(SHA1), algorithm=SHA1, label=None)


@dataclass(frozen=True)
class Sealed:
    """An `encrypt-resource`: AES-256-GCM under the APIv3 key, its tag at the end."""

    ciphertext: str
    nonce: str
    associated_data: str

    def said(self) -> dict[str, str]:
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": self.ciphertext,
            "nonce": self.nonce,
            "associated_data": self.associated_data,
        }


@dataclass(frozen=True)
class Offer:
    """A certificate as /v3/certificates has it."""

    serial: str
    pem: str
    is_sealed_badly: bool = False


class Merchant:
    """What WeChat Pay knows of the merchant: its certificate; every request is checked by it."""

    def __init__(self, keys: Keys) -> None:
        key = x509.load_pem_x509_certificate(keys.merchant_cert.read_bytes()).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        self._key = key
        self._serial = keys.merchant_serial
        self._seen: dict[str, float] = {}
        self._lock = Lock()

    def check(self, request: Request) -> None:
        """Raises Refused 401 SIGN_ERROR, with the sentence that says why."""
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        said = dict(_PAIR.findall(rest))
        if scheme != SCHEME or len(said) != 5:
            raise _unsigned("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
        if not request.headers.get("User-Agent"):
            raise _unsigned("Http头缺少User-Agent")
        if "application/json" not in request.headers.get("Accept", ""):
            raise _unsigned("Http头Accept须为application/json")
        if said["mchid"] != MCHID:
            raise _unsigned("商户号不存在")
        if said["serial_no"].upper() != self._serial:
            raise _unsigned("商户证书序列号有误")
        stamp, nonce = said["timestamp"], said["nonce_str"]
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > FRESH_SECONDS:
            raise _unsigned("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
        text = f"{request.method}\n{request.target}\n{stamp}\n{nonce}\n".encode()
        if not self.signed(text + request.body + b"\n", said["signature"]):
            raise _unsigned("错误的签名，验签失败")
        self._spend(nonce)

    def signed(self, text: bytes, signature: str) -> bool:
        """Whether the merchant signed this text; also for the `paySign` of a prepay."""
        try:
            given = base64.b64decode(signature, validate=True)
            self._key.verify(given, text, padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature):
            return False
        return True

    def encrypt(self, text: str) -> str:
        """A sensitive field of an answer."""
        return base64.b64encode(self._key.encrypt(text.encode(), OAEP)).decode()

    def _spend(self, nonce: str) -> None:
        with self._lock:
            old = time.time() - 2 * FRESH_SECONDS
            if len(self._seen) > 10_000:
                self._seen = {key: at for key, at in self._seen.items() if at > old}
            if not nonce or nonce in self._seen:
                raise _unsigned("Http头Authorization中的nonce_str重复")
            self._seen[nonce] = time.time()


class Platform:
    """WeChat Pay's two keys; `regime` says which signs when the request names none.

    certificate      an old merchant: certificates are offered, and sign
    public_key       one that moves: certificates are offered still, the public key signs
    public_key_only  a new one: there are no certificates
    """

    def __init__(self, keys: Keys) -> None:
        self.certificate = keys.platform_cert.read_text()
        self._apiv3 = AESGCM(keys.apiv3_key.encode())
        self._of_home = {
            keys.platform_serial: _private(keys.platform_private),
            keys.public_key_id: _private(keys.public_key_private),
        }
        self.clear()

    def clear(self) -> None:
        """The certificate of the home, and no other."""
        self.regime = REGIMES[0]
        certificate, public_key = self._of_home
        self._names = {"certificate": certificate, "public_key": public_key}
        self._keys = dict(self._of_home)
        self.offered = [Offer(certificate, self.certificate)]

    def rotate(self, days: int = 5 * 365, flaw: str = "") -> str:
        """Offer one more certificate, which ends in so many days; its serial.

        `flaw`: `sealed` with a key that is not the merchant's, or called by another `serial`.
        """
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        until = datetime.now(UTC) + timedelta(days=days)
        made = certified(key, "Tenpay.com sign (sandbox)", until)
        serial = f"{made.serial_number:X}"
        pem = made.public_bytes(serialization.Encoding.PEM).decode()
        called = serial[::-1] if flaw == "serial" else serial
        self.offered.append(Offer(called, pem, is_sealed_badly=flaw == "sealed"))
        self._keys[serial] = key
        return serial

    def retire(self, serial: str) -> None:
        """From now on this certificate signs, and the one that did does no more."""
        self._keys[serial]  # KeyError for one that was never offered
        del self._keys[self._names["certificate"]]
        self._names["certificate"] = serial

    @property
    def serial(self) -> str:
        return self._names["certificate"]

    @cached_property
    def _stranger(self) -> rsa.RSAPrivateKey:
        """A key that is nobody's."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def signs(self, wanted: str = "") -> str:
        """Name of the key that signs: the one the request names, else the regime's."""
        wanted = wanted if wanted.startswith("PUB_KEY_ID_") else wanted.upper()
        if wanted in self._keys and (self.regime != "public_key_only" or wanted != self.serial):
            return wanted
        return self._names["certificate" if self.regime == "certificate" else "public_key"]

    def headers(self, body: bytes, wanted: str = "", flaw: str = "") -> dict[str, str]:
        """The signature of an answer or of a notice, over its raw bytes; `flaw` spoils it."""
        name = self.signs(wanted)
        if flaw == "other_regime":
            name = next(other for other in self._keys if other != name)
        key = self._keys[name]
        if flaw == "other_key":
            name, key = f"5{secrets.token_hex(20)[1:].upper()}", self._stranger
        stamp = str(int(time.time()) - (3_600 if flaw == "old_timestamp" else 0))
        nonce = secrets.token_hex(16)
        text = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        if flaw == "bad_signature":
            text += b" "
        signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": f"{PROBE}{signature}" if flaw == "signtest" else signature,
            "Wechatpay-Serial": name,
            "Wechatpay-Signature-Type": SCHEME,
            "Request-ID": f"08{secrets.token_hex(17).upper()}-0",
        }

    def seal(self, text: bytes, associated_data: str, *, badly: bool = False) -> Sealed:
        nonce = secrets.token_hex(6)
        by = AESGCM(secrets.token_hex(16).encode()) if badly else self._apiv3
        sealed = by.encrypt(nonce.encode(), text, associated_data.encode())
        return Sealed(base64.b64encode(sealed).decode(), nonce, associated_data)

    def decrypt(self, cipher: str, named: str) -> str:
        """A sensitive field of a request; `named` is its header Wechatpay-Serial."""
        key = self._keys.get(named if named.startswith("PUB_KEY_ID_") else named.upper())
        if key is None:
            raise Refused(400, "PARAM_ERROR", "敏感信息须用Http头Wechatpay-Serial所指的公钥加密")
        try:
            return key.decrypt(base64.b64decode(cipher, validate=True), OAEP).decode()
        except (ValueError, binascii.Error) as error:
            raise Refused(400, "PARAM_ERROR", "敏感信息解密失败") from error


def _private(pem: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _unsigned(message: str) -> Refused:
    return Refused(401, "SIGN_ERROR", message)


def pay_text(appid: str, asked: Mapping[str, str]) -> bytes:
    """What wx.requestPayment checks `paySign` over."""
    return f"{appid}\n{asked['timeStamp']}\n{asked['nonceStr']}\n{asked['package']}\n".encode()
