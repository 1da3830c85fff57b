"""Our own processes beside the tests, on the tests' database and Redis."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

_viewers: list["Viewer"] = []
ROOT = Path(__file__).resolve().parents[2]


def environment(**changes: str) -> dict[str, str]:
    """Ours, with the database that the tests use."""
    of = connection.settings_dict
    host = quote(of["HOST"], safe="")
    url = f"postgresql://{of['USER']}@{host}:{of['PORT']}/{of['NAME']}"
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": url}
    return {**os.environ, **settings, **changes}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    argv: Sequence[str], env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with the test, and whatever it has started with it."""
    process = subprocess.Popen(
        [sys.executable, *argv], cwd=ROOT, env=env or environment(), start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def live_process(port: int = 0, **changes: str) -> Iterator[int]:
    """The room, as it runs in production; its port."""
    port = port or free_port()
    argv = [
        "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port),
        "--ws", "websockets-sansio", "--ws-max-size", "4096", "--ws-per-message-deflate", "false",
        "--log-level", "warning",
    ]  # fmt: skip
    with running(argv, environment(**changes)) as process:
        await_true(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None
        yield port
        everybody_leaves()


@contextmanager
def web_process(port: int = 0, **changes: str) -> Iterator[str]:
    """The API, as it runs in production; its URL."""
    port = port or free_port()
    argv = [
        "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "2", "--blocking-threads", "1", "--no-ws", "--log-level", "warning",
        "config.wsgi:application",
    ]  # fmt: skip
    with running(argv, environment(**changes)) as process:
        await_true(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"


def everybody_leaves() -> None:
    while _viewers:
        _viewers.pop().close()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def await_true(is_so: Any, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


class Viewer:
    """Somebody in the room."""

    def __init__(self, port: int, session: str, *, token: str = "", **changes: Any) -> None:
        url = f"ws://127.0.0.1:{port}/ws/live/{session}" + (f"?token={token}" if token else "")
        options: dict[str, Any] = {"compression": None, "proxy": None, "close_timeout": 1}
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(connect(url, **options | changes))
        _viewers.append(self)
        self.hello = self.next()
        assert self.hello["type"] == "hello"

    def close(self) -> None:
        self._open.close()

    def next(self, seconds: float = 10.0) -> dict[str, Any]:
        """The next message that is not a heartbeat."""
        while True:
            found: dict[str, Any] = json.loads(self.socket.recv(seconds))
            if found["type"] != "ping":
                return found

    def until(self, kind: str, seconds: float = 10.0) -> list[dict[str, Any]]:
        """Everything up to the first event of a kind."""
        heard = [self.next(seconds)]
        while heard[-1]["type"] != kind:
            heard.append(self.next(seconds))
        return heard

    def close_code(self, seconds: float = 10.0) -> int:
        """Reads until the other side has closed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                self.socket.recv(seconds)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
        raise AssertionError("still open")
