"""A mini program's side of the API, as small as it can be."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import requests


class Refused(Exception):
    """An answer of 400 or more; `code` is the problem's."""

    def __init__(self, answer: requests.Response) -> None:
        body = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        self.status, self.code = answer.status_code, body.get("code", "")
        super().__init__(
            f"{answer.request.method} {answer.url}: {self.status} {body or answer.text[:200]}"
        )


class Client:
    """One person on one device."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = requests.Session()
        self.http.trust_env = False  # no proxy stands between this machine and itself

    def wechat(self, name: str) -> "Client":
        return self._signed_in("auth/wechat", {"code": f"sandbox:{name}"})

    def staff(self, username: str, password: str) -> "Client":
        return self._signed_in("auth/staff", {"username": username, "password": password})

    def _signed_in(self, path: str, body: dict[str, str]) -> "Client":
        token = self.post(path, body)["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        return self

    def get(self, path: str, **params: Any) -> Any:
        return self._answer(self.http.get(self._url(path), params=params, timeout=30))

    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        sent = {"Idempotency-Key": key or str(uuid4()), **headers}
        answer = self.http.post(
            self._url(path), json={} if body is None else body, headers=sent, timeout=30
        )
        return self._answer(answer)

    def upload(self, path: str, filename: str, content: bytes, **fields: str) -> Any:
        answer = self.http.post(
            self._url(path), files={"file": (filename, content)}, data=fields, timeout=60
        )
        return self._answer(answer)

    def picture(self, url: str) -> bytes:
        answer = self.http.get(url, timeout=30)
        if answer.status_code >= 400:
            raise Refused(answer)
        return answer.content

    def _url(self, path: str) -> str:
        return f"{self.base_url}/api/v1/{path}"

    def _answer(self, answer: requests.Response) -> Any:
        if answer.status_code >= 400:
            raise Refused(answer)
        return answer.json() if answer.content else None


def wait_for(
    what: str, ask: Callable[[], Any], is_right: Callable[[Any], bool], seconds: float = 20
) -> Any:
    """Ask until the answer is right; TimeoutError names what never came."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if is_right(answer):
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: still {answer!r} after {seconds:.0f} s")
        time.sleep(0.1)
