"""WeChat Pay APIv3: what we ask it (on wechatpayv3), and what it tells us (our own verifier).

A message of WeChat's proves something only when its signature holds under a key that we were given
(`Wechatpay-Serial` names it) and it is fresh.  During a change of keys both regimes are in use at
once: platform certificates, named by their hex serial, and the public key, `PUB_KEY_ID_…`.
Source: https://pay.weixin.qq.com/doc/v3/merchant/4012365334
"""

import base64
import binascii
import json
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from wechatpayv3 import WeChatPay as Library
from wechatpayv3 import WeChatPayType
from wechatpayv3.core import Core
from wechatpayv3.type import RequestType
from wechatpayv3.utils import build_authorization

from config.kit.outside import assert_no_transaction, waiting
from payments.channels.answers import BadNotice, ChannelRefused, ChannelSilent

TIMEOUT = (3, 5)  # seconds: connect, read
FRESH_SECONDS = 300
SIGNED_BY = "WECHATPAY2-SHA256-RSA2048"
PREPAY_LIVES = timedelta(minutes=110)  # two hours, and who taps late has some left
SHANGHAI = ZoneInfo("Asia/Shanghai")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trade:
    """What WeChat knows of one of our trades."""

    out_trade_no: str
    state: str  # SUCCESS, REFUND, NOTPAY, CLOSED, REVOKED, USERPAYING, PAYERROR
    mchid: str
    appid: str
    transaction_id: str = ""
    fen: int = 0
    currency: str = "CNY"
    openid: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Trade":
        """From a query's answer or a notice's resource; BadNotice unless it has their shape."""
        amount, payer = said.get("amount") or {}, said.get("payer") or {}
        try:
            return cls(
                out_trade_no=str(said["out_trade_no"]),
                state=str(said["trade_state"]),
                mchid=str(said["mchid"]),
                appid=str(said["appid"]),
                transaction_id=str(said.get("transaction_id") or ""),
                fen=int(amount.get("total") or 0),
                currency=str(amount.get("currency") or "CNY"),
                openid=str(payer.get("openid") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadNotice from error


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a refund: `status` is SUCCESS, PROCESSING, ABNORMAL or CLOSED."""

    out_refund_no: str
    refund_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """What WeChat knows of a transfer of ours to a person (商家转账).

    `package` is for wx.requestMerchantTransfer, where the payee has to confirm; only the answer to
    asking for the transfer has it, and only a query says amount, payee and merchant.
    """

    out_bill_no: str
    bill_no: str
    state: str  # ACCEPTED PROCESSING WAIT_USER_CONFIRM TRANSFERING SUCCESS FAIL CANCELING CANCELLED
    package: str = ""
    fen: int = 0
    openid: str = ""
    mchid: str = ""
    why: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Transfer":
        """ChannelSilent unless it has their shape."""
        try:
            return cls(
                out_bill_no=str(said["out_bill_no"]),
                bill_no=str(said["transfer_bill_no"]),
                state=str(said["state"]),
                package=str(said.get("package_info") or ""),
                fen=int(said.get("transfer_amount") or 0),
                openid=str(said.get("openid") or ""),
                mchid=str(said.get("mch_id") or ""),
                why=str(said.get("fail_reason") or ""),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ChannelSilent from error


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified message of WeChat's; `told` is its decrypted resource."""

    id: str
    kind: str
    told: dict[str, Any] = field(default_factory=dict)


# --- keys ---------------------------------------------------------------------------------------


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


# --- asking -------------------------------------------------------------------------------------


class _Checked(Core):
    """The library's way out, in which every answer is verified, also one that says no.

    The library checks only 2xx, under one regime's keys, and fetches certificates when anybody
    names an unknown one.
    """

    def __init__(self, base_url: str, keys: Keys, **told: Any) -> None:
        super().__init__(**told)
        self._gate_way = base_url.rstrip("/")
        self._keys = keys
        self._http = requests.Session()
        # A proxy of the environment must not stand between us and a server on this machine.
        self._http.trust_env = urlsplit(base_url).hostname not in {"127.0.0.1", "localhost"}

    def request(
        self,
        path: str,
        method: RequestType = RequestType.GET,
        data: Any = None,
        **_: Any,
    ) -> tuple[int, Any]:
        assert_no_transaction()
        body = json.dumps(data, ensure_ascii=False) if data else ""
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "siyu",
            "Wechatpay-Serial": self._public_key_id,
            "Authorization": build_authorization(
                path, method.value, self._mchid, self._cert_serial_no, self._private_key, data=body
            ),
        }
        try:
            with waiting():
                said = self._http.request(
                    method.value,
                    self._gate_way + path,
                    data=body.encode() or None,
                    headers=headers,
                    timeout=TIMEOUT,
                )
        except requests.RequestException as error:
            logger.warning("WeChat Pay %s %s: %s", method.value, path, type(error).__name__)
            raise ChannelSilent from error
        try:
            self._keys.check(said.headers, said.content, time.time())
            answer = json.loads(said.content) if said.content else {}
        except (BadNotice, ValueError) as error:
            logger.warning("WeChat Pay %s %s: %d, unproven", method.value, path, said.status_code)
            raise ChannelSilent from error
        return said.status_code, answer


class WeChatPay:
    """One merchant number at WeChat Pay; safe to share between threads."""

    def __init__(self, told: Mapping[str, Any], appid: str) -> None:
        self.mchid: str = told["mchid"]
        self.appid = appid
        self._apiv3_key: str = told["apiv3_key"]
        self.keys = Keys(told["certificates"], told["public_keys"])
        serial, pem = _preferred(told["certificates"], told["public_keys"])
        asked = {
            "mchid": self.mchid,
            "cert_serial_no": _serial(told["merchant_certificate"]),
            "private_key": told["private_key"],
            "apiv3_key": self._apiv3_key,
            "public_key": pem,
            "public_key_id": serial,
        }
        self._ask = Library(
            wechatpay_type=WeChatPayType.MINIPROG,
            appid=appid,
            notify_url=told["notify_url"],
            **asked,
        )
        self._transfers: dict[str, Any] = told.get("transfers") or {}
        self._ask._core = _Checked(told["base_url"], self.keys, **asked)  # its only seam

    def prepay(
        self, *, out_trade_no: str, description: str, fen: int, openid: str, pay_before: datetime
    ) -> str:
        """prepay_id, two hours good; the same number and facts renew it.  Raises as `_said`."""
        said = _said(
            *self._ask.pay(
                description=description[:40],  # of 127 bytes
                out_trade_no=out_trade_no,
                amount={"total": fen, "currency": "CNY"},
                payer={"openid": openid},
                time_expire=pay_before.astimezone(SHANGHAI).isoformat(timespec="seconds"),
            )
        )
        return str(said["prepay_id"])

    def to_pay(self, prepay_id: str, at: datetime) -> dict[str, str]:
        """What wx.requestPayment takes, signed for this moment."""
        stamp, nonce = str(int(at.timestamp())), secrets.token_hex(16)
        package = f"prepay_id={prepay_id}"
        return {
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": self._ask.sign([self.appid, stamp, nonce, package]),
        }

    def query(self, out_trade_no: str) -> Trade | None:
        """None: WeChat never heard of it.  Raises ChannelSilent, ChannelRefused."""
        try:
            return Trade.of(_said(*self._ask.query(out_trade_no=out_trade_no)))
        except ChannelRefused as no:
            if no.code in {"ORDER_NOT_EXIST", "ORDERNOTEXIST"}:
                return None
            raise
        except BadNotice as error:
            raise ChannelSilent from error

    def close(self, out_trade_no: str) -> bool:
        """Nobody can pay it any more; False: not now, it is paid or being paid (query tells)."""
        try:
            _said(*self._ask.close(out_trade_no=out_trade_no))
        except ChannelRefused as no:
            if no.code in {"ORDER_NOT_EXIST", "ORDERNOTEXIST", "ORDER_CLOSED"}:
                return True
            if no.code in {"ORDERPAID", "ORDER_PAID", "USERPAYING", "USER_PAYING"}:
                return False
            raise
        return True

    def refund(
        self, *, out_refund_no: str, transaction_id: str, fen: int, total_fen: int, reason: str
    ) -> Sent:
        """Once per `out_refund_no`: asking again tells what became of it."""
        said = _said(
            *self._ask.refund(
                out_refund_no=out_refund_no,
                transaction_id=transaction_id,
                amount={"refund": fen, "total": total_fen, "currency": "CNY"},
                reason=reason[:40],
            )
        )
        return Sent(str(said["out_refund_no"]), str(said["refund_id"]), str(said["status"]))

    def transfer(
        self, *, out_bill_no: str, fen: int, openid: str, name: str, remark: str
    ) -> Transfer:
        """Once per `out_bill_no` (letters and digits); the same facts again tell what became of it.

        `name` is sealed; needed from 2,000 yuan on.  Raises ChannelSilent, ChannelRefused.
        """
        said = _said(
            *self._ask.mch_transfer_bills(
                out_bill_no=out_bill_no,
                transfer_scene_id=self._transfers["scene"],
                openid=openid,
                transfer_amount=fen,
                transfer_remark=remark[:32],
                user_name=name or None,
                transfer_scene_report_infos=self._transfers["reports"],
            )
        )
        return Transfer.of(said)

    def transfer_state(self, out_bill_no: str) -> Transfer | None:
        """None: WeChat never heard of it.  Raises ChannelSilent, ChannelRefused."""
        try:
            return Transfer.of(_said(*self._ask.mch_transfer_bills_query(out_bill_no=out_bill_no)))
        except ChannelRefused as no:
            if no.code == "NOT_FOUND":
                return None
            raise

    def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """A notice, verified and decrypted; BadNotice for whatever is not one."""
        self.keys.check(headers, body, now.timestamp())
        try:
            said = json.loads(body)
            sealed = said["resource"]
            if sealed["algorithm"] != "AEAD_AES_256_GCM":
                raise ValueError(sealed["algorithm"])
            plain = AESGCM(self._apiv3_key.encode()).decrypt(
                sealed["nonce"].encode(),
                base64.b64decode(sealed["ciphertext"], validate=True),
                (sealed.get("associated_data") or "").encode(),
            )
            told = json.loads(plain)
            if not isinstance(told, dict):
                raise TypeError(told)
            return Notice(str(said["id"]), str(said["event_type"]), told)
        except (KeyError, TypeError, ValueError, AttributeError, InvalidTag) as error:
            raise BadNotice from error


def _said(status: int, answer: Any) -> dict[str, Any]:
    """A signed answer; ChannelRefused with its code, ChannelSilent where it proves nothing."""
    if 200 <= status < 300 and isinstance(answer, dict) and "code" not in answer:
        return answer
    # A refusal may come as 202: USERPAYING does.
    code = str(answer.get("code", "")) if isinstance(answer, dict) else ""
    if status >= 500 or status == 429 or not code:
        raise ChannelSilent
    raise ChannelRefused(code, str(answer.get("message", "")))


def _preferred(certificates: Sequence[str], public_keys: Mapping[str, str]) -> tuple[str, str]:
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


def _serial(certificate: str) -> str:
    return f"{x509.load_pem_x509_certificate(certificate.encode()).serial_number:X}"


def wechat_pay() -> WeChatPay:
    """The merchant number of WECHAT_PAY; TypeError where the installation has none."""
    return _wechat_pay(json.dumps(settings.WECHAT_PAY), settings.WECHAT_APPID)


@cache
def _wechat_pay(told: str, appid: str) -> WeChatPay:
    return WeChatPay(json.loads(told), appid)
