"""What drf-spectacular cannot see: problem+json answers, the idempotency header."""

from typing import Any

ERRORS = {
    "400": "The request is malformed, or the business rule for its shape says no",
    "401": "Not signed in, or the token is revoked",
    "403": "The role does not allow it",
    "404": "Unknown, or not yours",
    "409": "The business said no; `code` says why",
    "429": "Too many requests; see Retry-After",
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


def api_only(endpoints: list[Any]) -> list[Any]:
    """The schema describes /api/v1/, not health checks and pages."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def document_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation names its errors, and its Idempotency-Key if it takes one."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    answer = {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, why in ERRORS.items():
                operation["responses"].setdefault(status, {"description": why, "content": answer})
    return result
