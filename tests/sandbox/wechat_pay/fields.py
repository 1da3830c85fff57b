"""Reading what the merchant asked for; what is wrong is a 400 PARAM_ERROR that names its field."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from tests.sandbox.web import No, Refused, Request, answer

TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
BILL_NO = re.compile(r"[0-9A-Za-z]{1,32}")
MOST_FEN = 10**11
Asked = Mapping[str, Any]


class BadField(No):
    """As WeChat Pay says it: the field, what is wrong with it, and what was given."""

    def __init__(self, name: str, issue: str, value: object = None) -> None:
        detail = {"location": "body", "field": f"/body/{name}", "issue": issue, "value": value}
        said = {"code": "PARAM_ERROR", "message": f"输入源“/body/{name}”{issue}", "detail": detail}
        super().__init__(answer(said, 400))


def whole(request: Request) -> dict[str, Any]:
    asked = request.json()
    if not isinstance(asked, dict):
        raise Refused(400, "PARAM_ERROR", "请求体须为JSON对象")
    if not request.headers.get("Content-Type", "").startswith("application/json"):
        raise Refused(400, "PARAM_ERROR", "Http头Content-Type须为application/json")
    return asked


def child(asked: Asked, name: str) -> dict[str, Any]:
    found = asked.get(name)
    if not isinstance(found, dict):
        raise BadField(name, "必填性规则校验失败，此字段为必填项", found)
    return found


def text(asked: Asked, name: str, most: int, *, required: bool = True) -> str:
    """Signs are counted, not bytes."""
    found = asked.get(name)
    if found is None or found == "":
        if required:
            raise BadField(name, "必填性规则校验失败，此字段为必填项", found)
        return ""
    if not isinstance(found, str):
        raise BadField(name, "类型校验失败，应为字符串", found)
    if len(found) > most:
        raise BadField(name, f"字符串规则校验失败，字数 {len(found)}，大于最大值 {most}", found)
    return found


def number(asked: Asked, name: str, form: re.Pattern[str]) -> str:
    found = text(asked, name, 64)
    if not form.fullmatch(found):
        raise BadField(name, f"字符串规则校验失败，不符合 {form.pattern}", found)
    return found


def one_of(asked: Asked, name: str, *known: str) -> str:
    found = text(asked, name, 64)
    if found not in known:
        raise BadField(name, f"枚举值校验失败，应为 {'、'.join(known)}", found)
    return found


def fen(asked: Asked, name: str) -> int:
    found = asked.get(name)
    if type(found) is not int or not 1 <= found <= MOST_FEN:
        raise BadField(name, "整数规则校验失败，应为大于 0 的整数（分）", found)
    return found


def currency(amount: Asked, *, required: bool) -> None:
    if text(amount, "currency", 16, required=required) not in {"", "CNY"}:
        raise BadField("currency", "仅支持CNY", amount["currency"])


def notify_url(asked: Asked, *, required: bool) -> str:
    """Plain http passes here; in the real world it must be https."""
    found = text(asked, "notify_url", 255, required=required)
    if not found:
        return ""
    address = urlsplit(found)
    if address.scheme not in {"http", "https"} or not address.hostname or "?" in found:
        raise BadField("notify_url", "须为完整URL且不能携带参数", found)
    return found


def moment(asked: Asked, name: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 moment with its zone."""
    found = text(asked, name, 64, required=False)
    if not found:
        return None
    try:
        at = datetime.fromisoformat(found)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or "T" not in found:
        raise BadField(name, "须为rfc3339格式，如2018-06-08T10:34:56+08:00", found)
    return at.timestamp()
