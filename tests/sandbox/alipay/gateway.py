"""/alipay/gateway.do: the shop's signature checked, its method done, the answer signed.

An answer is `{"<method>_response":{…},"sign":"…"}` as text/html; the signature is over the inner
object exactly as it stands there, with `/` written `\\/` as Alipay writes it.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from threading import RLock
from urllib.parse import parse_qsl, urlsplit

from tests.sandbox.alipay import wire
from tests.sandbox.alipay.bills import Bills
from tests.sandbox.alipay.cashier import Cashier
from tests.sandbox.alipay.faults import GATEWAY, Faults
from tests.sandbox.alipay.methods import Methods
from tests.sandbox.alipay.payouts import QUERY, TRANSFER, Payouts
from tests.sandbox.alipay.signing import Signer, Verifier, text
from tests.sandbox.alipay.wire import APP_ID, Biz, Failed, Inner, Invalid
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.web import Answer, Request

WAP_PAY = "alipay.trade.wap.pay"
FRESH_SECONDS = 600
BROKEN = Answer(0)  # the server breaks the connection
UNKNOWN: Inner = {
    "code": "20000",
    "msg": "Service Currently Unavailable",
    "sub_code": "isp.unknow-error",
    "sub_msg": "系统繁忙",
}
SYSTEM_ERROR = Failed("ACQ.SYSTEM_ERROR", "系统错误").inner
REQUIRED = ("method", "app_id", "sign_type", "sign", "timestamp", "version", "charset")
Does = Callable[[Biz, Biz], Inner]


class Gateway:
    """Every method of the gateway; the cashier's answers with a page."""

    def __init__(
        self,
        *,
        lock: RLock,
        signer: Signer,
        verifier: Verifier,
        faults: Faults,
        cashier: Cashier,
        methods: Methods,
        payouts: Payouts,
        bills: Bills,
    ) -> None:
        self._lock = lock
        self._signer = signer
        self._verifier = verifier
        self._faults = faults
        self._cashier = cashier
        self._does: dict[str, Does] = {
            "alipay.trade.precreate": methods.precreate,
            "alipay.trade.query": methods.query,
            "alipay.trade.close": methods.close,
            "alipay.trade.cancel": methods.cancel,
            "alipay.trade.refund": methods.refund,
            "alipay.trade.fastpay.refund.query": methods.refund_query,
            "alipay.data.dataservice.bill.downloadurl.query": bills.url,
            TRANSFER: payouts.transfer,
            QUERY: payouts.query,
        }

    def serve(self, request: Request) -> Answer:
        method = ""
        try:
            common = _parameters(request)
            method = common.get("method", "")
            self._check(common)
            self._check_signature(common)
            biz = _biz(common)
        except Invalid as no:
            if method == WAP_PAY:
                return self._cashier.refused(no.inner)
            return self._say(method, no.inner, "" if no.is_signed else "unsigned")
        if method == WAP_PAY:
            return self._cashier.begin(biz, common)
        return self._answer(method, biz, common)

    def _answer(self, method: str, biz: Biz, common: Biz) -> Answer:
        number = str(biz.get("out_trade_no") or biz.get("out_biz_no") or "")
        fault = self._faults.take(GATEWAY, number, method)
        kind = fault.kind if fault else ""
        if kind == "error_before":
            return Answer(503, b"<html><h1>503 Service Unavailable</h1></html>", "text/html")
        if kind == "unknown_before":
            return self._say(method, UNKNOWN)
        return self._spoilt(method, self._do(method, biz, common), kind)

    def _do(self, method: str, biz: Biz, common: Biz) -> Inner:
        try:
            with self._lock:
                return {"code": "10000", "msg": "Success", **self._does[method](biz, common)}
        except Failed as no:
            named = {name: biz[name] for name in ("out_trade_no", "out_biz_no") if name in biz}
            return {**no.inner, **named}

    def _spoilt(self, method: str, inner: Inner, kind: str) -> Answer:
        """What was done, and how the shop hears of it."""
        if kind == "error_after":
            return Answer(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html")
        if kind == "reset_after":
            return BROKEN
        if kind == "unbalanced":
            inner = {**inner, "store_name": "一号店{新店"}
        told = {"unknown_after": UNKNOWN, "system_error": SYSTEM_ERROR}.get(kind, inner)
        return self._say(method, told, kind.removeprefix("answer_"))

    def _say(self, method: str, inner: Inner, how: str = "") -> Answer:
        """`how`: "unsigned", or as Signer.sign."""
        raw = json.dumps(inner, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        name = f"{method.replace('.', '_')}_response" if method in self._does else "error_response"
        signature = "" if how == "unsigned" else f',"sign":"{self._signer.sign(raw, how)}"'
        return Answer(
            body=f'{{"{name}":{raw}{signature}}}'.encode(), content_type="text/html;charset=utf-8"
        )

    def _check(self, common: Mapping[str, str]) -> None:
        """Raises Invalid, in the order in which Alipay complains."""
        for name in REQUIRED:
            if not common.get(name):
                spelt = name.replace("_", "-").replace("sign-type", "signature-type")
                spelt = "signature" if spelt == "sign" else spelt
                raise Invalid(f"isv.missing-{spelt}", f"缺少{name}参数", is_signed=False)
        method = common["method"]
        if method not in self._does and method != WAP_PAY:
            raise Invalid("isv.invalid-method", "不存在的方法名", is_signed=False)
        if common["app_id"] != APP_ID:
            raise Invalid("isv.invalid-app-id", "无效的AppID参数", is_signed=False)
        if common["sign_type"] != "RSA2":
            raise Invalid("isv.invalid-signature-type", "无效的签名类型")
        if common["charset"].lower() != "utf-8":
            raise Invalid("isv.invalid-charset", "字符集错误")

    def _check_signature(self, common: Mapping[str, str]) -> None:
        """And what is only worth a look once it is known who speaks."""
        said = text(common, "base")
        if not self._verifier.holds(said, common["sign"]):
            hint = "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，"
            raise Invalid("isv.invalid-signature", f"{hint}网关生成的验签字符串为：{escape(said)}")
        if common["version"] != "1.0" or common.get("format", "JSON").upper() != "JSON":
            raise Invalid("isv.invalid-parameter", "version 须为 1.0，format 须为 JSON")
        _check_moment(common["timestamp"], is_page=common["method"] == WAP_PAY)


def _parameters(request: Request) -> dict[str, str]:
    """Query and form together, and `base`: where this gateway was called; no name twice."""
    pairs = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
    if request.method == "POST":
        try:
            body = request.body.decode()
        except UnicodeDecodeError:
            raise Invalid("isv.invalid-encoding", "编码错误", is_signed=False) from None
        pairs += parse_qsl(body, keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid("isv.invalid-parameter", "参数重复", is_signed=False)
    found["base"] = f"http://{request.headers.get('Host', '127.0.0.1')}"
    return found


def _biz(common: Mapping[str, str]) -> Biz:
    try:
        # Numbers stay as they were written: 0.10 is not a float.
        biz = json.loads(common.get("biz_content") or "{}", parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        biz = None
    if not isinstance(biz, dict):
        raise Invalid("isv.invalid-parameter", "biz_content 须为 JSON 对象")
    return biz


def _check_moment(said: str, *, is_page: bool) -> None:
    """Beijing time; a signed address may lie a while before its buyer opens it."""
    try:
        at = datetime.strptime(said, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError:
        raise Invalid("isv.invalid-timestamp", "非法的时间戳参数") from None
    if not is_page and abs(time.time() - at.timestamp()) > FRESH_SECONDS:
        raise Invalid("isv.invalid-timestamp", "非法的时间戳参数")
    assert wire.clock(at.timestamp()) == said
