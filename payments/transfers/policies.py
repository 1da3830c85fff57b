"""How far a merchant's transfers may be matched without a person: rungs and limits."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from config.kit.errors import Refusal
from payments.transfers.ladder.versions import LADDERS
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


@transaction.atomic
def change(*, merchant: str, values: Mapping[str, Any]) -> Policy:
    """Set some fields of a merchant's policy ("": everybody else's), made if there is none.

    Limits in fen.  Raises UnknownRung, UnknownVersion, OutOfBounds.
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
    policy, _ = Policy.objects.update_or_create(merchant=merchant, defaults=dict(values))
    return policy


def _require_known(rungs: Iterable[str], known: Mapping[str, str]) -> None:
    if unknown := sorted(set(rungs) - set(known)):
        raise UnknownRung(f"没有这条规则：{'、'.join(unknown)}", rungs=unknown)
