from collections.abc import Iterator
from typing import Any

from payments.offering.models import SETTABLE, MethodRule, MethodRuleEvent
from payments.offering.rules import Rule


def rules_about(*, merchant: str, method: str = "") -> list[Rule]:
    """What is said of a merchant's things, of one method or of all; one query."""
    rows = MethodRule.objects.about(merchant)
    return (rows.filter(method=method) if method else rows).told()


def findings() -> Iterator[str]:
    """Each rule against what its events say was set; two queries."""
    first = {field.name: field.get_default() for field in MethodRule._meta.fields}
    told: dict[int, dict[str, Any]] = {}
    events = MethodRuleEvent.objects.order_by("pk")
    for rule_id, facts in events.values_list("rule_id", "facts"):
        told.setdefault(rule_id, {}).update({name: new for name, (_, new) in facts.items()})
    for rule in MethodRule.objects.order_by("pk"):
        said = {name: told.get(rule.pk, {}).get(name, first[name]) for name in SETTABLE}
        wrong = [
            str(MethodRule._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
            for name, value in said.items()
            if getattr(rule, name) != value
        ]
        if wrong or rule.pk not in told:
            yield f"收银台规则 {rule} 与变更记录不符：{'、'.join(wrong) or '没有记录'}"
