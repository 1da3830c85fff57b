"""WeChat Pay on the page of people: what can be paid, and what can be received."""

from collections.abc import Sequence
from html import escape

from tests.sandbox.journal import Fact
from tests.sandbox.wechat_pay.desk import yuan

SHOWN = 20
PAY = "/wechat-pay/pay"
CONFIRM = "/wechat-pay/confirm"


def section(trades: Sequence[Fact], transfers: Sequence[Fact], said: str = "") -> str:
    """Empty when there is nothing to do and nothing to say."""
    rows = [_trade(one) for one in trades[:SHOWN]] + [_transfer(one) for one in transfers[:SHOWN]]
    if not rows and not said:
        return ""
    told = f'<p class="said">{escape(said)}</p>' if said else ""
    table = f'<div class="scroll"><table>{"".join(rows)}</table></div>' if rows else ""
    return f"<h2>微信支付</h2>{told}{table}"


def _trade(trade: Fact) -> str:
    asked = trade["asked"]
    number = asked["out_trade_no"]
    what = _cells(asked["description"], asked["amount"]["total"], number)
    return f"<tr>{what}<td>{_button(PAY, 'out_trade_no', number, '支付')}</tr>"


def _transfer(transfer: Fact) -> str:
    order = transfer["order"]
    number = order["out_bill_no"]
    what = _cells(order["transfer_remark"], order["transfer_amount"], number)
    return f"<tr>{what}<td>{_button(CONFIRM, 'out_bill_no', number, '收款')}</tr>"


def _cells(what: str, fen: int, number: str) -> str:
    return f'<td>{escape(what)}<td class="fen">{yuan(fen)} 元<td>{escape(number)}'


def _button(action: str, name: str, number: str, does: str) -> str:
    return (
        f'<form method="post" action="{action}">'
        f'<input type="hidden" name="{name}" value="{escape(number)}">'
        f"<button>{does}</button></form>"
    )
