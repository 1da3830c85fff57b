"""The buyer's side: Alipay's cashier in a phone's browser, of wap.pay or of a scanned code."""

from contextlib import suppress
from html import escape
from urllib.parse import urlencode

from tests.sandbox.alipay.methods import Methods
from tests.sandbox.alipay.signing import Signer, text
from tests.sandbox.alipay.trades import CLOSED, WAITING, Offer, Trade, Trades
from tests.sandbox.alipay.wire import APP_ID, SELLER_ID, Biz, Failed, Inner, clock, yuan
from tests.sandbox.web import Answer, Request

PAYEE = "私域商城有限公司"
STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,"PingFang SC","Noto Sans CJK SC",sans-serif;margin:0 auto;
 padding:1rem;max-width:26rem}
h1{font-size:1.05rem;font-weight:600;text-align:center;margin:.5rem 0 1.5rem}
.sum{font-size:2.25rem;font-weight:600;text-align:center;margin:.5rem 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.5rem 1rem;margin:1.5rem 0;font-size:.9375rem}
dt{opacity:.65}dd{margin:0;text-align:right;overflow-wrap:anywhere}
button,a.button{display:block;box-sizing:border-box;width:100%;font:inherit;font-weight:600;
 padding:.75rem;border:0;border-radius:.5rem;background:#1677ff;color:#fff;text-align:center;
 text-decoration:none}
p{text-align:center}
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Cashier:
    """Pages; a trade is paid by the form of its page."""

    def __init__(self, trades: Trades, methods: Methods, signer: Signer) -> None:
        self._trades = trades
        self._methods = methods
        self._signer = signer

    def begin(self, biz: Biz, common: Biz) -> Answer:
        """alipay.trade.wap.pay."""
        try:
            offer, trade = self._methods.wap(biz, common)
        except Failed as no:
            return self.refused(no.inner)
        return self._ask(offer, trade)

    def scan(self, request: Request) -> Answer:
        """GET /alipay/qr?code=: a phone's camera follows the code."""
        token = request.query.get("code", "")
        try:
            trade = self._trades.open(token)
        except Failed as no:
            return self.refused(no.inner)
        return self._ask(self._trades.offers[token], trade)

    def pay(self, request: Request) -> Answer:
        """POST /alipay/cashier {token}: the button."""
        token = request.form().get("token", "")
        try:
            trade = self._trades.open(token)
        except Failed as no:
            return self.refused(no.inner)
        with suppress(Failed):  # pressed twice, or too late: the page says how it stands
            self._trades.pay(trade)
        return self._ask(self._trades.offers[token], trade)

    def refused(self, inner: Inner) -> Answer:
        """What Alipay shows a buyer whose shop made a mistake, or who comes too late."""
        code = str(inner["sub_code"]).rpartition(".")[2]
        return _page(
            "沙箱支付宝",
            "<p>抱歉，支付未能发起，请返回商家重新下单。</p>"
            f"<dl><dt>错误代码<dd>{escape(code)}<dt>错误原因<dd>{escape(inner['sub_msg'])}</dl>",
        )

    def _ask(self, offer: Offer, trade: Trade) -> Answer:
        if trade.status == WAITING:
            button = (
                '<form method="post" action="/alipay/cashier">'
                f'<input type="hidden" name="token" value="{escape(offer.token)}">'
                f"<button>支付 ¥{yuan(trade.total_fen)}</button></form>"
                f"<p>请在 {clock(trade.expires_at)} 前完成支付</p>"
            )
            return _page("沙箱支付宝收银台", _bill(trade) + button)
        if trade.status == CLOSED:
            return _page("交易已关闭", _bill(trade))
        back = ""
        if offer.return_url:
            address = escape(f"{offer.return_url}?{urlencode(self._said(trade))}")
            back = f'<a class="button" href="{address}">返回商家</a>'
        return _page("支付成功", _bill(trade) + back)

    def _said(self, trade: Trade) -> dict[str, str]:
        """What the browser carries back: signed, and yet it proves nothing."""
        said = {
            "charset": "utf-8",
            "out_trade_no": trade.offer.out_trade_no,
            "method": "alipay.trade.wap.pay.return",
            "total_amount": yuan(trade.total_fen),
            "trade_no": trade.trade_no,
            "auth_app_id": APP_ID,
            "version": "1.0",
            "app_id": APP_ID,
            "seller_id": SELLER_ID,
            "timestamp": clock(self._trades.now()),
        }
        return {**said, "sign_type": "RSA2", "sign": self._signer.sign(text(said))}


def _bill(trade: Trade) -> str:
    return (
        f'<p class="sum">¥{yuan(trade.total_fen)}</p><dl><dt>商品<dd>{escape(trade.offer.subject)}'
        f"<dt>收款方<dd>{PAYEE}<dt>商家订单号<dd>{escape(trade.offer.out_trade_no)}"
        f"<dt>交易号<dd>{trade.trade_no}</dl>"
    )


def _page(title: str, inner: str) -> Answer:
    html = (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{inner}</html>"
    )
    return Answer(200, html.encode(), "text/html; charset=utf-8", HEADERS)
