"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): a POST is done at most once.

The key is written in the same transaction as the effect.  A crash in between leaves neither; a
refusal rolls both back, so the key stays free.
"""

import hashlib
import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponse
from django.utils.timezone import now
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import View, render_json
from config.kit.errors import Malformed, Refusal
from config.kit.models import IdempotencyKey
from config.kit.viewer import viewer

Handler = Callable[..., Response]
UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class IdempotencyKeyRequired(Malformed):
    message = "请求头 Idempotency-Key 缺失或不是 UUID；每次新操作用一个新的 UUID"


class IdempotencyKeyReused(Refusal):
    status = 422
    message = "该 Idempotency-Key 已用于另一个请求"


class IdempotencyInProgress(Refusal):
    message = "同一请求正在处理中"


# One statement: take the key's lock or give up at once, and insert or find it used.  A plain
# INSERT would wait on the unique index for as long as the first request runs.
_CLAIM = """
WITH lock AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended(%s, %s)) AS free)
INSERT INTO kit_idempotencykey (user_id, key, fingerprint, created_at)
SELECT %s, %s, %s, %s FROM lock WHERE free
ON CONFLICT DO NOTHING RETURNING id
"""
_ANSWER = "UPDATE kit_idempotencykey SET status = %s, answer = %s WHERE id = %s"


def read_key(request: Request) -> str | None:
    """The header's UUID, quoted (as the draft says) or bare; Malformed if it is something else."""
    raw = request.headers.get("Idempotency-Key")
    if raw is None:
        return None
    key = raw.strip().strip('"')
    if not UUID.fullmatch(key):
        raise IdempotencyKeyRequired
    return key.lower()


def idempotent(
    *,
    required: bool = False,
    before: Callable[..., None] | None = None,
    after: Callable[[Request, Any], Any] | None = None,
) -> Callable[[Handler], Handler]:
    """Decorate a `post`: same key and body gives the same answer, without a second effect.

    Outside the transaction, where the network may be asked, each time that the request comes:
    `before(request, **path)`, and `after(request, answer)`, which gives the answer that is sent.
    Both must be safe to repeat; a refusal of `after` leaves the effect, and the same key may try
    again.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def once(self: View, request: Request, *args: Any, **kwargs: Any) -> Any:
            key = read_key(request)
            if key is None and required:
                raise IdempotencyKeyRequired
            if before:
                before(request, *args, **kwargs)
            if key is None:
                response = handler(self, request, *args, **kwargs)
            else:
                with transaction.atomic():
                    response = _once(key, request, lambda: handler(self, request, *args, **kwargs))
            return _finished(response, request, after) if after else response

        once.idempotency = "required" if required else "optional"  # type: ignore[attr-defined]
        return once

    return decorate


def _finished(response: Any, request: Request, after: Callable[[Request, Any], Any]) -> Response:
    """The stored answer as it is now; headers (a replay's) are kept."""
    is_new = isinstance(response, Response)
    told = response.data if is_new else json.loads(response.content)
    found = Response(after(request, told), status=response.status_code)
    if "Idempotent-Replay" in response.headers:
        found["Idempotent-Replay"] = response["Idempotent-Replay"]
    return found


def _once(key: str, request: Request, handle: Callable[[], Response]) -> Any:
    print_of = _fingerprint(request)
    user_id = viewer(request).pk
    row = _claim(user_id, key, print_of)
    if row is None:
        return _replay(user_id, key, print_of)
    response = handle()
    with connection.cursor() as cursor:
        cursor.execute(_ANSWER, [response.status_code, render_json(response.data), row])
    return response


def _claim(user_id: int, key: str, fingerprint: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [key, user_id, user_id, key, fingerprint, now()])
        row = cursor.fetchone()
    return row[0] if row else None


def _replay(user_id: int, key: str, fingerprint: str) -> HttpResponse:
    earlier = IdempotencyKey.objects.filter(user_id=user_id, key=key).first()
    if earlier is None:
        raise IdempotencyInProgress
    if earlier.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    response = HttpResponse(
        bytes(earlier.answer or b""), status=earlier.status, content_type="application/json"
    )
    response["Idempotent-Replay"] = "true"
    return response


def _fingerprint(request: Request) -> str:
    """Of what was asked, not of its spelling: key order and white space do not count."""
    body = json.dumps(request.data, sort_keys=True).encode()
    asked = b"\0".join([(request.method or "").encode(), request.get_full_path().encode(), body])
    return hashlib.sha256(asked).hexdigest()
