"""Two people change one rule of the cashier at the same moment."""

from datetime import timedelta

import pytest

from payments.offering import services
from payments.offering.models import MethodRule, MethodRuleEvent
from tests.concurrency.stalled import stalled
from tests.concurrency.together import together
from tests.factories import NOON
from tests.payments.offered import offer

pytestmark = pytest.mark.django_db(transaction=True)


def change(i, seen_at=None):
    """One withdraws it, the other, who saw it offered, offers it with another limit."""
    status = "WITHHELD" if i else "OFFERED"
    services.set_rule(
        method="WECHAT",
        values={"status": status, "limit_fen": 500_00 + i},
        actor=f"U{i}",
        at=NOON + timedelta(minutes=1 + i),
        seen_at=seen_at,
    )


def test_of_two_who_saw_the_same_rule_one_is_told_to_look_again():
    rule = offer("WECHAT")
    rows = MethodRule.objects.filter(pk=rule.pk)

    assert stalled(rows, 2, lambda i: change(i, rule.changed_at)) == {"ok": 1, "STALE_STATE": 1}
    assert MethodRuleEvent.objects.count() == 2


def test_without_what_they_saw_the_second_overwrites_the_first():
    """If this ever fails, the test above proves nothing."""
    rule = offer("WECHAT")

    assert stalled(MethodRule.objects.filter(pk=rule.pk), 2, change) == {"ok": 2}
    assert MethodRuleEvent.objects.count() == 3


def test_a_rule_made_by_many_at_once_is_one_rule_made_once():
    assert together(6, lambda i: offer("WECHAT")) == {"ok": 6}

    assert MethodRule.objects.count() == 1
    assert list(MethodRuleEvent.objects.values_list("kind", flat=True)) == ["MADE"]
