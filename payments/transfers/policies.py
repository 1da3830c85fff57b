"""How far a merchant's transfers may be matched without a person: rungs and limits."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from config.kit.errors import Refusal
from payments.transfers import trial
from payments.transfers.ladder.versions import CURRENT, LADDERS
from payments.transfers.models import Policy

# Rungs that pay by themselves unless they are switched off, by what they go by.
AUTOMATIC = {
    "T1a": "专属账号一致，金额相等",
    "T1b": "专属账号一致，金额不足：先收下，等余款",
    "T1c": "专属账号一致，金额超出：付清，多的转为应退款",
    "T1d": "专属账号一致，支付单已付清或已关闭：全部转为应退款",
    "T1m": "买家的专属账号，唯一一张支付单金额相等",
    "T2a": "附言核对码一致，金额相等",
    "T2b": "附言核对码一致，金额不等，付款人曾为该买家付款",
    "T3a": "附言有多张支付单的核对码，金额之和相等",
    "T4": "付款账号曾为该买家付款，唯一一张支付单金额相等",
    "T8": "少到的金额在可接受的途中扣费之内",
}
# Rungs that leave the line to a person unless they are switched on.
BY_HAND = {
    "T5": "付款户名与买家历史户名一致，金额在全部待付支付单中唯一",
    "T6": "附言与核对码只差一处，付款人已知，金额相等",
}
LONGEST_REOPENING = 90  # days
LARGEST_FEE = 500_00  # fen


class UnknownRung(Refusal):
    status = 400
    message = "没有这条规则"


class UnknownVersion(Refusal):
    status = 400
    message = "没有这个版本的规则"


class OutOfBounds(Refusal):
    status = 400
    message = "数值超出允许的范围"


class Untried(Refusal):
    message = "这个版本的规则还没有试运行"


@transaction.atomic
def change(*, merchant: str, values: Mapping[str, Any], at: datetime, untried: str = "") -> Policy:
    """Set some fields of a merchant's policy ("": everybody else's), made if there is none.

    Limits in fen.  Another version of the rules has to have been on trial for this merchant, or
    somebody says why not (`untried`; the caller keeps it with the change).  A new row begins with
    everybody's version.  Raises UnknownRung, UnknownVersion, OutOfBounds, Untried.
    """
    _require_known(values.get("rungs_off", ()), AUTOMATIC)
    _require_known(values.get("rungs_on", ()), BY_HAND)
    for name in ("version", "shadow"):
        if values.get(name) and values[name] not in LADDERS:
            raise UnknownVersion(f"没有 {values[name]} 这个版本的规则", known=sorted(LADDERS))
    if values.get("reopens_within_days", 0) > LONGEST_REOPENING:
        raise OutOfBounds(f"逾期到账最多在 {LONGEST_REOPENING} 天内恢复订单")
    if values.get("fee_up_to_fen", 0) > LARGEST_FEE:
        raise OutOfBounds(f"途中扣费最多可接受 {LARGEST_FEE // 100} 元")
    in_force = _in_force(merchant)
    values = {"version": in_force, **values}
    if (values["version"] or CURRENT) != (in_force or CURRENT) and not untried.strip():
        _require_tried(merchant, values["version"] or CURRENT, at)
    policy, _ = Policy.objects.update_or_create(merchant=merchant, defaults=dict(values))
    return policy


def _in_force(merchant: str) -> str:
    """Which version the merchant's lines are judged by, "" for the current one; rows are locked."""
    rows = Policy.objects.filter(merchant__in={merchant, ""}).order_by("merchant")
    versions = {row.merchant: row.version for row in rows.select_for_update()}
    return versions.get(merchant, versions.get("", ""))


def _require_tried(merchant: str, version: str, at: datetime) -> None:
    run = trial.run(merchant, version, at)
    if not run.is_enough:
        raise Untried(
            f"规则版本 {version} 在这里只试运行了 {run.lines} 笔，要满 {trial.ENOUGH} 笔，"
            "或满七天且七天内的来账都试过；请先设为试运行版本，确须直接启用的填写原因",
            version=version,
            lines=run.lines,
        )


def _require_known(rungs: Iterable[str], known: Mapping[str, str]) -> None:
    if unknown := sorted(set(rungs) - set(known)):
        raise UnknownRung(f"没有这条规则：{'、'.join(unknown)}", rungs=unknown)
