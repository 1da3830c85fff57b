"""Alipay: what we ask it (on python-alipay-sdk), and what it tells us (our own verifier).

Requests are signed with our app's key, answers and notifications with Alipay's; both sides RSA2,
SHA256withRSA.  An answer without a signature that holds proves nothing, and is asked for again.
Source: https://opendocs.alipay.com/common/02mse7 (answers), 02mse3 (notifications).
"""

import base64
import binascii
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit
from zoneinfo import ZoneInfo

import requests
from alipay import AliPay
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings

from config.kit.outside import assert_no_transaction, waiting
from payments.channels import downloads
from payments.channels.answers import BadNotice, ChannelRefused, ChannelSilent

TIMEOUT = (3, 5)  # seconds: connect, read
BILL_TIMEOUT = (3, 60)
MOST_FIELDS = 200  # of a notification
SHANGHAI = ZoneInfo("Asia/Shanghai")
PAID = {"TRADE_SUCCESS", "TRADE_FINISHED"}
# A refusal after which the thing may have been done all the same.
_UNSURE = re.compile(r"(^isp\.(?!bill_not_exist$)|SYSTEM_ERROR$)", re.ASCII)
BILL_URL = "alipay.data.dataservice.bill.downloadurl.query"
_YUAN = re.compile(r"(\d{1,12})(?:\.(\d{1,2}))?", re.ASCII)
_MARK = re.compile(r"[ \t\r\n]*([{}:,])[ \t\r\n]*", re.ASCII)

logger = logging.getLogger(__name__)


class Closed(Enum):
    """What closing did."""

    FOR_EVER = "closed"  # nobody can pay this number any more
    NOT_BEGUN = "not begun"  # no such trade yet: an address or a code that is out may begin it
    NOT_NOW = "not now"  # paid, or being paid at this moment


@dataclass(frozen=True, slots=True)
class Trade:
    """What Alipay knows of one of our trades; `fen` is -1 where it said no amount.

    `refund_no`: the refund that it speaks of, by our out_request_no.  `paid_at` by Alipay's clock.
    """

    out_trade_no: str
    status: str  # WAIT_BUYER_PAY, TRADE_SUCCESS, TRADE_FINISHED, TRADE_CLOSED
    app_id: str
    seller_id: str
    fen: int
    trade_no: str = ""
    was_paid: bool = False  # also of one that was closed by giving all of it back
    refund_no: str = ""
    paid_at: datetime | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Trade":
        """From a notification's fields, or from an answer and what was asked with."""
        told = {name: str(value) for name, value in said.items()}
        status = told.get("trade_status", "")
        refunded = {"gmt_refund", "refund_fee"} & told.keys()
        paid = refunded or {"gmt_payment", "send_pay_date"} & told.keys()
        return cls(
            out_trade_no=told.get("out_trade_no", ""),
            status=status,
            app_id=told.get("app_id", ""),
            seller_id=told.get("seller_id", ""),
            fen=_fen(told.get("total_amount", "")),
            trade_no=told.get("trade_no", ""),
            was_paid=bool(paid) or status in PAID,
            refund_no=told.get("out_biz_no", "") if refunded else "",
            paid_at=_moment(told.get("gmt_payment") or told.get("send_pay_date") or ""),
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notification; `told` are its fields without the signature."""

    id: str
    told: dict[str, str] = field(default_factory=dict)

    @property
    def trade(self) -> Trade:
        return Trade.of(self.told)


def yuan(fen: int) -> str:
    """As Alipay writes amounts: 123456 is 1234.56."""
    return f"{fen // 100}.{fen % 100:02d}"


def _fen(said: str) -> int:
    found = _YUAN.fullmatch(said)
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else -1


def _clock(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


def _moment(said: str) -> datetime | None:
    try:
        return datetime.strptime(said, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError:
        return None


# --- proof --------------------------------------------------------------------------------------


class Key:
    """Alipay's public key, not the app's; safe to share between threads."""

    def __init__(self, pem: str) -> None:
        key = serialization.load_pem_public_key(pem.encode())
        assert isinstance(key, rsa.RSAPublicKey)
        self._key = key

    def holds(self, said: str, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            self._key.verify(raw, said.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True


def _pem(key: str, kind: str) -> str:
    """Alipay's console gives keys as bare Base64; programs want them in PEM."""
    if "-----BEGIN" in key:
        return key
    return f"-----BEGIN {kind}-----\n{''.join(key.split())}\n-----END {kind}-----\n"


def _form(body: bytes) -> dict[str, str]:
    """A form, strictly: UTF-8, no name twice, no NUL; BadNotice for anything else."""
    pairs = body.split(b"&", MOST_FIELDS)
    fields: dict[str, str] = {}
    try:
        for pair in pairs:
            name, _, value = (
                unquote_to_bytes(part.replace(b"+", b" ")).decode() for part in pair.partition(b"=")
            )
            if name in fields or "\0" in name + value:
                raise BadNotice
            fields[name] = value
    except UnicodeDecodeError as error:
        raise BadNotice from error
    if len(pairs) > MOST_FIELDS:
        raise BadNotice
    return fields


def _members(text: str) -> dict[str, tuple[Any, str]]:
    """The members of a JSON object, each with its very text, for that is what is signed.

    The library counts braces, and is led astray by one inside a value.  ValueError for what is no
    object, or names a member twice.
    """
    decode = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
    found: dict[str, tuple[Any, str]] = {}
    mark = _MARK.match(text)
    if not mark or mark[1] != "{":
        raise ValueError("not an object")
    while mark and mark[1] in "{,":
        is_name = text.startswith('"', mark.end())
        name, end = decode(text, mark.end())
        mark = _MARK.match(text, end)
        if not mark or mark[1] != ":" or not is_name or name in found:
            raise ValueError("not a member")
        value, end = decode(text, mark.end())
        found[name] = (value, text[mark.end() : end])
        mark = _MARK.match(text, end)
    if not mark or mark[1] != "}":
        raise ValueError("half an object")
    return found


# --- asking -------------------------------------------------------------------------------------


class _Checked(AliPay):
    """The library's requests, with Beijing's time in them, a time-out, and our reading of answers.

    By itself it takes the server's local time for Beijing's, and its `verify` neither bears a
    brace in a value nor tells a refusal from an answer that is not Alipay's.
    """

    def __init__(self, gateway: str, key: Key, **told: Any) -> None:
        super().__init__(**told)
        self._gateway = gateway
        self._key = key
        self._http = requests.Session()
        # A proxy of the environment must not stand between us and a server on this machine.
        self._http.trust_env = urlsplit(gateway).hostname not in {"127.0.0.1", "localhost"}

    def build_body(self, method: str, biz_content: Any = None, **more: Any) -> dict[str, Any]:
        stamp = {"timestamp": _clock(datetime.now(SHANGHAI)), "format": "JSON"}
        return dict(super().build_body(method, biz_content, **stamp, **more))

    def verified_sync_response(self, data: dict[str, Any], response_type: str) -> dict[str, Any]:
        assert_no_transaction()
        asked = data["method"]
        try:
            with waiting():
                said = self._http.get(
                    f"{self._gateway}?{self.sign_data(data)}",
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            logger.warning("Alipay %s: %s", asked, type(error).__name__)
            raise ChannelSilent from error
        try:
            members = _members(said.content.decode())
            (answer, text), (signature, _) = members[response_type], members["sign"]
            if not isinstance(answer, dict) or not self._key.holds(text, str(signature)):
                raise ValueError("unproven")
        except (KeyError, ValueError, RecursionError) as error:
            logger.warning("Alipay %s: %d, unproven: %.200r", asked, said.status_code, said.content)
            raise ChannelSilent from error
        return _said(answer)

    def download(self, url: str) -> IO[bytes]:
        """What is behind an address that a signed answer named; raises ChannelSilent.

        Only from Alipay, and by TLS whatever the address says: nothing signs these bytes.
        """
        assert_no_transaction()
        there, gateway = urlsplit(url), urlsplit(self._gateway)
        if there[:2] != gateway[:2]:
            there = there._replace(scheme="https")
            if not f".{there.netloc}".endswith(".alipay.com"):
                logger.error("Alipay bill: an address elsewhere, %.200r", url)
                raise ChannelSilent("账单的下载地址不是支付宝的，未采用")
        try:
            with (
                waiting(),
                self._http.get(
                    there.geturl(),
                    headers={"Accept-Encoding": "identity"},
                    timeout=BILL_TIMEOUT,
                    stream=True,
                    allow_redirects=False,
                ) as said,
            ):
                if said.status_code != 200:
                    raise ChannelSilent(f"账单下载失败（{said.status_code}）")
                return downloads.kept(said.iter_content(downloads.CHUNK))
        except requests.RequestException as error:
            logger.warning("Alipay bill: %s", type(error).__name__)
            raise ChannelSilent from error


def _said(answer: dict[str, Any]) -> dict[str, Any]:
    """A proven answer; ChannelRefused with its sub_code, ChannelSilent where it proves nothing."""
    code, sub_code = str(answer.get("code", "")), str(answer.get("sub_code", ""))
    if code == "10000":
        return answer
    if not code.startswith("4") or _UNSURE.search(sub_code):
        raise ChannelSilent
    raise ChannelRefused(sub_code, str(answer.get("sub_msg", "")))


class Alipay:
    """One app of one seller at Alipay; safe to share between threads."""

    def __init__(self, told: Mapping[str, str]) -> None:
        self.app_id, self.seller_id = told["app_id"], told["seller_id"]
        self._gateway, self._notify_url = told["gateway"], told["notify_url"]
        public = _pem(told["public_key"], "PUBLIC KEY")
        self.key = Key(public)
        self._ask = _Checked(
            self._gateway,
            self.key,
            appid=self.app_id,
            app_private_key_string=_pem(told["private_key"], "RSA PRIVATE KEY"),
            alipay_public_key_string=public,
        )

    def pay_url(
        self, *, out_trade_no: str, subject: str, fen: int, until: datetime, return_url: str
    ) -> str:
        """Where a browser pays: alipay.trade.wap.pay.  No network.

        Whoever opens it before `until` begins the trade, which then ends at `until`, too; the same
        number always begins the same trade.
        """
        query = self._ask.api_alipay_trade_wap_pay(
            subject,
            out_trade_no,
            yuan(fen),
            return_url=return_url,
            notify_url=self._notify_url,
            product_code="QUICK_WAP_WAY",
            time_expire=_clock(until),
            quit_url=return_url,
        )
        return f"{self._gateway}?{query}"

    def precreate(self, *, out_trade_no: str, subject: str, fen: int, until: datetime) -> str:
        """What a QR code is to hold; as `pay_url`, but scanned.  Raises as `_said`."""
        said = self._ask.api_alipay_trade_precreate(
            subject,
            out_trade_no,
            yuan(fen),
            notify_url=self._notify_url,
            time_expire=_clock(until),
        )
        if not said.get("qr_code"):
            raise ChannelSilent
        return str(said["qr_code"])

    def query(self, out_trade_no: str) -> Trade | None:
        """None: nobody has begun it, so nobody has paid.  Raises ChannelSilent, ChannelRefused."""
        try:
            said = self._ask.api_alipay_trade_query(out_trade_no)
        except ChannelRefused as no:
            if no.code == "ACQ.TRADE_NOT_EXIST":
                return None
            raise
        return Trade.of({**said, "app_id": self.app_id, "seller_id": self.seller_id})

    def close(self, out_trade_no: str) -> Closed:
        """A trade that has begun and waits for its buyer is over.

        Never `alipay.trade.cancel`: that gives a paid trade's money back behind our books.
        """
        try:
            self._ask.api_alipay_trade_close(out_trade_no)
        except ChannelRefused as no:
            found = _CLOSING.get(no.code)
            if found is None:
                raise
            return found
        return Closed.FOR_EVER

    def refund(self, *, trade_no: str, out_request_no: str, fen: int, reason: str) -> bool:
        """Once per `out_request_no`.  False: not by this call; `is_refunded` tells by which."""
        said = self._ask.api_alipay_trade_refund(
            yuan(fen), trade_no=trade_no, out_request_no=out_request_no, refund_reason=reason
        )
        return said.get("fund_change") == "Y"

    def is_refunded(self, *, trade_no: str, out_request_no: str, fen: int) -> bool:
        """Whether so much went back under that number; False: nothing has, so far."""
        try:
            said = self._ask.api_alipay_trade_fastpay_refund_query(
                out_request_no, trade_no=trade_no
            )
        except ChannelRefused as no:
            if no.code == "ACQ.TRADE_NOT_EXIST":
                return False
            raise
        if said.get("refund_status") != "REFUND_SUCCESS":
            return False
        if _fen(str(said.get("refund_amount", ""))) != fen:
            logger.error("Alipay refund %s is not of %d fen: %r", out_request_no, fen, said)
            raise ChannelSilent
        return True

    def bill(self, kind: str, day: date) -> IO[bytes] | None:
        """业务明细 (trade) or 账务明细 (signcustomer) of a day that is over, as a zip.

        None: nothing happened that day, or the bill is not made yet; Alipay does not say which.
        A file that the caller closes.  Raises ChannelSilent, ChannelRefused.
        """
        try:
            said = self._ask.server_api(BILL_URL, {"bill_type": kind, "bill_date": f"{day}"})
        except ChannelRefused as no:
            if no.code == "isp.bill_not_exist":
                return None
            raise
        if not said.get("bill_download_url"):
            raise ChannelSilent
        return self._ask.download(str(said["bill_download_url"]))

    def hear(self, body: bytes) -> Notice:
        """A notification's form, verified; BadNotice for whatever is not one.

        Over the decoded values, by name, without `sign`, `sign_type` and what is empty.  Only RSA2
        counts, whatever it says of itself, and only UTF-8, in which we have asked.
        """
        fields = _form(body)
        signature, kind = fields.pop("sign", ""), fields.pop("sign_type", "")
        told = {name: value for name, value in sorted(fields.items()) if value}
        said = "&".join(f"{name}={value}" for name, value in told.items())
        is_ours = kind == "RSA2" and told.get("charset", "utf-8").lower() == "utf-8"
        if not self.key.holds(said, signature) or not is_ours or "notify_id" not in told:
            raise BadNotice
        return Notice(told["notify_id"], told)


_CLOSING = {
    "ACQ.TRADE_NOT_EXIST": Closed.NOT_BEGUN,
    "ACQ.TRADE_HAS_CLOSE": Closed.FOR_EVER,
    # Of a closed trade, too: whoever asks looks at its state next.
    "ACQ.TRADE_STATUS_ERROR": Closed.NOT_NOW,
    "ACQ.TRADE_HAS_SUCCESS": Closed.NOT_NOW,
    "ACQ.TRADE_HAS_FINISHED": Closed.NOT_NOW,
    "ACQ.REASON_TRADE_STATUS_INVALID": Closed.NOT_NOW,
    "ACQ.REASON_ILLEGAL_STATUS": Closed.NOT_NOW,
}


def alipay() -> Alipay:
    """The app of settings.ALIPAY; KeyError where the installation has none."""
    return _alipay(json.dumps(settings.ALIPAY))


@cache
def _alipay(told: str) -> Alipay:
    return Alipay(json.loads(told))
