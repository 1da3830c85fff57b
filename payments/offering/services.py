from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from config.kit.errors import Refusal, StaleState
from payments.offering.models import SETTABLE, MethodRule, MethodRuleEvent
from payments.offering.rules import (
    NOT_INSIDE_WECHAT,
    Client,
    Status,
    is_inside_alipay,
    only_in,
    works_in,
)


class ComplianceNoteMissing(Refusal):
    message = "提供一种支付方式，必须写明合规说明"


class OfferedNowhere(Refusal):
    message = "请选择在哪里提供"


class NotInThisClient(Refusal):
    message = "这种支付方式不能在这里使用"


class AmountsOutOfOrder(Refusal):
    status = 400
    message = "金额“到”不能小于“从”，限额须大于零"


@transaction.atomic
def set_rule(
    *,
    method: str,
    merchant: str = "",
    category: str = "",
    values: Mapping[str, Any],
    actor: str,
    at: datetime,
    seen_at: datetime | None = None,
) -> MethodRule:
    """Say something of a method, for a merchant and a category (""), made if there is no rule yet.

    `values` of SETTABLE; amounts in fen, None: no limit.  Payments that are open go on.  `seen_at`:
    the `changed_at` of the state that was decided upon.  Raises StaleState when it is another one
    since: who only raises a limit must not offer again what somebody else has just withdrawn.
    Raises ComplianceNoteMissing, OfferedNowhere, NotInThisClient, AmountsOutOfOrder.
    """
    found, is_new = MethodRule.objects.get_or_create(
        method=method, merchant=merchant, category=category, defaults={"changed_at": at}
    )
    rule = MethodRule.objects.select_for_update().get(pk=found.pk)
    if seen_at and rule.changed_at != seen_at:
        raise StaleState("这条规则刚刚被别人修改，请刷新后重试")
    before = {name: getattr(rule, name) for name in SETTABLE}
    after = {name: values.get(name, old) for name, old in before.items()}
    _require_sound(method, after)
    changed = {name: [before[name], new] for name, new in after.items() if new != before[name]}
    if not changed and not is_new:
        return rule
    is_enabled_now = "status" in changed and after["status"] == Status.OFFERED
    who = {"enabled_by": actor, "enabled_at": at} if is_enabled_now else {}
    MethodRule.objects.filter(pk=rule.pk).update(**after, **who, changed_at=at)
    MethodRuleEvent.objects.create(
        rule=rule,
        kind="MADE" if is_new else after["status"] if "status" in changed else "CHANGED",
        actor=actor,
        at=at,
        facts=changed,
    )
    rule.refresh_from_db()
    return rule


def _require_sound(method: str, after: Mapping[str, Any]) -> None:
    clients = set(after["clients"])
    if after["status"] == Status.OFFERED:
        if not after["note"].strip():
            raise ComplianceNoteMissing
        if not clients:
            raise OfferedNowhere
    if is_inside_alipay(method) and Client.MINI_PROGRAM in clients:
        raise NotInThisClient(NOT_INSIDE_WECHAT)
    if clients - works_in(method):
        raise NotInThisClient(only_in(method, works_in(method)))
    _require_amounts(after)


def _require_amounts(after: Mapping[str, Any]) -> None:
    first, last = after["from_fen"], after["to_fen"]
    limits = [after[name] for name in ("limit_fen", "day_limit_fen") if after[name] is not None]
    if (first is not None and last is not None and last < first) or any(x <= 0 for x in limits):
        raise AmountsOutOfOrder
