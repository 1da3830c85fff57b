"""WeChat Pay APIv3: what we ask it (on wechatpayv3), and what it tells us (our own verifier).

A message of WeChat's proves something only when its signature holds under a key that we were given
(`Wechatpay-Serial` names it) and it is fresh.  During a change of keys both regimes are in use at
once: platform certificates, named by their hex serial, and the public key, `PUB_KEY_ID_…`.
Source: https://pay.weixin.qq.com/doc/v3/merchant/4012365334
"""

import base64
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import IO, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import requests
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.utils.module_loading import import_string
from wechatpayv3 import WeChatPay as Library
from wechatpayv3 import WeChatPayType
from wechatpayv3.core import Core
from wechatpayv3.type import RequestType
from wechatpayv3.utils import build_authorization

from config.kit.outside import assert_no_transaction, waiting
from payments.channels import downloads
from payments.channels.answers import BadNotice, ChannelRefused, ChannelSilent
from payments.channels.wechat_keys import Keys, described, preferred, serial_of, unsealed

TIMEOUT = (3, 5)  # seconds: connect, read
BILL_TIMEOUT = (3, 60)
# Codes of what WeChat may do later, under the same number and with the same facts.
LATER = frozenset({"NOT_ENOUGH", "SYSTEM_ERROR", "FREQUENCY_LIMITED", "BIZ_ERR_NEED_RETRY"})
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
    success_at: datetime | None = None

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
                success_at=_moment(said.get("success_time")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadNotice from error


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a refund: `status` is SUCCESS, PROCESSING, ABNORMAL or CLOSED."""

    out_refund_no: str
    refund_id: str
    status: str
    accepted_at: datetime | None = None


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
            "Content-Type": "application/json",
            "Wechatpay-Serial": self._public_key_id,
            **self._signed(path, method, body),
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

    def download(self, url: str, *, sha1: str) -> IO[bytes]:
        """The bill behind an address that a signed answer named; raises ChannelSilent.

        Asked of our own gateway, whatever host is named: our signature goes nowhere else.  The
        answer is not signed.
        """
        assert_no_transaction()
        address = urlsplit(url)
        path = f"{address.path}?{address.query}"
        headers = {**self._signed(path, RequestType.GET, ""), "Accept-Encoding": "identity"}
        try:
            with (
                waiting(),
                self._http.get(
                    self._gate_way + path,
                    headers=headers,
                    timeout=BILL_TIMEOUT,
                    stream=True,
                    allow_redirects=False,
                ) as said,
            ):
                if said.status_code != 200:
                    raise ChannelSilent(f"账单下载失败（{said.status_code}）")
                return downloads.unpacked(said.iter_content(downloads.CHUNK), sha1=sha1)
        except requests.RequestException as error:
            logger.warning("WeChat Pay bill: %s", type(error).__name__)
            raise ChannelSilent from error

    def _signed(self, path: str, method: RequestType, body: str) -> dict[str, str]:
        authorization = build_authorization(
            path, method.value, self._mchid, self._cert_serial_no, self._private_key, data=body
        )
        return {
            "Accept": "application/json",
            "User-Agent": "siyu",
            "Authorization": authorization,
        }


class WeChatPay:
    """One merchant number at WeChat Pay; safe to share between threads."""

    def __init__(
        self,
        told: Mapping[str, Any],
        appid: str,
        renewed: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """`renewed`: certificates that came since; only of use where there were any before."""
        self.mchid: str = told["mchid"]
        self.appid = appid
        self._told, self._renewed = told, renewed
        self._apiv3_key: str = told["apiv3_key"]
        learn = self._learn if renewed and told["certificates"] else None
        self.keys = Keys(told["certificates"], told["public_keys"], learn)
        self._transfers: dict[str, Any] = told.get("transfers") or {}
        asked = self._core_told(told["certificates"])
        self._ask = Library(
            wechatpay_type=WeChatPayType.MINIPROG,
            appid=appid,
            notify_url=told["notify_url"],
            **asked,
        )
        self._ask._core = _Checked(told["base_url"], self.keys, **asked)  # its only seam
        if learn and all(
            described(one).ends_at < datetime.now(UTC) for one in told["certificates"]
        ):
            self.keys.add(self._learn())

    def _core_told(self, certificates: Sequence[str]) -> dict[str, Any]:
        serial, pem = preferred(certificates, self._told["public_keys"])
        return {
            "mchid": self.mchid,
            "cert_serial_no": serial_of(self._told["merchant_certificate"]),
            "private_key": self._told["private_key"],
            "apiv3_key": self._apiv3_key,
            "public_key": pem,
            "public_key_id": serial,
        }

    def _learn(self) -> Sequence[str]:
        """What was renewed; from now on we seal with the newest, and ask for it."""
        assert self._renewed
        renewed = self._renewed()
        known = [*self._told["certificates"], *renewed]
        begun = [one for one in known if described(one).begins_at <= datetime.now(UTC)]
        asked = self._core_told(begun or known)
        self._ask._core = _Checked(self._told["base_url"], self.keys, **asked)
        return renewed

    def certificates(self) -> list[str]:
        """The platform certificates that WeChat offers now, as PEM.

        Raises ChannelSilent, also where one of them is not sealed with our key or is not the one
        that it is called; ChannelRefused: there are none.
        """
        said = _said(*self._ask._core.request("/v3/certificates"))
        try:
            return [unsealed(one, self._apiv3_key) for one in said["data"]]
        except (KeyError, TypeError, ValueError) as error:
            logger.error("WeChat Pay: certificates that cannot be taken (%s)", error)
            raise ChannelSilent from error

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
        if not isinstance(prepay_id := said.get("prepay_id"), str):
            raise ChannelSilent
        return prepay_id

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
        return _sent(said)

    def refund_to_card(
        self, *, out_refund_no: str, refund_id: str, bank_type: str, card_no: str, name: str
    ) -> Sent:
        """An ABNORMAL refund goes to another card of the same person; WeChat compares the names."""
        said = _said(
            *self._ask.abnormal_refund(
                refund_id=refund_id,
                out_refund_no=out_refund_no,
                type="USER_BANK_CARD",
                bank_type=bank_type,
                bank_account=card_no,
                real_name=name,
            )
        )
        return _sent(said)

    # --- bills

    def trade_bill(self, day: date) -> IO[bytes] | None:
        """交易账单 (ALL) of a past day in Shanghai, from 10:00 of the next; None: nothing to tell.

        A file that the caller closes.  Raises ChannelSilent (not made yet, too), ChannelRefused.
        """
        return self._bill(*self._ask.trade_bill(f"{day}"))

    def fund_bill(self, day: date, account: str = "BASIC") -> IO[bytes] | None:
        """资金账单 of one of our accounts (BASIC, OPERATION, FEES), in the same way."""
        return self._bill(*self._ask.fundflow_bill(f"{day}", account))

    def _bill(self, status: int, answer: Any) -> IO[bytes] | None:
        try:
            said = _said(status, answer)
        except ChannelRefused as no:
            if no.code == "NO_STATEMENT_EXIST":
                return None
            if no.code == "STATEMENT_CREATING":
                raise ChannelSilent("账单还在生成，稍后再取") from no
            raise
        url, sha1 = said.get("download_url"), said.get("hash_value")
        if said.get("hash_type") != "SHA1" or not isinstance(url, str) or not isinstance(sha1, str):
            raise ChannelSilent
        core: _Checked = self._ask._core
        return core.download(url, sha1=sha1)

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


def _sent(said: Mapping[str, Any]) -> Sent:
    try:
        return Sent(
            str(said["out_refund_no"]),
            str(said["refund_id"]),
            str(said["status"]),
            _moment(said.get("create_time")),
        )
    except (KeyError, ValueError) as error:
        raise ChannelSilent from error


def _moment(said: object) -> datetime | None:
    """RFC 3339 with its offset; ValueError for what is none."""
    if not said:
        return None
    at = datetime.fromisoformat(str(said))
    if at.tzinfo is None:
        raise ValueError(said)
    return at


def _said(status: int, answer: Any) -> dict[str, Any]:
    """A signed answer; ChannelRefused with its code, ChannelSilent where it proves nothing."""
    if 200 <= status < 300 and isinstance(answer, dict) and "code" not in answer:
        return answer
    # A refusal may come as 202: USERPAYING does.
    code = str(answer.get("code", "")) if isinstance(answer, dict) else ""
    if status >= 500 or status == 429 or not code:
        raise ChannelSilent
    raise ChannelRefused(code, str(answer.get("message", "")))


def wechat_pay() -> WeChatPay:
    """The merchant number of WECHAT_PAY; TypeError where the installation has none."""
    return _wechat_pay(json.dumps(settings.WECHAT_PAY), settings.WECHAT_APPID)


@cache
def _wechat_pay(told: str, appid: str) -> WeChatPay:
    return WeChatPay(json.loads(told), appid, _renewed)


def _renewed() -> list[str]:
    return list(import_string(settings.WECHAT_CERTIFICATES)(datetime.now(UTC)))
