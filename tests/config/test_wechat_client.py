"""Our WeChat client against the WeChat of the sandbox, over HTTP."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import Atomic
from pytest_django import Settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.kit import wechat
from config.kit.redis import connection
from tests.sandbox_fixtures import Sandbox, forget_token

TOKEN = "/cgi-bin/stable_token"
LOGIN = "/sns/jscode2session"
CODE = "/wxa/getwxacodeunlimit"
SEND = "/cgi-bin/message/subscribe/send"
TEMPLATE = "tmpl_order_paid_0001"
PAGE = "pages/product/detail"


def send(openid: str, **values: str) -> None:
    wechat.client().send_subscribe_message(
        openid=openid, template_id=TEMPLATE, values=values or {"thing1": "订单已发货"}
    )


# --- login ----------------------------------------------------------------------------------------


def test_a_login_code_tells_who_it_is_without_any_access_token(sandbox: Sandbox) -> None:
    session = wechat.client().code2session(sandbox.code("小红"))

    assert session.openid == sandbox.openid("小红")
    assert len(session.openid) == 28
    assert session.openid[0] == "o"
    assert session.unionid
    assert session.session_key not in repr(session)
    assert not sandbox.journal(TOKEN)
    assert "access_token" not in sandbox.journal(LOGIN)[0]["query"]


def test_the_code_of_a_name_logs_the_same_person_in_each_time(sandbox: Sandbox) -> None:
    first = wechat.client().code2session("sandbox:小红")
    again = wechat.client().code2session("sandbox:小红")
    other = wechat.client().code2session("sandbox:小明")

    assert first.openid == again.openid != other.openid


def test_a_used_code_is_refused(sandbox: Sandbox) -> None:
    code = sandbox.code("小红")
    wechat.client().code2session(code)

    with pytest.raises(wechat.CodeRefused) as refused:
        wechat.client().code2session(code)

    assert refused.value.status == 401
    assert str(refused.value) == "登录凭证无效或已使用"
    assert [entry["errcode"] for entry in sandbox.journal(LOGIN)] == [0, 40163]


def test_an_expired_code_is_refused(sandbox: Sandbox) -> None:
    code = sandbox.code("小红")
    sandbox.move_clock(301)

    with pytest.raises(wechat.CodeRefused):
        wechat.client().code2session(code)

    assert sandbox.journal(LOGIN)[0]["errcode"] == 40029


@pytest.mark.parametrize("code", ["", "nonsense", "sandbox:", "x" * 2000])
def test_an_unknown_code_is_refused(sandbox: Sandbox, code: str) -> None:
    with pytest.raises(wechat.CodeRefused):
        wechat.client().code2session(code)


def test_a_blocked_person_is_refused(sandbox: Sandbox) -> None:
    sandbox.openid("坏人", blocked=True)

    with pytest.raises(wechat.CodeRefused):
        wechat.client().code2session(sandbox.code("坏人"))

    assert sandbox.journal(LOGIN)[0]["errcode"] == 40226


def test_one_person_logging_in_all_the_time_is_told_to_wait(sandbox: Sandbox) -> None:
    for _ in range(100):
        wechat.client().code2session(sandbox.code("小红"))

    with pytest.raises(wechat.WeChatBusy) as busy:
        wechat.client().code2session(sandbox.code("小红"))

    assert busy.value.details["retry_after"] == 60
    wechat.client().code2session(sandbox.code("小明"))


@pytest.mark.parametrize("wrong", ["WECHAT_APPID", "WECHAT_SECRET"])
def test_a_wrong_appid_or_secret_is_for_a_person_to_repair(
    sandbox: Sandbox, settings: Settings, wrong: str
) -> None:
    setattr(settings, wrong, "wx0000000000000000")

    with pytest.raises(wechat.WeChatMisconfigured):
        wechat.client().code2session(sandbox.code("小红"))


def test_an_access_token_in_a_login_would_be_noticed(sandbox: Sandbox) -> None:
    answer = sandbox.get(f"{LOGIN}?appid=a&secret=b&js_code=c&access_token=t")

    assert answer.status_code == 400


# --- faults ---------------------------------------------------------------------------------------


def test_a_busy_wechat_is_asked_again(sandbox: Sandbox) -> None:
    sandbox.faults(LOGIN, "errcode", times=3, errcode=-1)

    wechat.client().code2session(sandbox.code("小红"))

    assert [entry["errcode"] for entry in sandbox.journal(LOGIN)] == [-1, -1, -1, 0]


def test_a_wechat_that_stays_busy_is_a_503_with_a_time(sandbox: Sandbox) -> None:
    sandbox.faults(LOGIN, "errcode", times=99, errcode=-1)

    with pytest.raises(wechat.WeChatBusy) as busy:
        wechat.client().code2session(sandbox.code("小红"))

    assert busy.value.status == 503
    assert busy.value.code == "WECHAT_BUSY"
    assert len(sandbox.journal(LOGIN)) == 4


@pytest.mark.parametrize("kind", ["error_before", "error_after", "garbage", "reset"])
def test_half_an_answer_is_no_answer(sandbox: Sandbox, kind: str) -> None:
    sandbox.faults(LOGIN, kind)

    with pytest.raises(wechat.WeChatBusy):
        wechat.client().code2session(sandbox.code("小红"))

    assert len(sandbox.journal(LOGIN)) == 1


def test_a_slow_wechat_is_not_waited_for(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat.client(), "timeout", (0.3, 0.3))
    sandbox.faults(TOKEN, "slow", seconds=1.5)

    with pytest.raises(wechat.WeChatBusy):
        wechat.client().unlimited_qr_code("g=A1", PAGE)


def test_nobody_at_the_address_is_busy_and_tells_no_secret(
    sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WECHAT_API_BASE_URL = "http://127.0.0.1:9"
    caplog.set_level(logging.DEBUG)

    with pytest.raises(wechat.WeChatBusy) as busy:
        wechat.client().code2session("sandbox:小红")

    assert busy.value.__cause__ is None
    assert busy.value.__suppress_context__
    assert settings.WECHAT_SECRET not in caplog.text


def test_nothing_secret_is_logged(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session = wechat.client().code2session("sandbox:小红")
    wechat.client().unlimited_qr_code("g=A1", PAGE)

    for secret in (session.session_key, wechat.client().secret, wechat.client().access_token):
        assert secret not in caplog.text


def test_a_call_inside_a_transaction_is_a_mistake(sandbox: Sandbox) -> None:
    database = connections[DEFAULT_DB_ALIAS]
    database.atomic_blocks.append(Atomic(DEFAULT_DB_ALIAS, savepoint=True, durable=False))
    try:
        with pytest.raises(AssertionError, match="transaction"):
            wechat.client().code2session("sandbox:小红")
    finally:
        database.atomic_blocks.pop()

    assert not sandbox.journal(LOGIN)


# --- the token ------------------------------------------------------------------------------------


def test_eight_threads_with_no_token_fetch_one(sandbox: Sandbox) -> None:
    forget_token()
    together = threading.Barrier(8)

    def draw(number: int) -> bytes:
        together.wait(5)
        return wechat.client().unlimited_qr_code(f"g=A{number}", PAGE)

    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(draw, range(8)))

    assert len(set(images)) == 8
    assert len(sandbox.journal(TOKEN)) == 1


def test_without_the_lock_each_of_eight_threads_would_fetch(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: the race is real."""
    forget_token()
    together = threading.Barrier(8)
    client = wechat.client()

    def unguarded(stale: str = "") -> str:
        together.wait(5)
        return str(client._ask_token()[0])

    monkeypatch.setattr(client, "fetch_access_token", unguarded)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.unlimited_qr_code(f"g=A{n}", PAGE), range(8)))

    assert len(sandbox.journal(TOKEN)) == 8


def test_the_token_is_kept_until_five_minutes_before_its_end(sandbox: Sandbox) -> None:
    wechat.client().unlimited_qr_code("g=A1", PAGE)
    wechat.client().unlimited_qr_code("g=A2", PAGE)

    assert len(sandbox.journal(TOKEN)) == 1
    assert 6800 < connection().ttl(wechat.client()._token_key) <= 6900


def test_an_expired_token_is_healed_once(sandbox: Sandbox) -> None:
    wechat.client().unlimited_qr_code("g=A1", PAGE)
    sandbox.move_clock(7201)

    wechat.client().unlimited_qr_code("g=A2", PAGE)

    assert [entry["errcode"] for entry in sandbox.journal(CODE)] == [0, 42001, 0]
    assert len(sandbox.journal(TOKEN)) == 2


def test_eight_threads_with_an_expired_token_fetch_one(sandbox: Sandbox) -> None:
    wechat.client().unlimited_qr_code("g=A1", PAGE)
    sandbox.move_clock(7201)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: wechat.client().unlimited_qr_code(f"g=B{n}", PAGE), range(8)))

    assert len(sandbox.journal(TOKEN)) == 2


def test_a_token_that_is_never_good_costs_three_calls_at_most(sandbox: Sandbox) -> None:
    wechat.client().unlimited_qr_code("g=A1", PAGE)
    before = len(sandbox.journal())
    sandbox.faults(CODE, "errcode", times=99, errcode=40001)

    with pytest.raises(wechat.WeChatMisconfigured):
        wechat.client().unlimited_qr_code("g=A2", PAGE)

    assert len(sandbox.journal()) - before <= 3


def test_without_redis_the_token_is_fetched_for_each_call(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(wechat, "connection", lambda: nowhere)

    assert wechat.client().unlimited_qr_code("g=A1", PAGE)
    assert wechat.client().unlimited_qr_code("g=A2", PAGE)

    assert len(sandbox.journal(TOKEN)) == 2


# --- code images ----------------------------------------------------------------------------------


def test_a_code_image_is_a_png_of_its_scene_and_page(sandbox: Sandbox) -> None:
    image = wechat.client().unlimited_qr_code("g=A1B2C3,p=7", PAGE)
    other = wechat.client().unlimited_qr_code("g=A1B2C3,p=8", PAGE)

    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert image != other
    asked = sandbox.journal(CODE)[0]["body"]
    assert (asked["scene"], asked["page"]) == ("g=A1B2C3,p=7", PAGE)


@pytest.mark.parametrize(
    ("scene", "page", "more", "errcode"),
    [
        ("", PAGE, {}, 40169),
        ("x" * 33, PAGE, {}, 40169),
        ("导购", PAGE, {}, 40129),
        ("100%", PAGE, {}, 40129),
        ("scancode_time=1", PAGE, {}, 85096),
        ("g=A1", f"/{PAGE}", {}, 41030),
        ("g=A1", f"{PAGE}?id=1", {}, 41030),
        ("g=A1", "pages/unreleased/index", {}, 41030),
        ("g=A1", PAGE, {"env_version": "beta"}, 40097),
        ("g=A1", PAGE, {"width": 100}, 40097),
    ],
)
def test_a_code_that_wechat_would_refuse_is_our_mistake(
    sandbox: Sandbox, scene: str, page: str, more: dict[str, Any], errcode: int
) -> None:
    with pytest.raises(wechat.WeChatRejected) as rejected:
        wechat.client().unlimited_qr_code(scene, page, **more)

    assert rejected.value.errcode == errcode


# --- subscribe messages ---------------------------------------------------------------------------


def test_one_accepted_prompt_is_one_message(sandbox: Sandbox) -> None:
    openid = sandbox.openid("小红")
    sandbox.credit(openid, TEMPLATE)
    send(openid, thing1="云南小粒咖啡", amount2="12.30元", time3="2026-11-22 18:00")

    with pytest.raises(wechat.NotSubscribed):
        send(openid)

    assert [entry["errcode"] for entry in sandbox.journal(SEND)] == [0, 43101]


@pytest.mark.parametrize(
    "values",
    [
        {"thing1": "x" * 21},
        {"phrase1": "已经发货了哦"},
        {"amount2": "12.345元"},
        {"phone_number3": "1" * 18},
        {"whatever4": "x"},
    ],
)
def test_a_value_over_its_limit_is_our_mistake_and_uses_nothing_up(
    sandbox: Sandbox, values: dict[str, str]
) -> None:
    openid = sandbox.openid("小红")
    sandbox.credit(openid, TEMPLATE)

    with pytest.raises(wechat.WeChatRejected) as rejected:
        send(openid, **values)

    assert rejected.value.errcode == 47003
    send(openid)


def test_two_sends_to_one_person_at_once_collide(sandbox: Sandbox) -> None:
    openid = sandbox.openid("小红")
    sandbox.credit(openid, TEMPLATE, credits=8)
    together = threading.Barrier(4)

    def try_it(_: int) -> str:
        together.wait(5)
        try:
            send(openid)
        except wechat.WeChatBusy:
            return "busy"
        return "sent"

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(try_it, range(4)))

    assert {"sent", "busy"} == set(said)
    assert 43108 in {entry["errcode"] for entry in sandbox.journal(SEND)}


@pytest.mark.parametrize("kind", ["error_after", "reset", "garbage"])
def test_a_send_whose_answer_is_lost_is_not_sent_again(sandbox: Sandbox, kind: str) -> None:
    openid = sandbox.openid("小红")
    sandbox.credit(openid, TEMPLATE, credits=2)
    sandbox.faults(SEND, kind)

    with pytest.raises(wechat.WeChatUnknown):
        send(openid)

    assert len(sandbox.journal(SEND)) == 1


def test_a_path_that_wechat_does_not_have_fails_loudly(sandbox: Sandbox) -> None:
    with pytest.raises(wechat.WeChatMisconfigured):
        wechat.client()._request("get", f"{wechat.OFFICIAL}/wxa/no_such_thing")

    assert sandbox.journal("/wxa/no_such_thing")[0]["status"] == 404
