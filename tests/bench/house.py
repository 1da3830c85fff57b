"""Where everything is measured: engines that sync to disk, the web process, two helpers."""

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.embedded import Engines, engines
from tests.bench import machine

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "SIYU_ENV": "test",
    "SECRET_KEY": "bench-only-" + "x" * 50,
    "WECHAT_APPID": "wxsandbox0000000001",
    "WECHAT_SECRET": "sandbox-secret",
    "WECHAT_API_BASE_URL": "http://127.0.0.1:9",  # nobody listens there
    "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
    "LOG_LEVEL": "ERROR",
}
WORKERS = 2


@dataclass(frozen=True)
class House:
    """What the measurements need; `helpers` are two processes that load and are not the server."""

    address: tuple[str, int]
    pids: Mapping[str, int]
    helpers: ProcessPoolExecutor

    def cpu(self) -> dict[str, float]:
        return {name: machine.cpu_seconds(pid) for name, pid in self.pids.items()}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


@contextmanager
def engines_of_the_bench() -> Iterator[Engines]:
    """PostgreSQL and Redis as an installation has them, in a folder that is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="siyu-bench-"))
    home.chmod(0o711)  # as root, PostgreSQL runs as another user
    running = engines(home)
    os.environ.update(ENVIRONMENT)
    os.environ["DATABASE_URL"] = running.database_url
    os.environ["REDIS_URL"] = running.redis_url
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def open_house(running: Engines) -> Iterator[House]:
    port = _free_port()
    with _web(port) as web, helpers() as two:
        pids = {"web": web, "pg": running.postgres.pid, "redis": running.redis.pid}
        yield House(("127.0.0.1", port), pids, two)


@contextmanager
def helpers(count: int = 2) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, spawn, initializer=machine.die_with_parent) as pool:
        yield pool


def alone(work: Callable[..., Any], *given: Any) -> Any:
    """In a process of its own, so that its memory is nobody else's."""
    with helpers(1) as pool:
        return pool.submit(work, *given).result()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _web(port: int) -> Iterator[int]:
    """The web process as an installation runs it."""
    server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
    options = ["--port", str(port), "--workers", str(WORKERS), "--blocking-threads", "1"]
    process = subprocess.Popen(
        [*server, *options, "--log-level", "error", "--no-access-log", "config.wsgi:application"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        preexec_fn=machine.die_with_parent,  # noqa: PLW1509  no threads yet
    )
    try:
        _await(f"http://127.0.0.1:{port}/healthz", process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        time.sleep(0.1)
    raise SystemExit("bench: the web process did not start")
