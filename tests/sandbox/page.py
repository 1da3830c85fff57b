"""The mobile bank of the demo: one form, the day's bookings, the four statement files."""

from html import escape

from tests.sandbox.bank import Account, Bank
from tests.sandbox.statements import FORMATS, Booking
from tests.sandbox.web import Answer, Refused, Request

STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,"PingFang SC","Noto Sans CJK SC",sans-serif;margin:0 auto;
 padding:1rem;max-width:46rem}
h1{font-size:1.25rem;margin:.5rem 0}h2{font-size:1.05rem;margin:1.5rem 0 .25rem}
form{display:grid;gap:.75rem;margin:1rem 0}
label{display:grid;gap:.25rem;font-size:.875rem}
input,button{font:inherit;padding:.625rem .75rem;border:1px solid #8886;border-radius:.5rem}
button{background:#0a7a4b;color:#fff;border:0;font-weight:600}
.said{padding:.625rem .75rem;border-radius:.5rem;background:#0a7a4b22}.no{background:#c0392b2b}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.875rem}
td,th{padding:.375rem .5rem;border-bottom:1px solid #8884;text-align:left;white-space:nowrap}
td.fen{text-align:right;font-variant-numeric:tabular-nums}p.files a{margin-right:.75rem}
"""
FIELDS = (
    ("account_no", "收款账号", 'inputmode="numeric" required list="accounts"'),
    ("amount_yuan", "金额（元）", 'inputmode="decimal" required placeholder="0.00"'),
    ("payer_name", "付款人姓名", 'required maxlength="60"'),
    ("payer_account", "付款账号", 'inputmode="numeric" maxlength="34"'),
    ("remark", "附言", 'maxlength="140"'),
)


def show(bank: Bank, request: Request, refused: Refused | None = None, *, more: str = "") -> Answer:
    """The page; after a refusal with what was typed, so that it can be corrected.

    `more` is HTML of what else people can pay here.
    """
    typed = request.form() if refused else request.query
    inputs = "".join(
        f'<label>{label}<input name="{name}" value="{escape(typed.get(name, ""))}" {more}></label>'
        for name, label, more in FIELDS
    )
    accounts = list(bank.accounts.values())
    known = "".join(f'<option value="{escape(account.number)}">' for account in accounts)
    days = "".join(_account(bank, account) for account in accounts)
    html = (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>沙箱手机银行</title><style>{STYLE}</style><h1>沙箱手机银行</h1>"
        f"{_said(request, refused)}"
        f'<form method="post" action="/bank/transfers">{inputs}<button>转账</button></form>'
        f'<datalist id="accounts">{known}</datalist>{more}'
        f"{days or '<p>还没有账户。</p>'}</html>"
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    status = 422 if refused else 200
    return Answer(status, html.encode(), "text/html; charset=utf-8", headers)


def _said(request: Request, refused: Refused | None) -> str:
    if refused:
        return f'<p class="said no">{escape(refused.message)}</p>'
    booked = request.query.get("booked", "")
    return f'<p class="said">转账成功，流水号 {escape(booked)}</p>' if booked else ""


def _account(bank: Bank, account: Account) -> str:
    day = bank.today()
    opening, bookings = bank.day(account, day)
    closing = opening + sum(booking.signed_fen for booking in bookings)
    number = escape(account.number)
    files = "".join(
        f'<a href="/bank/statements?account_no={number}&amp;date={day}&amp;format={name}">'
        f"{name}</a>"
        for name in FORMATS
    )
    rows = "".join(_row(booking, account) for booking in reversed(bookings))
    return (
        f"<h2>{number}</h2><p>{day} · 期初 {_yuan(opening)} 元 · 余额 {_yuan(closing)} 元</p>"
        f'<p class="files">对账单 {files}</p><div class="scroll"><table><tr><th>时间<th>金额（元）'
        f"<th>对方<th>附言<th>入账账号<th>流水号</tr>{rows}</table></div>"
    )


def _row(booking: Booking, account: Account) -> str:
    texts = (
        booking.payer_name,
        booking.remark,
        booking.virtual_account or account.number,
        booking.serial,
    )
    cells = "".join(f"<td>{escape(text)}" for text in texts)
    return (
        f'<tr><td>{booking.booked_at:%H:%M:%S}<td class="fen">{_yuan(booking.signed_fen)}'
        f"{cells}</tr>"
    )


def _yuan(fen: int) -> str:
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
