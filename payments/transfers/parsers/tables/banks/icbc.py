"""中国工商银行: personal account (两种版式), credit card, corporate (对公)."""

from payments.transfers.parsers.tables.layout import CARD, Layout

_PERSONAL = {
    "day": ("交易日期",),
    "summary": ("摘要",),
    "detail": ("交易详情",),  # since 2023
    "place": ("交易场所",),
    "cash": ("钞/汇",),  # only tells it from the card
    "in": ("记账金额(收入)",),
    "out": ("记账金额(支出)",),
    "currency": ("记账币种",),
    "balance": ("余额",),
    "name": ("对方户名",),
    "payer_account": ("对方账户", "对方账号"),
}
PERSONAL = Layout(
    bank="icbc_personal",
    columns=_PERSONAL,
    optional=frozenset({"detail", "payer_account"}),
    texts=("detail", "place", "summary"),
    bank_words="summary",
)

CREDIT_CARD = Layout(
    bank="icbc_card",
    columns={
        "day": ("记账日期",),
        "traded": ("交易日期",),
        "summary": ("摘要",),
        "place": ("交易场所",),
        "in": ("记账金额(收入)",),
        "out": ("记账金额(支出)",),
        "currency": ("记账币种",),
        "balance": ("余额",),
        "name": ("对方户名",),
    },
    texts=("place", "summary"),
    bank_words="summary",
    caution=CARD,
)

CORPORATE = Layout(
    bank="icbc",
    columns={
        "account": ("本方账号",),
        "payer_account": ("对方账号",),
        "day": ("交易时间",),
        "direction": ("借/贷", "借贷标志"),
        "out": ("借方发生额",),
        "in": ("贷方发生额",),
        "summary": ("摘要",),
        "purpose": ("用途",),
        "name": ("对方单位名称",),
        "balance": ("余额",),
        "note": ("个性化信息",),
        "currency": ("币种",),
    },
    optional=frozenset({"note", "currency", "purpose"}),
    texts=("note", "purpose", "summary"),
    bank_words="summary",
)
