"""`make demo`, as a newcomer runs it: the first sale plays, the shop stays up, nothing is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.demo.client import Client

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240  # seconds, on a busy machine


def three_free_ports():
    """The demo takes a port and the two behind it."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, 3):
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


class Demo:
    """A demo of its own: engines, data and ports."""

    def __init__(self, home: Path, port: int) -> None:
        ours = {"SIYU_DATA": str(home), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        engines = ("DATABASE_URL", "REDIS_URL", "SIYU_ENV", "SECRET_KEY")
        inherited = {name: value for name, value in os.environ.items() if name not in engines}
        self.home, self.output = home, home / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.demo"],
                cwd=ROOT,
                env=inherited | ours,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_open(self) -> dict:
        end = time.monotonic() + PATIENCE
        while "The shop is open" not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.2)
        return json.loads((self.home / "demo.json").read_text())

    def end(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def left_behind(self) -> list[str]:
        """Command lines of living processes that know this demo's folder or ports."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if str(self.home).encode() in environment or str(self.home) in command:
                    found.append(command)
        return found


def gone(demo: Demo) -> list[str]:
    end = time.monotonic() + 30
    while (left := demo.left_behind()) and time.monotonic() < end:
        time.sleep(0.2)
    return left


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo")
    path.chmod(0o711)  # as root, PostgreSQL runs as another user
    return path


@pytest.fixture(scope="module")
def port():
    return three_free_ports()


@pytest.fixture(scope="module")
def demo(home, port):
    running = Demo(home, port)
    try:
        running.facts = running.wait_open()
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def test_every_step_of_the_first_sale_is_told(demo):
    told = demo.output.read_text()

    for step in (
        "logs in with WeChat",
        "joins 西湖茶业 by number",
        "¥268.00 (MEMBER), listed at ¥398.00",
        "leads to 会员专享 龙井礼盒",
        "guide 导购阿强",
        "pushed by the bank, matched",
        "1 matched",
        "paid on the phone, told by WeChat, verified",
        "the money is back in WeChat",
        "paid by a scanned code, told by Alipay, verified",
        "receipt confirmed",
        "导购阿强's commission: ¥26.80",
        "exactly 10 got one; {'SOLD_OUT': 40}",
        "every book is even",
    ):
        assert step in told, told


def test_the_shop_stays_up(demo):
    base = demo.facts["base_url"]

    ready = requests.get(f"{base}/readyz", timeout=10)
    assert (ready.status_code, set(ready.json().values())) == (200, {"ok"})
    assert requests.get(f"{base}/api/docs/", timeout=10).status_code == 200
    assert requests.get(f"{base}/api/schema/", timeout=10).status_code == 200
    login = requests.get(demo.facts["admin_url"], timeout=10)
    assert login.status_code == 200
    assert "Siyu" in login.text
    style = requests.get(f"{base}/static/unfold/css/styles.css", timeout=10)
    assert style.status_code == 200


def test_the_facts_for_scripts_are_as_the_api_page_says(demo):
    facts = demo.facts

    assert set(facts) >= {
        "base_url", "ws_url", "sandbox_url", "admin_url", "staff", "merchants", "live",
    }  # fmt: skip
    assert set(facts["staff"]) == {"platform", "merchant", "finance", "guide"}
    for merchant in facts["merchants"]:
        assert set(merchant) >= {"id", "name", "member_no", "products", "stores", "guides"}
    assert set(facts["live"]) == {"session", "lots"}
    for person in facts["staff"].values():
        assert Client(facts["base_url"]).staff(**person).get("me")["id"]
    buyer = Client(facts["base_url"]).wechat("任何人")
    session = buyer.get(f"live/sessions/{facts['live']['session']}")
    assert [lot["id"] for lot in session["lots"]] == facts["live"]["lots"]


def test_the_secrets_of_the_demo_are_for_its_owner_only(demo):
    for name in ("demo.json", "demo/secret_key", "demo/facts.json", "sandbox/shop_private.pem"):
        assert (demo.home / name).stat().st_mode & 0o077 == 0, name


def test_ctrl_c_leaves_nothing_and_the_second_start_keeps_the_data(demo, home, port):
    before = demo.facts["merchants"]
    demo.end()
    assert gone(demo) == []

    again = Demo(home, port)
    try:
        facts = again.wait_open()
        assert facts["merchants"] == before
        assert "up to date" in again.output.read_text()
    finally:
        again.end(signal.SIGKILL)
    assert gone(again) == []
