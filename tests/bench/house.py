"""Where everything is measured: engines that sync to disk, web and worker, two helpers."""

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from config.embedded import Engines, engines
from tests import sandbox_fixtures
from tests.bench import machine
from tests.sandbox import keys
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys as wechat_pay_keys

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "SIYU_ENV": "test",
    "SECRET_KEY": "bench-only-" + "x" * 50,
    "WECHAT_APPID": APPID,
    "WECHAT_SECRET": "sandbox-secret",
    "WECHAT_API_BASE_URL": "http://127.0.0.1:9",  # nobody listens there
    "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
    "LOG_LEVEL": "ERROR",
    "BANKS": "sandbox",  # pushes; nobody listens there either
    "BANK_SANDBOX_URL": "http://127.0.0.1:9",
}
WORKERS = 2


@dataclass(frozen=True)
class House:
    """What the measurements need; `helpers` are two processes that load and are not the server."""

    address: tuple[str, int]
    pids: Mapping[str, int]
    helpers: ProcessPoolExecutor
    sandbox: Path  # the home of WeChat Pay's keys

    def cpu(self) -> dict[str, float]:
        return {name: machine.cpu_seconds(pid) for name, pid in self.pids.items()}


_began = time.monotonic()


def say(text: str) -> None:
    """With the seconds since the start."""
    print(f"{time.monotonic() - _began:6.1f}  {text}", flush=True)


@contextmanager
def engines_of_the_bench() -> Iterator[tuple[Engines, Path]]:
    """PostgreSQL and Redis as an installation has them, in a folder that is gone afterwards.

    And where the keys of WeChat Pay are.
    """
    home = Path(tempfile.mkdtemp(prefix="siyu-bench-"))
    home.chmod(0o711)  # as root, PostgreSQL runs as another user
    running = engines(home)
    os.environ.update(ENVIRONMENT)
    os.environ["DATABASE_URL"] = running.database_url
    os.environ["REDIS_URL"] = running.redis_url
    pair = keys.ensure(home / "bank")
    os.environ["BANK_SANDBOX_PUBLIC_KEY"] = str(pair.bank_public)
    os.environ["BANK_SANDBOX_PRIVATE_KEY"] = str(pair.shop_private)
    try:
        with _sandbox(home / "sandbox"):
            yield running, home / "sandbox"
    finally:
        try:
            running.stop()
        finally:  # also on a second Ctrl-C; the engines end themselves when their folder is gone
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _sandbox(home: Path) -> Iterator[None]:
    """WeChat Pay, in a process of its own; only M1 asks it anything."""
    pay = wechat_pay_keys.ensure(home)
    process, url = sandbox_fixtures.start(home)
    os.environ |= {
        "WECHAT_PAY_MCHID": wechat_pay_keys.MCHID,
        "WECHAT_PAY_URL": url,
        "WECHAT_PAY_CERTIFICATE": str(pay.merchant_cert),
        "WECHAT_PAY_PRIVATE_KEY": str(pay.merchant_private),
        "WECHAT_PAY_API_KEY": str(pay.apiv3_key_file),
        "WECHAT_PAY_PUBLIC_KEY_ID": pay.public_key_id,
        "WECHAT_PAY_PUBLIC_KEY": str(pay.public_key),
        "WECHAT_PAY_PLATFORM_CERTIFICATES": str(pay.platform_cert),
    }
    try:
        yield
    finally:
        sandbox_fixtures.stop(process)


@contextmanager
def open_house(running: Engines, sandbox: Path) -> Iterator[House]:
    """The web process and the worker, as an installation runs them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = [*_RUN, "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    web += ["--workers", str(WORKERS), "--blocking-threads", "64", "--log-level", "error"]
    worker = [*_RUN, "celery", "-A", "config.celery", "worker", "--loglevel", "ERROR"]
    worker += ["--concurrency", str(WORKERS), "--without-mingle", "--without-gossip"]
    with (
        _running([*web, "--no-access-log", "config.wsgi:application"]) as web_pid,
        _running(worker) as worker_pid,
        _helpers() as helpers,
    ):
        _await(f"http://127.0.0.1:{port}/healthz", web_pid)
        pids = {
            "web": web_pid,
            "worker": worker_pid,
            "pg": running.postgres.pid,
            "redis": running.redis.pid,
        }
        yield House(("127.0.0.1", port), pids, helpers, sandbox)


_RUN = [sys.executable, "-W", "ignore", "-m"]


@contextmanager
def _helpers() -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, initializer=machine.die_with_parent) as pool:
        yield pool


@contextmanager
def _running(argv: list[str]) -> Iterator[int]:
    process = subprocess.Popen(
        argv,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # banners; what goes wrong is said on stderr
        preexec_fn=machine.die_with_parent,  # noqa: PLW1509  no threads yet
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}/exe").exists() and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        time.sleep(0.1)
    raise SystemExit("bench: the web process did not start")
