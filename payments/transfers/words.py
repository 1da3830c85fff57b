"""Lines and their events as staff read them."""

from collections.abc import Mapping
from typing import Any

from config.kit.columns import in_yuan
from payments.transfers.models import LineEvent
from payments.transfers.rules import HandStatus, ReturnStatus, StatementStatus, Verdict

VERDICT_COLOURS = {
    Verdict.MATCHED: "success",
    Verdict.SUGGESTED: "info",
    Verdict.UNMATCHED: "warning",
    Verdict.CONFLICT: "danger",
    Verdict.RETURNING: "info",
}
STATEMENT_COLOURS = {
    StatementStatus.RUNNING: "info",
    StatementStatus.DONE: "success",
    StatementStatus.REFUSED: "danger",
}
HAND_COLOURS = {
    HandStatus.ASKED: "warning",
    HandStatus.DONE: "success",
    HandStatus.DECLINED: "danger",
}
RETURN_COLOURS = {
    ReturnStatus.ASKED: "warning",
    ReturnStatus.SENDING: "info",
    ReturnStatus.DONE: "success",
    ReturnStatus.FAILED: "danger",
}
EVENTS = {
    **dict(Verdict.choices),
    "UNDONE": "撤销",
    "TAKEN_IN": "作为来账处理",
    "RETURN_ASKED": "申请退回",
    "BY_HAND": "登记为网银退款",
    "NOT_BY_HAND": "不是网银退款",
    "PAID_BY_HAND": "确认为网银退款",
    "RETURN_DECLINED": "退回未获同意",
    "RETURN_FAILED": "退回失败",
    "RETURN_BOUNCED": "退回被退汇",
    "BOUNCED": "认定为退汇",
    "HELD_BACK": "疑似重复收录，退出记账",
    "TWIN": "疑似重复收录，请人工核对",
    "CONTRADICTED": "内容矛盾",
    "CONFIRMED": "流水已确认",
    "NOTE": "备注",
}
FACTS = {
    "rule": "规则", "version": "规则版本", "reason": "原因", "why": "原因", "was": "原结论",
    "serial": "银行流水号", "return": "退回单", "amount_fen": "金额", "left_fen": "还剩",
    "statement": "流水文件", "judged": "原判", "text": "",
    "elsewhere": "原记为非买家收支", "reversal": "冲正流水", "original": "原来账",
    "held_as": "疑似同一笔", "payout": "退款单", "line": "来账", "fee_fen": "银行扣费",
    "reopened_fen": "原不处理、重新待处理", "booking": "付出流水",
}  # fmt: skip

BASIS = {
    "virtual_account": "专属账号", "code": "核对码", "codes": "核对码", "near_code": "相近的核对码",
    "payer_account": "付款账号", "payer_name": "付款户名", "fen": "到账", "left_fen": "应付",
    "short_fen": "途中扣费", "held_as": "疑似同一笔", "split": "拆分",
    "equal": "金额相同的支付单数",
}  # fmt: skip


def basis(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a decision stands on, as (name, value)."""
    return [(BASIS.get(name, name), _seen(name, value)) for name, value in facts.items() if value]


def _seen(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return "、".join(f"{number} {in_yuan(fen)}" for number, fen in value.items())
    if isinstance(value, list):
        return "、".join(map(str, value))
    return in_yuan(value) if name.endswith("fen") else str(value)


def told(event: LineEvent) -> str:
    """The facts of an event in one sentence."""
    facts = {key: value for key, value in event.facts.items() if value}
    shares = [f"{number} {in_yuan(fen)}" for number, fen in facts.pop("payments", {}).items()]
    others = [f"{FACTS.get(key, key)} {_plain(key, value)}".strip() for key, value in facts.items()]
    return "，".join([*shares, *others]) or "—"


def _plain(key: str, value: Any) -> str:
    if value is True:
        return ""
    if key == "judged":
        return " ".join([EVENTS.get(value["verdict"], value["verdict"]), value["rule"]]).strip()
    if key.endswith("_fen"):
        return in_yuan(value)
    return str(EVENTS.get(value, value)) if isinstance(value, str) else str(value)
