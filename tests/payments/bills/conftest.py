from collections.abc import Iterator

import pytest

from tests.payments.alipay.conftest import scene as alipay_scene  # noqa: F401
from tests.payments.alipay.scene import Scene as AlipayScene
from tests.payments.bills.past import AlipayPast, Past, behind
from tests.payments.wechat_pay.conftest import sandbox, sandbox_process, scene  # noqa: F401
from tests.payments.wechat_pay.scene import Scene


@pytest.fixture
def past(scene: Scene) -> Past:  # noqa: F811
    """WeChat Pay two days ago, at noon."""
    past = Past(scene)
    past.go(days=2, hour=12)
    return past


@pytest.fixture
def alipay_past(alipay_scene: AlipayScene) -> AlipayPast:  # noqa: F811
    past = AlipayPast(alipay_scene)
    past.go(days=2, hour=12)
    return past


@pytest.fixture(params=["past", "alipay_past"])
def either(request: pytest.FixtureRequest) -> Past:
    """One channel after the other."""
    past: Past = request.getfixturevalue(request.param)
    return past


@pytest.fixture
def forger(scene: Scene, settings) -> Iterator[dict[str, bytes]]:  # noqa: F811
    """Somebody between us and WeChat Pay: bills come down as he has them, if he has one."""
    with behind(scene.sandbox.base_url) as (address, forged):
        settings.WECHAT_PAY = {**settings.WECHAT_PAY, "base_url": address}
        yield forged


@pytest.fixture
def alipay_forger(alipay_scene: AlipayScene, settings) -> Iterator[dict[str, bytes]]:  # noqa: F811
    with behind(alipay_scene.sandbox.base_url) as (address, forged):
        settings.ALIPAY = {**settings.ALIPAY, "gateway": f"{address}/alipay/gateway.do"}
        yield forged
