"""What happens to a request before and after Django's own part."""

import re
import secrets
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from config.kit.api import PROBLEM, uncaught
from config.kit.reception import longest

Answer = Callable[[HttpRequest], HttpResponse]
SOUND_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(answer: Answer) -> Answer:
    """Each request has an id, the client's if it is sound; errors and logs carry it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request.id = given if SOUND_ID.fullmatch(given) else secrets.token_hex(8)  # type: ignore[attr-defined]
        response = answer(request)
        response["X-Request-Id"] = request.id  # type: ignore[attr-defined]
        return response

    return middleware


def bounds(answer: Answer) -> Answer:
    """413 for an oversize body (uploads have a limit of their own), 411 for one of unknown length,

    and 404 for a path that no database could hold.  `config.kit.reception` keeps no such body.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        is_upload = (request.content_type or "").startswith("multipart/")
        limit = longest(request.path) if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        declared = request.META.get("CONTENT_LENGTH") or "0"
        if "\x00" in request.path:
            return refusal(request, 404)
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return refusal(request, 411)
        if not declared.isdigit() or int(declared) > limit:
            return refusal(request, 413)
        return answer(request)

    return middleware


def api_errors(answer: Answer) -> Answer:
    """Outside the views too, an error of the API is problem+json (Django would send HTML)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = answer(request)
        is_html = response.get("Content-Type", "").startswith("text/html")
        if request.path.startswith("/api/v1/") and response.status_code >= 400 and is_html:
            return refusal(request, response.status_code)
        return response

    return middleware


def refusal(request: HttpRequest, status: int) -> HttpResponse:
    return HttpResponse(uncaught(request, status), status=status, content_type=PROBLEM)
