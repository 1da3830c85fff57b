"""WeChat's servers for one mini program: token, login, code image, subscribe message.

Errors are HTTP 200 with `errcode`, as https://developers.weixin.qq.com/miniprogram/dev documents.
"""

import base64
import hashlib
import io
import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import segno

from tests.sandbox.journal import Fact, Journal
from tests.sandbox.web import Answer, Errcode, Request, answer

APPID = "wx5a9d0b3c7e1f2468"
SECRET = "5a9d0b3c7e1f24685a9d0b3c7e1f2468"
ALWAYS = "sandbox:"  # codes that begin so log in the person of that name, as often as wanted
TOKEN_SECONDS = 7200
OVERLAP_SECONDS = 300
CODE_SECONDS = 300
SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]+")
PAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]*(/[A-Za-z0-9_\-]+)+")
TEMPLATE = re.compile(r"[A-Za-z0-9_\-]{10,64}")
PER_MINUTE = {"/cgi-bin/stable_token": 10_000, "/wxa/getwxacodeunlimit": 5_000}
LOGINS_PER_MINUTE = 100
FORCED_PER_DAY = 20

VALUE = {  # what a template's field of each kind may hold
    "thing": r".{1,20}",
    "number": r"-?\d{1,32}(\.\d+)?",
    "letter": r"[A-Za-z]{1,32}",
    "symbol": r"[^\w\s]{1,5}",
    "character_string": r"[\x20-\x7e]{1,32}",
    "time": r"[\d年月日:：\-/~ ]{4,40}",
    "date": r"[\d年月日:：\-/~ ]{4,40}",
    "amount": r"[¥￥$€£]?\d{1,10}(\.\d{1,2})?元?",
    "phone_number": r"[\d+\-() ]{1,17}",
    "car_number": r".{1,8}",
    "name": r"[一-鿿·]{1,10}|[A-Za-z .·]{1,20}",
    "phrase": r"[一-鿿]{1,5}",
    "enum": r".{1,20}",
}


@dataclass
class Token:
    value: str
    until: float
    worthless_at: float


@dataclass
class Code:
    openid: str
    until: float
    used: bool = False


class WeChat:
    """State in memory; people and their subscriptions are facts of the journal."""

    def __init__(self, journal: Journal, appid: str = APPID, secret: str = SECRET) -> None:
        self._journal = journal
        self._appid = appid
        self._secret = secret
        self.clear()
        journal.on("user", self._meet)
        journal.on("credit", self._grant)

    def clear(self) -> None:
        self.users: dict[str, Fact] = {}
        self._tokens: list[Token] = []
        self._forced: list[float] = []
        self._codes: dict[str, Code] = {}
        self._credits: dict[tuple[str, str], int] = defaultdict(int)
        self._sending: set[str] = set()
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    # --- the protocol

    def stable_token(self, request: Request) -> Answer:
        asked = request.json()
        if not isinstance(asked, dict):
            raise Errcode(47001, "data format error")
        self._limit("/cgi-bin/stable_token", PER_MINUTE["/cgi-bin/stable_token"])
        self._app(str(asked.get("appid", "")), str(asked.get("secret", "")))
        if asked.get("grant_type") != "client_credential":
            raise Errcode(40002, "invalid grant_type")
        with self._journal.lock:
            token = self._token(forced=asked.get("force_refresh") is True)
            left = int(token.until - self._journal.now())
        return answer({"access_token": token.value, "expires_in": left})

    def code_to_session(self, request: Request) -> Answer:
        if "access_token" in request.query:
            # WeChat would let it pass; here it is a mistake of the client, and a loud one.
            said = "this call takes no access_token: it would only leak"
            return answer({"errcode": -40000, "errmsg": said}, 400)
        for name, code in (("appid", 41002), ("secret", 41004), ("js_code", 41008)):
            if not request.query.get(name):
                raise Errcode(code, f"{name} missing")
        self._app(request.query["appid"], request.query["secret"])
        if request.query.get("grant_type") != "authorization_code":
            raise Errcode(40002, "invalid grant_type")
        with self._journal.lock:
            openid = self._redeem(request.query["js_code"])
            user = self.users[openid]
        if user["blocked"]:
            raise Errcode(40226, "code blocked")
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        return answer({"openid": openid, "unionid": user["unionid"], "session_key": key})

    def unlimited_code(self, request: Request) -> Answer:
        self.check_token(request)
        self._limit(request.path, PER_MINUTE[request.path])
        asked = request.json()
        if not isinstance(asked, dict):
            raise Errcode(40169, "invalid length for scene, or the data is not json string")
        _check_scene(asked)
        _check_page(asked.get("page", "pages/index/index"))
        if asked.get("env_version", "release") not in {"release", "trial", "develop"}:
            raise Errcode(40097, "invalid args: env_version")
        width = asked.get("width", 430)
        if type(width) is not int or not 280 <= width <= 1280:
            raise Errcode(40097, "invalid args: width")
        return Answer(body=_image(asked, width), content_type="image/png")

    def send_message(self, request: Request) -> Answer:
        self.check_token(request)
        asked = request.json()
        if not isinstance(asked, dict):
            raise Errcode(47001, "data format error")
        openid, template = str(asked.get("touser", "")), str(asked.get("template_id", ""))
        if openid not in self.users:
            raise Errcode(40003, "invalid openid")
        if not TEMPLATE.fullmatch(template):
            raise Errcode(40037, "invalid template_id")
        with self._one_at_a_time(openid):
            self._check_message(asked)
            self._spend(openid, template)
        return answer({"errcode": 0, "errmsg": "ok"})

    # --- control

    def mint(self, name: str) -> Answer:
        """What wx.login() gives the mini program on the phone of that person."""
        openid = self.person(name)
        code = "0" + secrets.token_urlsafe(23)[:31]
        self._codes[code] = Code(openid, self._journal.now() + CODE_SECONDS)
        return answer({"code": code, "openid": openid, "expires_in": CODE_SECONDS}, 201)

    def person(self, name: str, blocked: bool | None = None) -> str:
        """The openid of that name, the same in every sandbox; met now if never before."""
        openid, unionid = _id(f"openid {self._appid} {name}"), _id(f"unionid {name}")
        with self._journal.lock:
            known = self.users.get(openid)
            if known is None or blocked not in {None, known["blocked"]}:
                self._journal.record(
                    "user", openid=openid, unionid=unionid, name=name, blocked=bool(blocked)
                )
        return openid

    def allow(self, openid: str, template: str, credits: int) -> None:
        self._journal.record("credit", openid=openid, template_id=template, credits=credits)

    # --- inside

    def _meet(self, fact: Fact) -> None:
        self.users[fact["openid"]] = fact

    def _grant(self, fact: Fact) -> None:
        self._credits[fact["openid"], fact["template_id"]] += fact["credits"]

    def _app(self, appid: str, secret: str) -> None:
        if appid != self._appid:
            raise Errcode(40013, "invalid appid")
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            raise Errcode(40125, "invalid appsecret")

    def _token(self, *, forced: bool) -> Token:
        """The present token; a new one five minutes before its end, both valid meanwhile."""
        now = self._journal.now()
        self._forced = [at for at in self._forced if at > now - 86_400]
        if forced and self._forced and now - self._forced[-1] < 30:
            forced = False
        if forced and len(self._forced) >= FORCED_PER_DAY:
            raise Errcode(45009, "reach max api daily quota limit")
        if forced:
            self._forced.append(now)
        present = self._tokens[-1] if self._tokens else None
        if present and not forced and present.until - now > OVERLAP_SECONDS:
            return present
        if present:
            present.worthless_at = min(present.until, now) + OVERLAP_SECONDS
        value = f"{len(self._tokens)}_{secrets.token_urlsafe(96)}"
        fresh = Token(value, now + TOKEN_SECONDS, now + TOKEN_SECONDS)
        self._tokens = [*self._tokens[-50:], fresh]
        return fresh

    def check_token(self, request: Request) -> None:
        value = request.query.get("access_token", "")
        if not value:
            raise Errcode(41001, "access_token missing")
        if not re.fullmatch(r"[A-Za-z0-9_\-]{20,512}", value):
            raise Errcode(40014, "invalid access_token")
        known = [token for token in self._tokens if token.value == value]
        if not known:
            raise Errcode(40001, "invalid credential, access_token is invalid or not latest")
        if known[0].worthless_at <= self._journal.now():
            raise Errcode(42001, "access_token expired")

    def _redeem(self, js_code: str) -> str:
        if js_code.startswith(ALWAYS):
            name = js_code.removeprefix(ALWAYS).strip()
            if not 0 < len(name) <= 64:
                raise Errcode(40029, "invalid code")
            return self.person(name)
        code = self._codes.get(js_code)
        if code is None or code.until <= self._journal.now():
            raise Errcode(40029, "invalid code")
        if code.used:
            raise Errcode(40163, "code been used")
        if not self._room(f"login {code.openid}", LOGINS_PER_MINUTE):
            said = "api minute-quota reach limit mustslower retry next minute"
            raise Errcode(45011, said)
        code.used = True
        return code.openid

    def _limit(self, name: str, most: int) -> None:
        if not self._room(name, most):
            raise Errcode(45009, "reach max api minute quota limit")

    def _room(self, name: str, most: int) -> bool:
        """Count a call; false when the last minute is full."""
        with self._journal.lock:
            now, calls = self._journal.now(), self._calls[name]
            while calls and calls[0] <= now - 60:
                calls.popleft()
            calls.append(now)
            return len(calls) <= most

    @contextmanager
    def _one_at_a_time(self, openid: str) -> Iterator[None]:
        with self._journal.lock:
            if openid in self._sending:
                raise Errcode(43108, "concurrent sends to the same user")
            self._sending.add(openid)
        try:
            time.sleep(0.05)  # a send takes a while, so that two can overlap
            yield
        finally:
            self._sending.discard(openid)

    def _check_message(self, asked: dict[str, Any]) -> None:
        if "page" in asked:
            _check_page(str(asked["page"]).partition("?")[0])
        if asked.get("miniprogram_state") not in {"developer", "trial", "formal"}:
            raise Errcode(47003, "argument invalid! miniprogram_state invalid")
        if asked.get("lang") not in {"zh_CN", "en_US", "zh_HK", "zh_TW"}:
            raise Errcode(47003, "argument invalid! lang invalid")
        fields = asked.get("data")
        if not isinstance(fields, dict) or not fields:
            raise Errcode(47003, "argument invalid! data is empty")
        for key, holder in fields.items():
            _check_value(key, holder.get("value") if isinstance(holder, dict) else None)

    def _spend(self, openid: str, template: str) -> None:
        with self._journal.lock:
            if self._credits[openid, template] < 1:
                raise Errcode(43101, "user refuse to accept the msg")
            self._journal.record("credit", openid=openid, template_id=template, credits=-1)


def _check_scene(asked: dict[str, Any]) -> None:
    scene = asked.get("scene")
    if not isinstance(scene, str) or not 1 <= len(scene) <= 32:
        raise Errcode(40169, "invalid length for scene, or the data is not json string")
    if not SCENE.fullmatch(scene):
        raise Errcode(40129, "invalid scene")
    if "scancode_time" in scene:
        raise Errcode(85096, "not allow include scancode_time field")


def _check_page(page: object) -> None:
    """Every well-formed page counts as released, except those called `unreleased`."""
    if not isinstance(page, str) or not PAGE.fullmatch(page) or "unreleased" in page:
        raise Errcode(41030, "invalid page")


def _check_value(key: str, value: object) -> None:
    kind = re.fullmatch(r"([a-z_]+)\d{1,3}", key)
    rule = VALUE.get(kind[1]) if kind else None
    if rule is None or not isinstance(value, str) or not re.fullmatch(rule, value):
        raise Errcode(47003, f"argument invalid! data.{key}.value invalid")
    if "违禁" in value:
        raise Errcode(45168, "hit sensitive word")


def _image(asked: dict[str, Any], width: int) -> bytes:
    """A QR code of page and scene; about `width` pixels wide."""
    page = asked.get("page", "pages/index/index")
    code = segno.make(f"{page}?scene={quote(asked['scene'], safe='')}", error="m", micro=False)
    out = io.BytesIO()
    code.save(out, kind="png", scale=max(1, width // code.symbol_size()[0]))
    return out.getvalue()


def _id(seed: str) -> str:
    digest = hashlib.sha256(f"siyu sandbox {seed}".encode()).digest()
    return "o" + base64.urlsafe_b64encode(digest).decode()[:27]
