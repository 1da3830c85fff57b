"""What WeChat pushes: sealed by somebody else's library, opened by ours."""

import json
from datetime import timedelta

import pytest
from django.utils.timezone import now
from wechatpy.crypto import WeChatCrypto

from config.kit.wechat_push import PushRefused, Seal
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_mail import KEY, TOKEN, signed

SEAL = Seal(TOKEN, KEY, APPID)
EVENT = {"Event": "trade_manage_remind_shipping", "msg": "请尽快发货"}


def push(*, appid=APPID, ago=0, event=EVENT):
    """Query and body as wechatpy makes them."""
    at = str(int(now().timestamp()) - ago)
    text = json.dumps(event, ensure_ascii=False)
    made = WeChatCrypto(TOKEN, KEY, appid).encrypt_message(text, "nonce", at)
    sealed = made.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    query = {"timestamp": at, "nonce": "nonce", "msg_signature": signed(TOKEN, at, "nonce", sealed)}
    return query, json.dumps({"ToUserName": "gh", "Encrypt": sealed}).encode()


def test_what_a_library_sealed_is_opened():
    query, body = push()

    assert SEAL.open(query, body, now()) == EVENT


def test_the_vector_of_the_documentation():
    """https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html"""
    query = {
        "timestamp": "1714036504",
        "nonce": "1514711492",
        "signature": "f464b24fc39322e44b38aa78f5edd27bd1441696",
        "echostr": "4375120948345356249",
    }

    assert Seal("AAAAA", KEY, APPID).echo(query) == "4375120948345356249"


@pytest.mark.parametrize("query", [{}, {"signature": ""}, {"signature": "é", "echostr": "x"}])
def test_who_cannot_sign_is_told_nothing(query):
    with pytest.raises(PushRefused):
        SEAL.echo(query)


@pytest.mark.parametrize("change", [
    {"appid": "wx0000000000000000"}, {"ago": 3600}, {"ago": -3600}, {"event": ["a list"]},
])  # fmt: skip
def test_of_another_app_or_another_time_or_no_event(change):
    query, body = push(**change)

    with pytest.raises(PushRefused):
        SEAL.open(query, body, now())


def test_the_other_signature_does_not_do():
    """`signature` is over token, time and nonce only: whoever saw one could send anything."""
    query, body = push()
    query["msg_signature"] = signed(TOKEN, query["timestamp"], query["nonce"])

    with pytest.raises(PushRefused):
        SEAL.open(query, body, now())


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"Encrypt": 5}', b'{"Encrypt": ""}', b"\xff", b"{"]
)
def test_what_is_no_sealed_message(body):
    query, _ = push()
    if body == b'{"Encrypt": ""}':
        query["msg_signature"] = signed(TOKEN, query["timestamp"], query["nonce"], "")

    with pytest.raises(PushRefused):
        SEAL.open(query, body, now())


def test_old_by_the_clock_of_who_receives():
    query, body = push()

    with pytest.raises(PushRefused):
        SEAL.open(query, body, now() + timedelta(minutes=11))
