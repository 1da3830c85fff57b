"""What drf-spectacular cannot see: problem+json answers, the idempotency header."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

ERRORS = {
    "400": "The request is malformed, or the business rule for its shape says no",
    "401": "Not signed in, or the token is revoked",
    "403": "The role does not allow it",
    "404": "Unknown, or not yours",
    "409": "The business said no; `code` says why",
    "429": "Too many requests; see Retry-After",
    "503": "Something we depend on does not answer; see Retry-After",
}
# Besides, of what takes a body.
BODY_ERRORS = {
    "411": "A body of unknown length (chunked) is not taken",
    "413": "The body is too large",
    "415": "Another Content-Type than the one described",
    "422": "The Idempotency-Key was used for another request, or the file cannot be taken",
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable, UPPER_SNAKE"},
        "detail": {"type": "string", "description": "Chinese, for people"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {"type": "string", "examples": ["lines.0.quantity"]},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "facts": {"type": "object", "additionalProperties": True},
        "request_id": {"type": ["string", "null"]},
    },
}


class Schema(AutoSchema):
    """Operations are named by method and path: `get_orders_number`."""

    def get_operation_id(self) -> str:
        words = re.findall(r"[a-z]+", self.path.removeprefix("/api/v1"))
        return "_".join([self.method.lower(), *words])

    def get_override_parameters(self) -> list[Any]:
        handler = getattr(self.view, self.method.lower(), None)
        takes = getattr(handler, "idempotency", None)
        if takes is None:
            return super().get_override_parameters()
        key = OpenApiParameter(
            "Idempotency-Key",
            OpenApiTypes.UUID,
            OpenApiParameter.HEADER,
            required=takes == "required",
            description="Same key and body: the same answer again, and no second effect",
        )
        return [*super().get_override_parameters(), key]


def api_only(endpoints: list[Any]) -> list[Any]:
    """The schema describes /api/v1/, not health checks and pages."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def document_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation names its errors."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    answer = {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    }
    for operations in result["paths"].values():
        for method, operation in operations.items():
            errors = ERRORS | (BODY_ERRORS if method in {"post", "put"} else {})
            for status, why in errors.items():
                said = operation["responses"].setdefault(status, {"description": why})
                said.setdefault("content", answer)
    return result
