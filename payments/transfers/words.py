"""Lines and their events as staff read them."""

from typing import Any

from config.kit.columns import in_yuan
from payments.transfers.models import LineEvent
from payments.transfers.rules import ReturnStatus, StatementStatus, Verdict

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
RETURN_COLOURS = {
    ReturnStatus.ASKED: "warning",
    ReturnStatus.SENDING: "info",
    ReturnStatus.DONE: "success",
    ReturnStatus.FAILED: "danger",
}
EVENTS = {
    **dict(Verdict.choices),
    "UNDONE": "撤销",
    "RETURN_ASKED": "申请退回",
    "RETURN_DECLINED": "退回未获同意",
    "RETURN_FAILED": "退回失败",
    "RETURN_BOUNCED": "退回被退汇",
    "BOUNCED": "认定为退汇",
    "CONTRADICTED": "内容矛盾",
    "CONFIRMED": "流水已确认",
    "NOTE": "备注",
}
FACTS = {
    "rule": "规则", "version": "规则版本", "reason": "原因", "why": "原因", "was": "原结论",
    "serial": "银行流水号", "return": "退回单", "amount_fen": "金额", "left_fen": "还剩",
    "statement": "流水文件", "judged": "系统原判", "text": "",
    "reversal": "冲正流水", "original": "原来账", "payout": "退款单", "line": "来账",
}  # fmt: skip


def told(event: LineEvent) -> str:
    """The facts of an event in one sentence."""
    facts = {key: value for key, value in event.facts.items() if value}
    shares = [f"{number} {in_yuan(fen)}" for number, fen in facts.pop("payments", {}).items()]
    others = [f"{FACTS.get(key, key)} {_plain(key, value)}".strip() for key, value in facts.items()]
    return "，".join([*shares, *others]) or "—"


def _plain(key: str, value: Any) -> str:
    if key == "judged":
        return " ".join([EVENTS.get(value["verdict"], value["verdict"]), value["rule"]]).strip()
    if key.endswith("_fen"):
        return in_yuan(value)
    return str(EVENTS.get(value, value)) if isinstance(value, str) else str(value)
