"""Our WeChat client: wechatpy's plumbing, our own token, retries and mini-program calls.

wechatpy 1.8 fetches a token per login, asks without a time limit and recurses on a bad token, so
`Client` replaces its `access_token`, `fetch_access_token` and `_request`.
Sources: https://developers.weixin.qq.com/miniprogram/dev/server/API/
"""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import redis
import requests
from django.conf import settings
from redis.lock import Lock
from requests.adapters import HTTPAdapter
from wechatpy.client import WeChatClient
from wechatpy.exceptions import WeChatClientException

from config.kit.errors import Refusal, TryAgain
from config.kit.outside import assert_no_transaction, waiting
from config.kit.redis import connection

OFFICIAL = "https://api.weixin.qq.com"
TIMEOUT = (3, 5)  # seconds: connect, read
RETRIES = 3
# A token is dropped this long before its end; WeChat renews it five minutes before.
MARGIN_SECONDS = 300
# Longer than one fetch may take, so that a holder that died is not waited for in vain.
LOCK_SECONDS = 10

# What an errcode means to us; a code in none of these is a mistake in what we asked.
BUSY = -1
BAD_TOKEN = {40001, 40014, 42001}
BAD_CODE = {40029, 40163, 40226, 41008}
NOT_SUBSCRIBED = {43101}
WAIT_SECONDS = {
    BUSY: 5,
    43108: 1,
    45011: 60,
    45009: 600,
    61450: 5,
    10060012: 30,
    10060019: 30,
}
# Of a payment, about what was sent for it.
NO_SUCH_PAYMENT, NOTHING_NEW = 10060001, 10060023
MISCONFIGURED = BAD_TOKEN | {
    *(40002, 40013, 40125, 40164, 41001, 41002, 41004),
    *(43107, 48001, 50002, 89503, 89506, 89507),
}

logger = logging.getLogger(__name__)
# At DEBUG urllib3 writes whole URLs, and these carry the secret and the token.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class CodeRefused(Refusal):
    """The login code is unknown, used, expired or blocked: the front end asks wx.login again."""

    status = 401
    message = "登录凭证无效或已使用"


class WeChatBusy(TryAgain):
    """Busy, limited or unreachable; `retry_after` in seconds."""

    message = "微信服务繁忙，请稍后重试"

    def __init__(self, retry_after: int = 5) -> None:
        super().__init__(retry_after=retry_after)
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        return "WECHAT_BUSY"


class NotSubscribed(Refusal):
    """The buyer has no accepted prompt left for this template (a normal outcome)."""

    message = "用户未订阅此消息"


class WeChatMisconfigured(Exception):
    """appid, secret, IP white list or rights are wrong: a person must act, so it is a crash."""


class WeChatRejected(Exception):
    """We asked for something wrong (scene, page, template values): a mistake of ours."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(f"{errcode} {errmsg}")
        self.errcode = errcode
        self.errmsg = errmsg


class WeChatUnknown(Exception):
    """A send was under way when the line broke: it may or may not have happened."""


@dataclass(frozen=True)
class Session:
    """Who logged in; `unionid` is "" without an open-platform account.

    `session_key` never leaves the server.
    """

    openid: str
    unionid: str
    session_key: str = field(repr=False)


def client() -> "Client":
    """The client of this installation, one per process."""
    return _client(settings.WECHAT_APPID, settings.WECHAT_SECRET, settings.WECHAT_API_BASE_URL)


@cache
def _client(appid: str, secret: str, base_url: str) -> "Client":
    return Client(appid, secret, base_url)


class Client(WeChatClient):
    """WeChat's server API for one mini program; safe to share between threads."""

    def __init__(self, appid: str, secret: str, base_url: str = OFFICIAL) -> None:
        super().__init__(appid, secret, timeout=TIMEOUT, auto_retry=False)
        # A token belongs to the server that gave it: the sandbox's is never shown to WeChat.
        server = hashlib.sha256(base_url.encode()).hexdigest()[:8]
        self._token_key = f"siyu:wechat:{appid}:{server}:token"
        self._http.mount(f"{OFFICIAL}/", _Towards(base_url.rstrip("/")))

    # --- what the shop asks

    def code2session(self, code: str) -> Session:
        """Who stands behind a wx.login code.  The call takes no access token.

        A lost answer is not asked for again: the code would be used up, and wx.login is cheap.
        """
        assert_no_transaction()
        asked = {
            "appid": self.appid,
            "secret": self.secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        with _translated():
            said = self._patiently(
                lambda: self._once("get", f"{OFFICIAL}/sns/jscode2session", params=asked)
            )
            return Session(said["openid"], said.get("unionid", ""), said["session_key"])

    def unlimited_qr_code(
        self,
        scene: str,
        page: str,
        *,
        width: int = 430,
        env_version: str = "release",
        check_path: bool = True,
    ) -> bytes:
        """The image (JPEG or PNG) of a mini-program code; `scene` is at most 32 ASCII signs."""
        asked = {
            "scene": scene,
            "page": page,
            "width": width,
            "env_version": env_version,
            "check_path": check_path,
        }
        assert_no_transaction()
        with _translated():
            said = self._request(
                "post", f"{OFFICIAL}/wxa/getwxacodeunlimit", data=asked, wants="image/"
            )
            return bytes(said.content)

    def send_subscribe_message(
        self,
        *,
        openid: str,
        template_id: str,
        values: Mapping[str, str],
        page: str = "",
        miniprogram_state: str = "formal",
    ) -> None:
        """Use up one accepted prompt of this buyer; never sent twice by us.

        Raises NotSubscribed, WeChatBusy (nothing was sent) or WeChatUnknown.
        """
        asked: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "data": {name: {"value": value} for name, value in values.items()},
            "miniprogram_state": miniprogram_state,
            "lang": "zh_CN",
        }
        if page:
            asked["page"] = page
        assert_no_transaction()
        url = f"{OFFICIAL}/cgi-bin/message/subscribe/send"
        with _translated():
            self._request("post", url, data=asked, idempotent=False)

    # --- what was sent for a payment by WeChat Pay (发货信息管理)
    # https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/business-capabilities/order-shipping/order-shipping.html

    def upload_shipping_info(self, asked: Mapping[str, Any]) -> None:
        """What was sent for one payment; the same again, after a lost answer, changes nothing.

        Raises WeChatBusy (it may have arrived), WeChatRejected with WeChat's errcode.
        """
        try:
            self._about_orders("wxa/sec/order/upload_shipping_info", asked)
        except WeChatRejected as no:
            if no.errcode != NOTHING_NEW:
                raise

    def shipping_order(self, transaction_id: str) -> dict[str, Any] | None:
        """What WeChat knows of a payment; None: it knows no such payment (yet)."""
        try:
            said = self._about_orders(
                "wxa/sec/order/get_order", {"transaction_id": transaction_id}, "order"
            )
        except WeChatRejected as no:
            if no.errcode != NO_SUCH_PAYMENT:
                raise
            return None
        return dict(said["order"])

    def delivery_companies(self) -> dict[str, str]:
        """WeChat's code of each carrier (运力编码), by the carrier's name."""
        said = self._about_orders(
            "cgi-bin/express/delivery/open_msg/get_delivery_list", {}, "delivery_list"
        )
        return {one["delivery_name"]: one["delivery_id"] for one in said["delivery_list"]}

    def is_trade_managed(self) -> bool:
        """Whether WeChat holds this mini program's money until it was told what was sent."""
        said = self._about_orders(
            "wxa/sec/order/is_trade_managed", {"appid": self.appid}, "is_trade_managed"
        )
        return bool(said["is_trade_managed"])

    def notify_confirm_receive(self, transaction_id: str, received_at: int) -> None:
        """The carrier has delivered (seconds): WeChat asks the buyer to confirm, once an order.

        Raises WeChatBusy (nothing was sent) or WeChatUnknown.
        """
        asked = {"transaction_id": transaction_id, "received_time": received_at}
        assert_no_transaction()
        url = f"{OFFICIAL}/wxa/sec/order/notify_confirm_receive"
        with _translated():
            self._request("post", url, data=asked, idempotent=False)

    def _about_orders(self, path: str, asked: Mapping[str, Any], *holds: str) -> dict[str, Any]:
        """A call that may be repeated; an answer without what it must hold is none."""
        assert_no_transaction()
        with _translated():
            said: dict[str, Any] = self._request("post", f"{OFFICIAL}/{path}", data=asked)
            if missing := [name for name in holds if name not in said]:
                raise KeyError(missing[0])
            return said

    # --- the token, one for all processes

    @property
    def access_token(self) -> str:
        # wechatpy looks at every attribute before __init__: then there is no key, and no token.
        key = self._token_key
        try:
            known = connection().get(key)
        except redis.RedisError:
            return self._ask_token()[0]
        return known.decode() if isinstance(known, bytes) else self.fetch_access_token()

    def fetch_access_token(self, stale: str = "") -> str:
        """A token that is not `stale`; of many who ask at once, one goes to WeChat."""
        lock = connection().lock(
            f"{self._token_key}:lock",
            timeout=LOCK_SECONDS,
            blocking_timeout=LOCK_SECONDS,
            sleep=0.05,
        )
        try:
            held = lock.acquire()
            known = connection().get(self._token_key)
        except redis.RedisError:
            return self._ask_token()[0]
        try:
            if isinstance(known, bytes) and known.decode() != stale:
                return known.decode()
            token, seconds = self._ask_token()
            self._keep(token, seconds)
            return token
        finally:
            if held:
                _let_go(lock)

    def _ask_token(self) -> tuple[str, int]:
        """stable_token: the same answer for everybody until five minutes before its end."""
        asked = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        said = self._patiently(
            lambda: self._once("post", f"{OFFICIAL}/cgi-bin/stable_token", data=asked)
        )
        return said["access_token"], int(said["expires_in"])

    def _keep(self, token: str, seconds: int) -> None:
        try:
            connection().set(self._token_key, token, ex=max(seconds - MARGIN_SECONDS, 30))
        except redis.RedisError:
            logger.warning("wechat: the token could not be kept")

    # --- one call

    def _request(
        self, method: str, url_or_endpoint: str, *, idempotent: bool = True, **kwargs: Any
    ) -> Any:
        """A call with a token: healed at most once, and patient only where twice is harmless."""
        assert_no_transaction()
        url = url_or_endpoint
        if not url.startswith("https://"):
            url = f"{kwargs.pop('api_base_url', self.API_BASE_URL)}{url}"
        token = self.access_token
        try:
            return self._with_token(token, method, url, idempotent, kwargs)
        except WeChatClientException as error:
            if error.errcode not in BAD_TOKEN:
                raise
        token = self.fetch_access_token(stale=token)
        return self._with_token(token, method, url, idempotent, kwargs)

    def _with_token(
        self, token: str, method: str, url: str, idempotent: bool, kwargs: dict[str, Any]
    ) -> Any:
        call = {**kwargs, "params": {**kwargs.get("params", {}), "access_token": token}}
        if idempotent:
            return self._patiently(lambda: self._once(method, url, **call))
        try:
            return self._once(method, url, **call)
        except requests.ConnectTimeout:
            raise WeChatBusy from None
        except requests.RequestException:
            raise WeChatUnknown(url) from None

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Again, a moment later, while WeChat says that it is busy."""
        for attempt in range(RETRIES):
            try:
                return call()
            except WeChatClientException as error:
                if error.errcode != BUSY:
                    raise
            time.sleep(random.uniform(0.05, 0.15) * 2**attempt)  # noqa: S311
        return call()

    def _once(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, Any] | None = None,
        wants: str = "json",
        **kwargs: Any,
    ) -> Any:
        """One HTTP call: the decoded JSON object, or the response when its type is `wants`."""
        if data is not None:
            # Not escaped: WeChat shows \u4f60 to people as it stands.
            kwargs["data"] = json.dumps(data, ensure_ascii=False).encode()
            kwargs["headers"] = {"Content-Type": "application/json"}
        answer = self._http.request(
            method, url, timeout=self.timeout, allow_redirects=False, **kwargs
        )
        if not answer.ok:
            raise _http_failure(answer.status_code)
        said = self._handle_result(answer)
        kind = "json" if isinstance(said, dict) else answer.headers.get("Content-Type", "")
        if not kind.startswith(wants):
            raise requests.exceptions.InvalidJSONError(f"not {wants}")
        return said


def _http_failure(status: int) -> Exception:
    if status >= 500:
        return requests.HTTPError(str(status))
    return WeChatMisconfigured(f"WeChat answered HTTP {status}")


@contextmanager
def _translated() -> Iterator[None]:
    """Exceptions of wechatpy and requests carry URLs with secrets: none leaves this file.

    All of it may wait: for WeChat, for a pause, for another who fetches the token.
    """
    try:
        with waiting():
            yield
        return
    except WeChatClientException as error:
        failure = _meaning(int(error.errcode), str(error.errmsg))
    except (requests.RequestException, KeyError, ValueError):
        failure = WeChatBusy()  # no answer, or half of one
    raise failure from None


def _meaning(errcode: int, errmsg: str) -> Exception:
    if errcode in BAD_CODE:
        return CodeRefused()
    if errcode in NOT_SUBSCRIBED:
        return NotSubscribed()
    if errcode in WAIT_SECONDS:
        return WeChatBusy(WAIT_SECONDS[errcode])
    if errcode in MISCONFIGURED:
        return WeChatMisconfigured(f"{errcode} {errmsg}")
    return WeChatRejected(errcode, errmsg)


def _let_go(lock: Lock) -> None:
    try:
        lock.release()
    except redis.RedisError:
        logger.info("wechat: the token's lock ran out before it was released")


class _Towards(HTTPAdapter):
    """Sends what is meant for WeChat to `base_url`; absolute URLs inside wechatpy come too."""

    def __init__(self, base_url: str) -> None:
        super().__init__(pool_maxsize=20)
        self._base_url = base_url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        if self._base_url != OFFICIAL:
            request.url = self._base_url + request.url.removeprefix(OFFICIAL)
            kwargs["proxies"] = {}  # the sandbox is on this machine
        return super().send(request, *args, **kwargs)
