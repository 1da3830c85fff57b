"""Pictures of the admin and of the API docs, into docs/images: `make screenshots`.

Starts a shop of its own, fills it through services, and leaves nothing behind.  With
`--base-url` (and `--staff demo.json`) it takes a shop that is running.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

from config.embedded import engines
from tests.engines import ENVIRONMENT
from tests.sandbox.alipay import signing, wire

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
LARGEST = 250_000  # bytes
DESKTOP, PHONE = (1280, 800), (390, 844)
QUEUE = "/admin/payments/statementline/queue/"
CLOSING = "/admin/payments/dayclose/"
FINANCE = "/admin/finance/"
COLUMNS = "/admin/payments/statement/map_columns/"
# What is done before the picture is taken: something is clicked, or a sample is uploaded.
SAMPLE = "a sample is uploaded"
# The page of a link that a buyer was given; a shop that is running has none for us.
CASHIER = "the link of a payment"
# Name, address, size, and what is done first.
PICTURES: list[tuple[str, str, tuple[int, int], list[str]]] = [
    ("admin-dashboard", "/admin/", DESKTOP, []),
    ("admin-orders", "/admin/shop/order/", DESKTOP, []),
    ("admin-queue", QUEUE, DESKTOP, ["text=赵雅琴"]),
    ("admin-queue-split", QUEUE, DESKTOP, ["text=赵雅琴", "[data-key=s]"]),
    ("admin-return-checks", "/admin/payments/linereturn/checks/", DESKTOP, []),
    ("admin-closing", CLOSING, DESKTOP, ["#result_list tbody a[href*='/dayclose/']"]),
    (
        "admin-policy",
        "/admin/payments/policy/",
        DESKTOP,
        ["#result_list tbody a[href*='/policy/']"],
    ),
    ("admin-columns", COLUMNS, DESKTOP, [SAMPLE, "[value=look]"]),
    ("admin-queue-phone", QUEUE, PHONE, []),
    ("admin-line-phone", QUEUE, PHONE, ["text=刘一鸣"]),
    ("admin-phone", "/admin/", PHONE, []),
    ("admin-finance", FINANCE, DESKTOP, []),
    ("admin-finance-phone", FINANCE, PHONE, []),
    ("cashier-phone", CASHIER, PHONE, []),
    ("api-docs", "/api/docs/", DESKTOP, []),
]
# What the platform alone sees whole.
OF_PLATFORM = {"admin-finance", "admin-finance-phone"}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--base-url", help="of a running shop; default: one of its own")
    asked.add_argument("--staff", type=Path, default=ROOT / ".data" / "demo.json")
    asked.add_argument("--into", type=Path, default=IMAGES)
    asked.add_argument("--more", nargs="*", default=[], help="further addresses, to look at")
    told = asked.parse_args()
    chromium = which("chromium") or which("chromium-browser")
    if not chromium:
        sys.exit("screenshots: no Chromium (apt-get install chromium)")
    told.into.mkdir(parents=True, exist_ok=True)
    if told.base_url:
        take(chromium, told.base_url, json.loads(told.staff.read_text())["staff"], told)
    else:
        with own_shop() as (base_url, staff, link):
            take(chromium, base_url, staff, told, link)


@contextmanager
def own_shop() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Throwaway engines, two weeks of trade, and a web server in front of it."""
    home = Path(tempfile.mkdtemp(prefix="siyu-pictures-"))
    home.chmod(0o711)
    running = engines(home, throwaway=True)
    environment = {
        **ENVIRONMENT,
        **alipay(home / "keys"),
        "DATABASE_URL": running.database_url,
        "REDIS_URL": running.redis_url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    os.environ.update(environment)
    try:
        staff, link = filled()
        with server() as base_url:
            yield base_url, staff, link
    finally:
        running.stop()


def alipay(home: Path) -> dict[str, str]:
    """An app there, so that its cashier page can be shown; nobody is asked."""
    held = signing.ensure(home)
    return {
        "ALIPAY_APP_ID": wire.APP_ID,
        "ALIPAY_SELLER_ID": wire.SELLER_ID,
        "ALIPAY_PRIVATE_KEY": str(held.app_private),
        "ALIPAY_PUBLIC_KEY": str(held.alipay_public),
        "ALIPAY_URL": "http://127.0.0.1:9/gateway.do",
    }


def filled() -> tuple[dict[str, Any], str]:
    """Django can be set up only now that the engines are known."""
    import django
    from django.core.management import call_command

    django.setup()
    import config.celery  # noqa: F401  services nudge the worker through this app
    from tests.browser import scene

    call_command("migrate", verbosity=0)
    return scene.make(), scene.give_link()


@contextmanager
def server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"),
        *("--port", str(port), "--workers", "1", "--blocking-threads", "4", "--log-level", "error"),
        "config.wsgi:application",
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        base_url = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{base_url}/healthz")
            yield base_url
        finally:
            process.terminate()


def wait_for(address: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=2):  # noqa: S310  our own server
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise SystemExit(f"screenshots: nothing answers at {address}")


def take(
    chromium: str,
    base_url: str,
    staff: dict[str, Any],
    told: argparse.Namespace,
    link: str = "",
) -> None:
    more = [
        (f"more-{n}-{name}", address, size, [])
        for n, address in enumerate(told.more)
        for name, size in (("desktop", DESKTOP), ("phone", PHONE))
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        windows = {}
        for who in ("merchant", "platform"):
            windows[who] = browser.new_page(locale="zh-CN", timezone_id="Asia/Shanghai")
            log_in(windows[who], base_url, staff[who])
        for name, address, (width, height), clicks in [*PICTURES, *more]:
            page = windows["platform" if name in OF_PLATFORM else "merchant"]
            page.set_viewport_size({"width": width, "height": height})
            if address == CASHIER and not link:
                continue
            page.goto(base_url + (link if address == CASHIER else address), wait_until="load")
            page.wait_for_load_state("networkidle")
            for click in clicks:
                if click == SAMPLE:
                    upload_a_sample(page)
                else:
                    page.click(click)
                page.wait_for_timeout(600)  # the next line is fetched
            page.wait_for_timeout(1200)  # the chart grows
            path = told.into / f"{name}.png"
            page.screenshot(path=path, full_page=name.startswith("more"))
            size = path.stat().st_size
            sys.stdout.write(f"{path.name:24} {size // 1000:4} kB\n")
            if size > LARGEST and not name.startswith("more"):
                raise SystemExit(f"screenshots: {path.name} is larger than {LARGEST} bytes")
        browser.close()


def upload_a_sample(page: Page) -> None:
    from tests.browser import scene

    content = scene.unknown_bank()
    page.select_option("[name=account_no]", index=1)
    file = {"name": "明细.csv", "mimeType": "text/csv", "buffer": content}
    page.set_input_files("[name=file]", file)
    page.click("#content button[type=submit]")


def log_in(page: Page, base_url: str, person: dict[str, str]) -> None:
    page.goto(f"{base_url}/admin/")
    page.fill("[name=username]", person["username"])
    page.fill("[name=password]", person["password"])
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{base_url}/admin/")


if __name__ == "__main__":
    main()
