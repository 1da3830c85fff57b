"""The distribution's Chromium, driven from inside pytest."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HERE = Path(__file__).parent

# Playwright runs an event loop in this thread, and Django then guards its ORM against itself.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="no Chromium: apt-get install chromium"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser a module; its event loop ends with it, or later tests would find it running."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A fresh window of an English browser, wide unless told narrow; it notes what went wrong."""
    size = {"desktop": (1280, 800), "phone": (390, 844)}[getattr(request, "param", "desktop")]
    context = chromium.new_context(
        locale="en-US",
        timezone_id="America/New_York",
        viewport={"width": size[0], "height": size[1]},
    )
    page = context.new_page()
    page.wrongs = []
    page.asked = []
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.on("pageerror", lambda error: page.wrongs.append(str(error)))
    page.on(
        "console",
        lambda said: page.wrongs.append(said.text) if said.type == "error" else None,
    )
    yield page
    context.close()
