"""A merchant of WeChat Pay, with the public key; `sandbox` is fresh for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.merchant import Hook, Merchant, client, listening
from tests.sandbox_fixtures import Sandbox


@pytest.fixture
def hook(sandbox: Sandbox) -> Iterator[Hook]:
    with listening() as heard:
        yield heard
        sandbox.reset()


@pytest.fixture
def merchant(sandbox: Sandbox, hook: Hook, tmp_path: Path) -> Merchant:
    sandbox.control("wechat-pay/regime", regime="public_key")
    return Merchant(sandbox, hook, client(sandbox, "public_key", tmp_path))


@pytest.fixture
def old_merchant(sandbox: Sandbox, hook: Hook, tmp_path: Path) -> Merchant:
    """One that holds the platform's certificate."""
    return Merchant(sandbox, hook, client(sandbox, "certificate", tmp_path))
