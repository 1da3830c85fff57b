from collections.abc import Iterator

import pytest

from tests.sandbox.alipay_shop import Shop, shop_of
from tests.sandbox_fixtures import Sandbox


@pytest.fixture
def shop(sandbox: Sandbox) -> Iterator[Shop]:
    with shop_of(sandbox) as here:
        yield here
