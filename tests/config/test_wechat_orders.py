"""Our client and WeChat's shipping information, over HTTP."""

from typing import Any

import pytest

from config.kit import wechat
from config.kit.wechat import WeChatBusy, WeChatMisconfigured, WeChatRejected
from tests.sandbox.conftest import hook, merchant  # noqa: F401
from tests.sandbox.merchant import OPENID, Merchant
from tests.sandbox.shipping import COMPANIES, ORDER
from tests.sandbox_fixtures import Sandbox

UPLOAD = f"{ORDER}/upload_shipping_info"


@pytest.fixture
def paid(merchant: Merchant) -> str:  # noqa: F811
    return str(merchant.paid()["transaction_id"])


def told(transaction_id: str, number: str = "ZT1", second: int = 0) -> dict[str, Any]:
    return {
        "order_key": {"order_number_type": 2, "transaction_id": transaction_id},
        "logistics_type": 1,
        "delivery_mode": 1,
        "shipping_list": [{"tracking_no": number, "express_company": "ZTO", "item_desc": "茶"}],
        "upload_time": f"2026-11-25T12:00:{second:02d}.000+08:00",
        "payer": {"openid": OPENID},
    }


def test_told_twice_is_told_once(paid: str) -> None:
    client = wechat.client()
    client.upload_shipping_info(told(paid))
    client.upload_shipping_info(told(paid, second=1))

    known = client.shipping_order(paid)
    assert known is not None
    assert known["order_state"] == 2
    assert known["shipping"]["finish_shipping_count"] == 1


def test_a_lost_answer_is_asked_for_again(sandbox: Sandbox, paid: str) -> None:
    sandbox.faults(UPLOAD, "reset")
    with pytest.raises(WeChatBusy):
        wechat.client().upload_shipping_info(told(paid))

    wechat.client().upload_shipping_info(told(paid, second=1))
    assert wechat.client().shipping_order(paid)["order_state"] == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("errcode", "error"),
    [(45009, WeChatBusy), (45011, WeChatBusy), (10060019, WeChatBusy), (48001, WeChatMisconfigured),
     (10060003, WeChatRejected)],
)  # fmt: skip
def test_what_an_errcode_means(
    sandbox: Sandbox, paid: str, errcode: int, error: type[Exception]
) -> None:
    sandbox.faults(UPLOAD, "errcode", errcode=errcode)

    with pytest.raises(error):
        wechat.client().upload_shipping_info(told(paid))


def test_half_an_answer_is_none(sandbox: Sandbox, paid: str) -> None:
    sandbox.faults(f"{ORDER}/get_order", "garbage")

    with pytest.raises(WeChatBusy):
        wechat.client().shipping_order(paid)


def test_a_payment_that_wechat_does_not_know(sandbox: Sandbox) -> None:
    assert wechat.client().shipping_order("4200002000000000000000000000") is None


def test_carriers_and_whether_all_this_is_needed(sandbox: Sandbox) -> None:
    assert wechat.client().delivery_companies()["顺丰速运"] == "SF"
    assert wechat.client().is_trade_managed()
    sandbox.control("shipping/managed", is_managed=False)
    assert not wechat.client().is_trade_managed()
    assert len(sandbox.journal(COMPANIES)) == 1


def test_the_question_to_the_buyer_is_never_repeated(sandbox: Sandbox, paid: str) -> None:
    wechat.client().upload_shipping_info(told(paid))
    sandbox.faults(f"{ORDER}/notify_confirm_receive", "reset")

    with pytest.raises(wechat.WeChatUnknown):
        wechat.client().notify_confirm_receive(paid, 1_800_000_000)
    assert len(sandbox.journal(f"{ORDER}/notify_confirm_receive")) == 1
