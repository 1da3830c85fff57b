"""WeChat Pay on the page of people: what can be paid, and what can be received."""

from collections.abc import Mapping, Sequence
from html import escape

from tests.sandbox.journal import Fact
from tests.sandbox.wechat_pay.desk import yuan

SHOWN = 20
PAY = "/wechat-pay/pay"
CONFIRM = "/wechat-pay/confirm"
DONE, REFUSED = "wechat_pay", "wechat_pay_no"
SAID = {DONE: "said", REFUSED: "said no"}
STYLE = """
form.due{display:flex;align-items:center;gap:.75rem;margin:0;padding:.5rem 0;
 border-bottom:1px solid #8884}
form.due span{flex:1;min-width:0;overflow-wrap:anywhere;font-size:.875rem}
form.due small{display:block;opacity:.7}form.due b{white-space:nowrap}
"""


def section(trades: Sequence[Fact], transfers: Sequence[Fact], typed: Mapping[str, str]) -> str:
    """Empty when there is nothing to do and nothing to say; `typed` is what a click came to."""
    rows = [_trade(one) for one in trades[:SHOWN]] + [_transfer(one) for one in transfers[:SHOWN]]
    told = "".join(
        f'<p class="{look}">{escape(typed[name])}</p>'
        for name, look in SAID.items()
        if name in typed
    )
    if not rows and not told:
        return ""
    return f"<style>{STYLE}</style><h2>微信支付</h2>{told}{''.join(rows)}"


def _trade(trade: Fact) -> str:
    asked = trade["asked"]
    what = _what(asked["description"], asked["out_trade_no"], asked["amount"]["total"])
    return _form(PAY, "out_trade_no", asked["out_trade_no"], f"{what}<button>支付</button>")


def _transfer(transfer: Fact) -> str:
    order = transfer["order"]
    what = _what(order["transfer_remark"], order["out_bill_no"], order["transfer_amount"])
    return _form(CONFIRM, "out_bill_no", order["out_bill_no"], f"{what}<button>收款</button>")


def _what(what: str, number: str, fen: int) -> str:
    return f"<span>{escape(what)}<small>{escape(number)}</small></span><b>{yuan(fen)} 元</b>"


def _form(action: str, name: str, number: str, inside: str) -> str:
    return (
        f'<form class="due" method="post" action="{action}">'
        f'<input type="hidden" name="{name}" value="{escape(number)}">{inside}</form>'
    )
