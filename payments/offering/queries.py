from collections.abc import Iterator
from typing import Any

from django.db import connection

from payments.offering.models import SETTABLE, MethodRule, MethodRuleEvent
from payments.offering.rules import Rule

# Asked with every payment that is opened: not put together anew each time.
_ABOUT = f"""
SELECT {", ".join(Rule._fields)} FROM payments_methodrule
WHERE merchant = ANY(%s) AND status <> 'VOID' AND (%s = '' OR method = %s)
"""  # noqa: S608


def rules_about(*, merchant: str, method: str = "") -> list[Rule]:
    """What is said of a merchant's things, in its own rules and in everybody's; one query.

    Of one method, or of all.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT, [["", merchant], method, method])
        return [Rule._make(row) for row in cursor.fetchall()]


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
