"""A pytest plugin: throwaway PostgreSQL and Redis, once per run, before Django reads its settings.

Loaded by `-p tests.engines` (pyproject.toml).  The workers of xdist inherit the engines; each has
a Redis database of its own, as pytest-django gives each a PostgreSQL database of its own.  When
pytest is killed, the engines notice and remove themselves.
"""

import ctypes
import os
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from config.embedded import EngineError, Engines, engines

ENVIRONMENT = {
    "SIYU_ENV": "test",
    "SECRET_KEY": "tests-only-" + "x" * 50,
    "WECHAT_APPID": "wxsandbox0000000001",
    "WECHAT_SECRET": "sandbox-secret",
    # Nobody listens there: a test that wants WeChat or a bank starts the sandbox.
    "WECHAT_API_BASE_URL": "http://127.0.0.1:9",
    # A lane on a connection of its own does not see what a test has not committed.
    "IMPORT_LANES": "1",
}
_running: list[Engines] = []


# A wrapper runs before pytest-django, which imports the settings in this same hook.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    os.environ.update(ENVIRONMENT)
    worker = os.environ.get("PYTEST_XDIST_WORKER")  # gw0, gw1, …
    if worker is None:
        _start()
    else:
        _die_with_parent()
        redis, _, _ = os.environ["REDIS_URL"].partition("?")
        os.environ["REDIS_URL"] = f"{redis}?db={int(worker.removeprefix('gw')) + 1}"
    try:
        return (yield)
    except BaseException:
        pytest_unconfigure()  # which pytest does not call when it cannot even begin
        raise


def _start() -> None:
    home = Path(tempfile.mkdtemp(prefix="siyu-test-"))
    home.chmod(0o711)  # as root, PostgreSQL runs as another user
    try:
        running = engines(home, throwaway=True)
    except EngineError as error:
        raise pytest.UsageError(str(error)) from None
    _running.append(running)
    # Never the caller's own: tests empty what they are given.
    os.environ["DATABASE_URL"] = running.database_url
    os.environ["REDIS_URL"] = running.redis_url


def _die_with_parent() -> None:
    """A worker whose pytest was killed would sit in its test until that ends."""
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):  # Linux
        prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def pytest_unconfigure() -> None:
    while _running:
        _running.pop().stop()
