"""What WeChat and the bank share: a request, an answer, and ways to say no."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    target: str  # path?query as on the wire
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_form(self) -> bool:
        # `curl -d '{…}'` calls its JSON a form.
        is_json = self.body.lstrip().startswith(b"{")
        return not is_json and self.headers.get("Content-Type", "").startswith(FORM)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body's JSON value; anything unreadable is None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode())


class No(Exception):
    """Any refusal of the sandbox; carries its answer."""

    def __init__(self, said: Answer) -> None:
        super().__init__(said.body.decode())
        self.said = said


class Refused(No):
    """The bank's refusal: an HTTP status, a stable code, a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(answer({"code": code, "message": message}, status))
        self.code = code
        self.message = message


class Errcode(No):
    """WeChat's refusal: HTTP 200 with `errcode` and an `errmsg` that ends in a request id."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        rid = "-".join(secrets.token_hex(4) for _ in range(3))
        super().__init__(answer({"errcode": errcode, "errmsg": f"{errmsg} rid: {rid}"}))
        self.errcode = errcode
