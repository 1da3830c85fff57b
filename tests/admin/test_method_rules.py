"""The platform says which ways to pay are offered, with a note; merchants' finance reads theirs."""

from datetime import timedelta

import pytest

from payments.offering.models import MethodRule
from tests.admin.pages import fingerprint, fresh, nothing, opened, url
from tests.factories import NOON
from tests.payments.offered import NOTE, offer

pytestmark = pytest.mark.django_db
LABEL = "payments.MethodRule"
ADD = url(LABEL, "add")
TYPED = {
    "method": "BANK_TRANSFER",
    "merchant": "",
    "category": "",
    "status": "OFFERED",
    "clients": ["MINI_PROGRAM", "H5"],
    "from_fen": "",
    "to_fen": "",
    "limit_fen": "50000.00",
    "day_limit_fen": "",
    "text": "",
    "note": "财务负责人同意，见 2026-06 纪要",
    **nothing("events"),
}


@pytest.fixture
def client(platform):
    return opened(platform)


@pytest.fixture
def rule(db):
    return offer("BANK_TRANSFER", limit_fen=100_00)


def everybodys():
    """Merchants' own are on the stage."""
    return MethodRule.objects.filter(merchant="")


def page_of(rule):
    return url(LABEL, "change", rule.pk)


def seen(rule):
    return {"seen": fresh(rule).changed_at.isoformat()}


def test_the_platform_makes_a_rule_in_yuan_and_it_is_kept_who_and_why(client, platform):
    answer = client.post(ADD, TYPED)

    assert answer.status_code == 302, answer.context["errors"]
    rule = everybodys().get()
    assert (rule.method, rule.merchant, rule.category) == ("BANK_TRANSFER", "", "")
    assert (rule.status, rule.clients) == ("OFFERED", ["MINI_PROGRAM", "H5"])
    assert (rule.from_fen, rule.limit_fen, rule.day_limit_fen) == (None, 50_000_00, None)
    assert rule.enabled_by == platform.number
    assert rule.enabled_at is not None
    [event] = rule.events.all()
    assert (event.kind, event.actor) == ("MADE", platform.number)
    assert event.facts["note"] == ["", TYPED["note"]]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"note": ""}, "提供一种支付方式，必须写明合规说明"),
        ({"note": "  "}, "提供一种支付方式，必须写明合规说明"),
        ({"clients": []}, "请选择在哪里提供"),
        ({"from_fen": "2", "to_fen": "1"}, "金额“到”不能小于“从”"),
        ({"limit_fen": "0"}, "0.01"),
        ({"merchant": "M123"}, "没有这个商家编号，请核对"),
        ({"category": "teh"}, "没有这个类目代码，请核对"),
        ({"method": "ALIPAY_H5"}, "ALIPAY_H5"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_kept(client, typed, said):
    page = client.post(ADD, TYPED | typed, follow=True)

    assert said in page.content.decode()
    assert not everybodys().exists()


def test_a_rule_is_about_a_merchant_and_a_category_that_there_are(client, first):
    about = {"merchant": first.merchant.number, "category": "tea"}
    client.post(ADD, TYPED | about)
    rule = MethodRule.objects.get(**about)
    text = client.get(page_of(rule)).content.decode()

    assert f"{first.merchant.name} {first.merchant.number}" in text
    assert "茶叶 tea" in text


def test_a_second_rule_for_the_same_is_refused_in_words(client, rule):
    page = client.post(ADD, TYPED, follow=True)

    assert "已经有一条规则" in page.content.decode()
    assert everybodys().count() == 1


def test_a_change_is_shown_with_the_old_and_the_new_value(client, rule, platform):
    typed = TYPED | {"note": NOTE, "clients": ["MINI_PROGRAM", "H5", "ADMIN"]}
    client.post(page_of(rule), typed | {"limit_fen": ""} | seen(rule))
    text = client.get(page_of(rule)).content.decode()

    assert fresh(rule).limit_fen is None
    assert "单笔限额：¥100.00 → 不限" in text
    assert "状态：不提供 → 提供" in text
    assert platform.nickname in text
    assert NOTE in text


def test_what_somebody_else_has_withdrawn_is_not_offered_again_by_an_old_page(client, rule):
    old = seen(rule)
    offer("BANK_TRANSFER", limit_fen=100_00, status="WITHHELD", at=NOON + timedelta(hours=1))
    before = fingerprint()

    page = client.post(page_of(rule), TYPED | {"note": NOTE} | old, follow=True)

    assert "刚刚被别人修改" in page.content.decode()
    assert fingerprint() == before
    assert fresh(rule).status == "WITHHELD"


def test_a_merchants_finance_reads_its_own_rule_and_nothing_else(first, second, rule):
    clerk = opened(first.people["FINANCE"])
    mine, theirs = first.rows[LABEL], second.rows[LABEL]
    text = clerk.get(url(LABEL, "changelist")).content.decode()
    page = clerk.get(page_of(mine))

    assert first.merchant.number in text
    assert second.merchant.number not in text
    assert "全部商家" not in text
    assert NOTE in page.content.decode()
    assert 'name="limit_fen"' not in page.content.decode()
    before = fingerprint()
    for row in (mine, theirs, rule):
        assert clerk.post(page_of(row), TYPED | seen(row)).status_code in {302, 403}
    assert clerk.post(ADD, TYPED).status_code == 403
    assert fingerprint() == before


def test_nobody_deletes_a_rule(client, rule):
    assert client.post(url(LABEL, "delete", rule.pk), {"post": "yes"}).status_code == 403
    assert rule.events.count() == 1
