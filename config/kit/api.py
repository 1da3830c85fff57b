"""What every endpoint shares: strict input, problem+json, cursor pages, who may call."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn

import orjson
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.utils.functional import Promise
from rest_framework import exceptions, serializers
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import APIView

from config.kit import cursors, viewer
from config.kit.errors import Refusal, TryAgain

logger = logging.getLogger(__name__)

MAX_DEPTH = 32
PAGE = 20  # rows, unless `limit` says otherwise
PROBLEM = "application/problem+json"


class RoleRequired(Refusal):
    status = 403
    message = "您没有此项权限"


# --- strict input -------------------------------------------------------------------------------


class Shape(serializers.Serializer[Any]):
    """The shape of a body or of query parameters: a key it does not name is an error."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(str(key) for key in data if key not in self.fields)
            if unknown:
                wrong = {key: [exceptions.ErrorDetail("未知字段", "unknown")] for key in unknown}
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON integer.  Not true, "1", 1.0 or "１"; from a query string, ASCII digits only."""

    default_error_messages = {"whole": "必须是整数"}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and data.isascii() and data.isdigit() and self._from_query():
            data = int(data) if len(data) < 20 else data
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("whole")
        return data

    def _from_query(self) -> bool:
        return getattr(self.root, "from_query", False)


class Text(serializers.CharField):
    """A JSON string (a number is not one), trimmed, without control signs."""

    default_error_messages = {"text": "必须是文本", "control": "含有控制字符"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("text")
        value = super().to_internal_value(data)
        if any(ord(sign) < 32 and sign not in "\n\t" for sign in value):
            self.fail("control")
        return str(value)


class Query(Shape):
    """The shape of query parameters, with the two of every list."""

    from_query = True
    cursor = serializers.CharField(required=False, max_length=512)
    limit = Whole(required=False, min_value=1, max_value=100)


def _checked(shape: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    shape.is_valid(raise_exception=True)
    return dict(shape.validated_data)


class StrictJSON(BaseParser):
    """JSON as RFC 8259 means it: no repeated keys, no NaN, no NUL, bounded depth."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            text = stream.read().decode("utf-8")
            value = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
        except RecursionError:
            raise exceptions.ParseError("JSON 嵌套过深") from None
        except UnicodeDecodeError:
            raise exceptions.ParseError("请求体不是 UTF-8") from None
        except ValueError:
            raise exceptions.ParseError("请求体不是有效的 JSON") from None
        if "\\u0000" in text or "\x00" in text:
            raise exceptions.ParseError("JSON 含有空字符")
        _bounded(value)
        if not isinstance(value, dict):
            raise exceptions.ParseError("请求体必须是 JSON 对象")
        return value


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise exceptions.ParseError("JSON 含有重复的键")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _bounded(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise exceptions.ParseError("JSON 嵌套过深")
    if isinstance(value, str):
        if any("\ud800" <= sign <= "\udfff" for sign in value):
            raise exceptions.ParseError("JSON 含有无效字符")
    elif isinstance(value, dict):
        for key, item in value.items():
            _bounded(key, depth + 1)
            _bounded(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _bounded(item, depth + 1)


# --- answers ------------------------------------------------------------------------------------

_drf_default = JSONEncoder().default


def _default(value: Any) -> Any:
    return str(value) if isinstance(value, Promise) else _drf_default(value)


def render_json(value: Any) -> bytes:
    """As DRF renders it (times, lazy texts, UUIDs), at orjson's speed."""
    if value is None:
        return b""
    return orjson.dumps(
        value, default=_default, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
    )


class OrjsonRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> bytes:
        return render_json(data)


# --- who may call -------------------------------------------------------------------------------


class MayCall(BasePermission):
    """Asks `View.access`: PUBLIC, SIGNED_IN or the name of a role, perhaps per method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        assert isinstance(view, View)
        access = view.access_for(request.method or "GET")
        if access == viewer.PUBLIC:
            return True
        if not request.user.is_authenticated:
            return False  # DRF answers 401
        if access != viewer.SIGNED_IN and not viewer.viewer(request).has_role(access):
            raise RoleRequired
        return True


class View(APIView):
    """One URL: translate in, call one service or query, translate out."""

    access: ClassVar[str | Mapping[str, str]] = viewer.SIGNED_IN
    permission_classes = [MayCall]
    renderer_classes = [OrjsonRenderer]
    parser_classes = [StrictJSON]
    http_method_names = ["get", "post", "put", "delete", "head", "options"]

    @classmethod
    def access_for(cls, method: str) -> str:
        if isinstance(cls.access, str):
            return cls.access
        method = "GET" if method in {"HEAD", "OPTIONS"} else method
        return cls.access.get(method, viewer.SIGNED_IN)

    def body(self, shape: type[Shape]) -> dict[str, Any]:
        """The request body, checked against `shape`; unknown keys are an error."""
        return _checked(shape(data=self.request.data))

    def asked(self, shape: type[Shape]) -> dict[str, Any]:
        """The query parameters, checked against `shape`; unknown and repeated ones are an error."""
        params = self.request.query_params
        for name, values in params.lists():
            if len(values) > 1:
                raise exceptions.ValidationError({name: ["参数重复"]}, code="repeated")
        return _checked(shape(data=params.dict()))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers.setdefault("Cache-Control", "private, no-store")
        return final


# --- pages ---------------------------------------------------------------------------------------


def page(
    view: View,
    rows: QuerySet[Any, Any],
    order: tuple[str, ...],
    render: Callable[[list[Any]], Iterable[Any]],
) -> Response:
    """One page of `rows`, newest first: by `order`, which ends with "-pk" and so is unique.

    Keyset: the next page begins below the last row of this one, however many rows share a time.
    """
    asked = view.request.query_params
    limit = int(asked.get("limit", PAGE))
    names = [column.removeprefix("-") for column in order]
    if given := asked.get("cursor"):
        rows = rows.filter(_below(names, cursors.unsealed(given, _list_of(rows, order))))
    found = list(rows.order_by(*order)[: limit + 1])
    shown, following = found[:limit], None
    if len(found) > limit:
        last = [_value(shown[-1], name) for name in names]
        following = cursors.sealed(last, _list_of(rows, order))
    return Response({"results": list(render(shown)), "next": following})


def _list_of(rows: QuerySet[Any, Any], order: tuple[str, ...]) -> str:
    """A cursor is of one kind of list; in another its values would mean nothing."""
    return f"{rows.model._meta.label} {order}"


def _value(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, dict) else getattr(row, name)


def _below(names: Sequence[str], last: Sequence[Any]) -> Q:
    if len(names) == 1:
        return Q(**{f"{names[0]}__lt": last[0]})
    (first, key), (value, pk) = names, last
    # The first condition alone lets PostgreSQL begin in the index where the page begins.
    return Q(**{f"{first}__lte": value}) & (Q(**{f"{first}__lt": value}) | Q(**{f"{key}__lt": pk}))


# --- problems (RFC 9457) ------------------------------------------------------------------------

_CODES = {
    400: "MALFORMED",
    401: "NOT_SIGNED_IN",
    403: "ROLE_REQUIRED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    411: "LENGTH_REQUIRED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
}
_DETAILS = {
    401: "请先登录",
    403: "您没有此项权限",
    404: "内容不存在",
    405: "该地址不支持此请求方法",
    406: "不支持所要求的返回格式，只返回 JSON",
    411: "请求须带 Content-Length",
    413: "请求体过大",
    429: "操作过于频繁，请稍后重试",
}


def problem(
    request: HttpRequest | Request | None,
    status: int,
    *,
    code: str = "",
    detail: str = "",
    **extra: object,
) -> dict[str, Any]:
    """The body of an error answer."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code or _CODES.get(status, "ERROR"),
        "detail": detail or _DETAILS.get(status, "请求未能完成"),
        **{name: value for name, value in extra.items() if value},
        "request_id": getattr(request, "id", None),
    }


def render_problem(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error leaves as problem+json; a real crash stays a crash."""
    request = context.get("request")
    plain = getattr(request, "_request", request)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    elif isinstance(exc, (OperationalError, InterfaceError)):
        logger.error("the database: %s", exc)  # away, restarted, or a lock that took too long
        exc = TryAgain()
    if isinstance(exc, Refusal):
        body = problem(plain, exc.status, code=exc.code, detail=str(exc), facts=exc.details)
        response = Response(body, status=exc.status)
        if exc.status in {429, 503}:
            response["Retry-After"] = str(exc.details.get("retry_after", 1))
    elif isinstance(exc, exceptions.APIException):
        response = _from_drf(exc, plain)
    else:
        return None
    response.content_type = PROBLEM
    return response


def _from_drf(exc: exceptions.APIException, request: HttpRequest | None) -> Response:
    status = exc.status_code
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_fields(exc.detail, ""))
        first = errors[0] if errors else {"field": "", "detail": "请求格式有误"}
        detail = "：".join(filter(None, (first["field"], first["detail"])))
        body = problem(request, status, code="INVALID", detail=detail, errors=errors)
    else:
        shown = str(exc.detail) if status in {400, 413, 415} else ""
        body = problem(request, status, detail=shown)
    response = Response(body, status=status)
    if challenge := getattr(exc, "auth_header", None):
        response["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        response["Retry-After"] = str(int(wait) + 1)
    return response


def _fields(detail: Any, path: str) -> Iterable[dict[str, str]]:
    """DRF's nested details as a flat list: `lines.0.quantity`."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            here = path if name == "non_field_errors" else f"{path}.{name}".strip(".")
            yield from _fields(inner, here)
    elif isinstance(detail, list):
        for i, inner in enumerate(detail):
            nested = not isinstance(inner, str)
            yield from _fields(inner, f"{path}.{i}".strip(".") if nested else path)
    else:
        code = str(getattr(detail, "code", "invalid")).upper()
        yield {"field": path, "code": code, "detail": str(detail)}


def uncaught(request: HttpRequest, status: int) -> bytes:
    """The body for what never reached a view: unknown paths, crashes, oversize bodies."""
    return render_json(problem(request, status))
