"""The outside world for tests: `sandbox` is fresh for each, and the settings point at it."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
from pytest_django import Settings

from config.kit.redis import connection
from tests.sandbox import keys
from tests.sandbox.wechat import APPID, SECRET

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
# So that a test of a lost push does not wait for a real bank's patience.
PUSH_DELAYS = "0.2,0.4,1,2,5,10,30"


@dataclass(frozen=True)
class Sandbox:
    """A hand on the sandbox's process: what people and time do out there."""

    base_url: str
    home: Path
    http: requests.Session

    @property
    def keys(self) -> keys.Keys:
        return keys.ensure(self.home)

    def provider(self) -> dict[str, Any]:
        """What the shop's BANK_PROVIDERS say about this bank."""
        return {
            "base_url": self.base_url,
            "public_key": self.keys.bank_public.read_text(),
            "private_key": self.keys.shop_private.read_text(),
            "can": ["limits", "statements"],
        }

    def carrier(self) -> dict[str, Any]:
        """What the shop's CARRIER_SANDBOX says about this carrier."""
        return {
            "base_url": self.base_url,
            "public_key": self.keys.carrier_public.read_text(),
            "private_key": self.keys.shop_private.read_text(),
        }

    def transfer(
        self,
        account_no: str,
        amount_fen: int,
        *,
        payer_name: str = "王小明",
        payer_account: str = "6222020200112233",
        remark: str = "",
    ) -> dict[str, Any]:
        """A buyer pays: {serial, booked_at}.  The push follows by itself."""
        asked = {
            "account_no": account_no,
            "amount_fen": amount_fen,
            "payer_name": payer_name,
            "payer_account": payer_account,
            "remark": remark,
        }
        answer = self.post("/bank/transfers", asked)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def refused(self, account_no: str, amount_fen: int, **asked: str) -> str:
        """The code with which the mobile bank turns a transfer away."""
        asked = {"payer_name": "王小明", "payer_account": "6222020200112233", **asked}
        answer = self.post(
            "/bank/transfers", {"account_no": account_no, "amount_fen": amount_fen, **asked}
        )
        assert answer.status_code == 422, answer.text
        return str(answer.json()["code"])

    def statement(self, account_no: str, day: date, format: str) -> bytes:
        """The bank's file of that day, of a parent account."""
        answer = self.get(f"/bank/statements?account_no={account_no}&date={day}&format={format}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def code(self, name: str) -> str:
        """What wx.login gives on the phone of that person: single use, five minutes."""
        return str(self.control("code", name=name)["code"])

    def openid(self, name: str, *, blocked: bool = False) -> str:
        return str(self.control("user", name=name, blocked=blocked)["openid"])

    def credit(self, openid: str, template_id: str, credits: int = 1) -> None:
        """The person accepted a subscription prompt so many times."""
        self.control("credit", openid=openid, template_id=template_id, credits=credits)

    def open_account(self, account_no: str, opening_fen: int = 0) -> None:
        """A parent account; registering units opens one too."""
        self.control("account", account_no=account_no, opening_fen=opening_fen)

    def reverse(self, serial: str) -> str:
        """The bank takes a credit back; the serial of the reversal."""
        return str(self.control("reverse", serial=serial)["serial"])

    def faults(self, path: str, kind: str, times: int = 1, **more: float) -> None:
        """Order a fault (tests/sandbox/faults.py); path "push" is the bank's push to the shop."""
        self.control("faults", path=path, kind=kind, times=times, **more)

    def push_to(self, shop_url: str) -> None:
        """Where the bank pushes from now on; "" is nowhere."""
        self.control("shop", url=shop_url)

    def pushes(self) -> list[dict[str, Any]]:
        """Deliveries tried: [{event_id, serial, attempt, status, answer}]."""
        return list(self.get("/__sandbox__/pushes").json()["tried"])

    def wait_pushed(self, seconds: float = 10) -> list[dict[str, Any]]:
        """Until the bank has nothing more to tell."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said = self.get("/__sandbox__/pushes").json()
            if not said["waiting"]:
                return list(said["tried"])
            time.sleep(0.02)
        raise AssertionError(f"pushes still waiting after {seconds} s: {said}")

    def move_clock(self, seconds: float) -> None:
        """Tokens and codes grow old, bookings get later days."""
        self.control("clock", seconds=seconds)

    def journal(self, path: str = "") -> list[dict[str, Any]]:
        """Requests seen since the last reset, oldest first; of one path when given."""
        seen = self.get("/__sandbox__/journal").json()
        return [entry for entry in seen if not path or entry["path"] == path]

    def reset(self) -> None:
        self.control("reset")

    def control(self, name: str, /, **asked: Any) -> dict[str, Any]:
        answer = self.post(f"/__sandbox__/{name}", asked)
        assert answer.ok, answer.text
        return dict(answer.json())

    def get(self, path: str) -> requests.Response:
        return self.http.get(f"{self.base_url}{path}", timeout=10)

    def post(self, path: str, asked: Any) -> requests.Response:
        return self.http.post(f"{self.base_url}{path}", json=asked, timeout=10)


@contextmanager
def running(home: Path, *more: str) -> Iterator[Sandbox]:
    """A sandbox from start to stop; it must leave with code 0."""
    process, base_url = start(home, *more)
    try:
        with requests.Session() as http:
            http.trust_env = False
            yield Sandbox(base_url, home, http)
    finally:
        code = stop(process)
    assert code == 0, (home / "sandbox.log").read_text()


def start(home: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """A sandbox of its own on a free port: the process and its base URL."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "sandbox.log").open("a") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.sandbox", "--port", "0", "--home", str(home)),
                *("--push-delays", PUSH_DELAYS, "--wechat-pay-delays", PUSH_DELAYS),
                *("--die-with-parent", *more),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    if not line.startswith("sandbox ready on "):
        stop(process)
        raise RuntimeError(f"the sandbox did not start: {(home / 'sandbox.log').read_text()}")
    return process, line.removeprefix("sandbox ready on ").strip()


def stop(process: subprocess.Popen[str]) -> int:
    """Ends it as a supervisor would; its exit code."""
    process.terminate()
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One process per worker; ask for `sandbox` instead, unless the test is about the process."""
    with running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: Sandbox, settings: Settings) -> Sandbox:
    """The outside world, with nothing in it, and the shop's settings pointing at it."""
    sandbox_process.reset()
    sandbox_process.push_to("")
    settings.WECHAT_APPID = APPID
    settings.WECHAT_SECRET = SECRET
    settings.WECHAT_API_BASE_URL = sandbox_process.base_url
    settings.BANK_PROVIDERS = {"sandbox": sandbox_process.provider()}
    forget_token()
    return sandbox_process


def forget_token() -> None:
    """As after a FLUSHALL."""
    for key in connection().scan_iter(f"siyu:wechat:{APPID}:*"):
        connection().delete(key)
