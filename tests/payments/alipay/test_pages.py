"""Our own cashier page: what it says, to whom, and what it never does."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils.timezone import now
from rest_framework.test import APIClient

from config.kit.models import IdempotencyKey
from payments.alipay import tasks
from payments.alipay.models import AlipayLink, AlipayTrade
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from tests.factories import client_of, key, make_user
from tests.payments import payable
from tests.payments.alipay.scene import give_up, link_of, status

pytestmark = pytest.mark.django_db
WECHAT = "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 MicroMessenger/8.0.50(0x18003231) NetType/4G"


@pytest.fixture
def link(scene):
    return scene.opened(123456, method="ALIPAY_LINK")


def text(answer):
    return answer.content.decode()


def test_the_page_shows_payee_amount_order_time_and_the_way_to_alipay(scene, link):
    answer = scene.page(link)

    assert answer.status_code == 200
    for word in ("西湖茶业", "1,234.56", link.reference, "付款截止", "剩余时间", "打开支付宝付款"):
        assert word in text(answer)
    assert f'href="{link_path(link)}/alipay"' in text(answer)


def test_what_is_no_merchants_is_paid_to_the_platform(scene, link, settings):
    settings.MERCHANT_NAME = "members.merchants.queries.name_of"
    settings.PLATFORM_NAME = "杭州私域科技有限公司"

    assert "杭州私域科技有限公司" in text(scene.page(link))


def link_path(payment):
    return urlsplit(link_of(payment)).path


def test_it_is_nobody_else_s_nothing_of_it_is_kept_and_no_script_stands_in_it(scene, link):
    answer = scene.page(link)

    assert answer["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Robots-Tag"] == "noindex"
    assert not answer.cookies
    page = text(answer)
    assert "style=" not in page
    assert page.count("<script") == page.count("<script src=") == 1
    assert "//" not in page.replace(link_of(link), "")


def test_looking_changes_nothing_and_only_the_button_hands_anything_out(scene, link):
    scene.page(link)
    scene.page(link, "/state")
    assert AlipayTrade.objects.get().offered_until is None

    scene.leave(link)
    assert AlipayTrade.objects.get().offered_until is not None


def test_the_button_pressed_again_leads_to_the_same_trade(scene, link):
    scene.follow(link)
    scene.follow(link)

    assert list(scene.trades()) == [link.number]


def test_in_wechat_the_link_is_to_be_copied_and_the_button_leads_nowhere(scene, link):
    answer = scene.page(link, HTTP_USER_AGENT=WECHAT)

    assert "请复制链接到手机浏览器打开" in text(answer)
    assert "复制链接</button>" in text(answer)
    assert link_of(link) in text(answer)
    assert "打开支付宝付款" not in text(answer)
    left = scene.page(link, "/alipay", HTTP_USER_AGENT=WECHAT)
    assert (left.status_code, left["Location"]) == (302, link_path(link))
    assert AlipayTrade.objects.get().offered_until is None


def ended(scene, payment, page, words):
    """The page of that state, and no way to pay from it."""
    assert scene.page(payment, "/state").json() == {"page": page}
    shown = text(scene.page(payment))
    assert words in shown
    assert "/alipay" not in shown
    for path in ("/alipay", "/back"):
        answer = scene.page(payment, path)
        assert (answer.status_code, answer["Location"]) == (302, link_path(payment))


def test_once_paid_it_says_so_and_opens_nothing(scene):
    ended(scene, scene.paid(9900, method="ALIPAY_LINK"), "PAID", "支付成功")


def test_once_closed_it_says_so_and_opens_nothing(scene, link):
    give_up(link)
    cashier.close(purpose="ORDER", references=[link.reference], at=now())

    ended(scene, link, "CLOSED", "已取消")


def test_once_its_time_is_over_it_says_so_and_opens_nothing(scene, link):
    AlipayLink.objects.update(expires_at=now())
    Payment.objects.update(pay_before=now())

    ended(scene, link, "EXPIRED", "已过期")


def test_who_paid_too_late_reads_that_it_goes_back(scene, link):
    scene.follow(link)
    scene.pay(link)
    cashier.close(purpose="ORDER", references=[link.reference], at=now())
    scene.deliver()

    ended(scene, link, "RETURNED", "原路退回")


def test_coming_back_from_alipay_proves_nothing(scene, link):
    scene.follow(link)
    claims = "?trade_status=TRADE_SUCCESS&total_amount=1234.56&method=alipay.trade.wap.pay.return"

    answer = scene.page(link, f"/back{claims}")

    assert "确认中" in text(answer)
    assert "支付成功" not in text(answer)
    assert status(link) == "WAITING"


def test_coming_back_from_alipay_is_worth_a_question(
    scene, link, django_capture_on_commit_callbacks, monkeypatch
):
    scene.follow(link)
    scene.switch("drop")
    scene.pay(link)
    asked = []
    monkeypatch.setattr(tasks.ask_payment, "apply_async", lambda kwargs, **_: asked.append(kwargs))

    with django_capture_on_commit_callbacks(execute=True):
        scene.page(link, "/back")
    assert asked == [{"payment_id": link.pk}]

    tasks.ask_payment(**asked[0])
    assert status(link) == "CONFIRMED"


def test_what_is_paid_another_way_is_not_paid_here(scene, link, monkeypatch):
    def nothing_due(**asked):
        raise payable.Shipped

    monkeypatch.setattr(payable, "due", nothing_due)

    answer = scene.page(link, "/alipay")

    assert (answer.status_code, "已发货" in text(answer)) == (409, True)
    assert AlipayTrade.objects.get().offered_until is None


def test_when_alipay_is_silent_the_page_says_so_and_may_be_tried_again(scene, link):
    scene.follow(link)
    scene.grow_old(timedelta(minutes=14))  # so that it is asked before another is handed out
    scene.switch("error_before")

    answer = scene.page(link, "/alipay")
    assert (answer.status_code, "支付渠道暂时没有应答" in text(answer)) == (503, True)

    assert "¥1234.56" in scene.follow(link)


def test_the_link_is_kept_nowhere_in_clear(scene):
    buyer, asked = make_user(), {"order": "A-KEPT", "method": "ALIPAY_LINK"}
    payable.told.amounts["A-KEPT"] = 100
    once = key()
    first = client_of(buyer).post("/api/v1/payments", asked, format="json", **once)
    again = client_of(buyer).post("/api/v1/payments", asked, format="json", **once)
    other = client_of(buyer).post("/api/v1/payments", asked, format="json", **key())

    urls = {answer.json()["instructions"]["pay_url"] for answer in (first, again, other)}
    assert len(urls) == 1
    token = urls.pop().rpartition("/")[2]
    assert len(token) == 43
    kept = [bytes(row.answer or b"").decode() for row in IdempotencyKey.objects.all()]
    assert len(kept) == 2
    assert not any(token in answer for answer in kept)
    assert AlipayLink.objects.get().token_hash not in {token, ""}


def test_after_a_change_of_the_secret_old_links_die_and_new_ones_are_given(scene, link, settings):
    old = link_path(link)
    settings.SECRET_KEY = "another" * 10
    assert scene.instructions(link) == {}
    assert Client().get(old).status_code == 200  # until a new one is given

    cashier.prepare(payment=link, at=now())

    assert scene.page(link).status_code == 200
    assert Client().get(old).status_code == 404


def test_a_wrong_link_shows_nothing_and_guessing_ends_soon(scene, link):
    wrong = Client().get("/pay/" + "A" * 43)
    assert (wrong.status_code, "链接无效" in text(wrong)) == (404, True)
    assert wrong["Content-Security-Policy"].startswith("default-src 'none'")
    for path in ("/pay/x", "/pay/x/alipay", "/pay/x/back", "/pay/x/state", "/pay/%00"):
        assert Client().get(path).status_code == 404

    answers = [Client().get(f"/pay/guess{n}").status_code for n in range(30)]
    assert answers[-1] == 429
    assert Client().get("/pay/guess")["Retry-After"]
    # A shared address must not keep the others out.
    assert scene.page(link).status_code == 200


def test_a_link_is_not_to_be_hammered(scene, link):
    answers = [scene.page(link, "/state").status_code for _ in range(95)]

    assert answers[:90] == [200] * 90
    assert answers[-1] == 429


def test_nothing_is_posted_to_it(scene, link):
    for path in ("", "/alipay", "/back", "/state"):
        for ask in (APIClient().post, APIClient().head, APIClient().put):
            assert ask(link_path(link) + path).status_code == 405
    assert AlipayTrade.objects.get().offered_until is None


def test_without_alipay_there_is_no_page_and_no_hook(scene, link, settings):
    path = link_path(link)
    settings.ALIPAY = {}

    assert Client().get(path).status_code == 404
    assert scene.hand_over(b"")[0] == 404


def test_a_notice_that_is_too_long_is_not_read(scene):
    assert scene.hand_over(b"x" * 65_537)[0] == 413


@pytest.mark.parametrize("accept", ["text/html", "*/*", "image/png", ""])
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_the_answer_is_seven_bytes_whatever_alipay_would_like(scene, accept, content_type):
    payment = scene.opened()
    scene.pay(payment)
    [letter] = scene.letters()

    said = scene.hand_over(letter, content_type, HTTP_ACCEPT=accept)

    assert said == (200, b"success")
