"""S002.43: who says what of a way to pay, why it is allowed, and that it is all kept."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from payments.offering import services
from payments.offering.models import MethodRule, MethodRuleEvent
from payments.offering.queries import findings, rules_about
from tests.factories import NOON
from tests.payments.offered import NOTE, offer

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)


def row(**changes):
    """Past the service: what the database itself has to refuse."""
    values = {
        "method": "ALIPAY_LINK",
        "status": "OFFERED",
        "clients": ["MINI_PROGRAM"],
        "note": NOTE,
        "enabled_by": "UPLAT",
        "enabled_at": NOON,
        "changed_at": NOON,
    }
    return MethodRule.objects.create(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"note": ""}, "method_rule_offered_has_compliance_note"),
        ({"note": " \n"}, "method_rule_offered_has_compliance_note"),
        ({"enabled_by": ""}, "method_rule_offered_says_who_and_when"),
        ({"enabled_at": None}, "method_rule_offered_says_who_and_when"),
        ({"clients": []}, "method_rule_offered_somewhere"),
        ({"clients": ["TV"]}, "method_rule_clients_known"),
        ({"status": "MAYBE"}, "method_rule_status_known"),
        ({"method": "ALIPAY_H5"}, "method_rule_no_alipay_inside_wechat"),
        ({"from_fen": 2, "to_fen": 1}, "method_rule_amounts_in_order"),
        ({"limit_fen": 0}, "method_rule_limits_let_something_through"),
        ({"day_limit_fen": 0}, "method_rule_limits_let_something_through"),
    ],
)
def test_the_database_refuses_a_rule_that_must_not_be(changes, name):
    row(method="ALIPAY_QR")
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        row(**changes)


def test_the_database_has_one_rule_for_a_scope():
    row()
    with pytest.raises(IntegrityError, match="method_rule_once_per_scope"), transaction.atomic():
        row()
    row(merchant="M1")
    row(category="tea")


def test_a_rule_is_never_deleted_and_what_was_changed_never_altered():
    rule = offer("ALIPAY_LINK")
    for rows in (MethodRuleEvent.objects.all(), MethodRule.objects.filter(pk=rule.pk)):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows._raw_delete(rows.db)
    with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic():
        rule.events.update(actor="UNOBODY")


@pytest.mark.parametrize(
    ("method", "values", "refusal"),
    [
        ("ALIPAY_LINK", {"note": ""}, services.ComplianceNoteMissing),
        ("ALIPAY_LINK", {"note": "  "}, services.ComplianceNoteMissing),
        ("ALIPAY_LINK", {"clients": []}, services.OfferedNowhere),
        ("ALIPAY_H5", {"clients": ["MINI_PROGRAM", "H5"]}, services.NotInThisClient),
        ("WECHAT", {"clients": ["MINI_PROGRAM", "H5"]}, services.NotInThisClient),
        ("ALIPAY_LINK", {"from_fen": 200, "to_fen": 100}, services.AmountsOutOfOrder),
        ("ALIPAY_LINK", {"limit_fen": 0}, services.AmountsOutOfOrder),
    ],
)
def test_the_service_refuses_in_words_and_nothing_is_kept(method, values, refusal):
    with pytest.raises(refusal):
        offer(method, **values)

    assert not MethodRule.objects.exists()
    assert not MethodRuleEvent.objects.exists()


def change(at=LATER, actor="UOTHER", **values):
    return services.set_rule(method="ALIPAY_LINK", values=values, actor=actor, at=at)


def test_each_change_is_an_event_with_the_old_and_the_new():
    offer("ALIPAY_LINK", limit_fen=500_00)
    change(limit_fen=300_00)
    change(status="WITHHELD")
    change(status="OFFERED", note="复核通过")

    told = list(MethodRuleEvent.objects.order_by("pk").values_list("kind", "actor", "facts"))
    assert [kind for kind, *_ in told] == ["MADE", "CHANGED", "WITHHELD", "OFFERED"]
    assert told[0][2]["note"] == ["", NOTE]
    assert told[1:] == [
        ("CHANGED", "UOTHER", {"limit_fen": [500_00, 300_00]}),
        ("WITHHELD", "UOTHER", {"status": ["OFFERED", "WITHHELD"]}),
        ("OFFERED", "UOTHER", {"status": ["WITHHELD", "OFFERED"], "note": [NOTE, "复核通过"]}),
    ]


def test_it_is_kept_who_enabled_it_and_when():
    rule = offer("ALIPAY_LINK")
    assert (rule.enabled_by, rule.enabled_at) == ("UPLAT", NOON)

    assert change(limit_fen=1).enabled_by == "UPLAT"
    change(status="WITHHELD")
    again = change(status="OFFERED")

    assert (again.enabled_by, again.enabled_at) == ("UOTHER", LATER)


def test_the_note_of_what_is_offered_cannot_be_taken_away():
    offer("ALIPAY_LINK")
    with pytest.raises(services.ComplianceNoteMissing):
        change(note="")

    assert MethodRule.objects.get().note == NOTE


def test_saying_the_same_again_is_no_event():
    offer("ALIPAY_LINK")
    offer("ALIPAY_LINK", at=LATER)

    assert MethodRuleEvent.objects.count() == 1
    assert MethodRule.objects.get().changed_at == NOON


def test_what_is_withheld_needs_no_note():
    assert change(status="WITHHELD").note == ""


def test_a_merchants_things_are_ruled_by_its_own_and_everybodys_rules():
    offer("ALIPAY_LINK")
    offer("ALIPAY_LINK", merchant="M1")
    offer("ALIPAY_LINK", merchant="M2")
    offer("ALIPAY_QR", merchant="M1")
    offer("ALIPAY_QR", status="VOID")

    found = {(rule.method, rule.merchant) for rule in rules_about(merchant="M1")}
    assert found == {("ALIPAY_LINK", ""), ("ALIPAY_LINK", "M1"), ("ALIPAY_QR", "M1")}
    assert len(rules_about(merchant="M1", method="ALIPAY_QR")) == 1


# --- the audit ----------------------------------------------------------------------------------


def test_the_audit_is_content_with_what_went_through_the_service():
    offer("ALIPAY_LINK", limit_fen=500_00)
    change(limit_fen=None, clients=["H5"])
    change(status="VOID")
    offer("BANK_TRANSFER", merchant="M1", status="WITHHELD", clients=[], note="")

    assert list(findings()) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"limit_fen": None}, "单笔限额(分)"),
        ({"status": "WITHHELD"}, "状态"),
        ({"note": "别的理由"}, "合规说明"),
        ({"clients": ["H5"]}, "在哪里提供"),
    ],
)
def test_the_audit_notices_a_rule_that_was_changed_past_the_service(changes, named):
    offer("ALIPAY_LINK", limit_fen=500_00)
    MethodRule.objects.update(**changes)

    assert list(findings()) == [f"收银台规则 支付宝链接 全部商家 与变更记录不符：{named}"]


def test_the_audit_notices_a_rule_that_nobody_made():
    row(status="WITHHELD", clients=[], note="", enabled_by="", enabled_at=None)

    assert list(findings()) == ["收银台规则 支付宝链接 全部商家 与变更记录不符：没有记录"]
