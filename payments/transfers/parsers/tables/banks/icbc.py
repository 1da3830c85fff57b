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

# 企业网银's query lets the shop choose its columns; those of 历史明细 are 借方发生额 and so on.
CORPORATE = Layout(
    bank="icbc",
    columns={
        "account": ("本方账号",),
        "payer_account": ("对方账号",),
        "day": ("交易时间",),
        "direction": ("借/贷", "借贷标志"),
        "out": ("借方发生额", "转出金额"),
        "in": ("贷方发生额", "转入金额"),
        "summary": ("摘要",),
        "purpose": ("用途",),
        "name": ("对方单位名称", "对方单位"),
        "balance": ("余额",),
        "note": ("个性化信息", "回单个性化信息"),
        "words": ("附言",),
        "currency": ("币种",),
    },
    optional=frozenset({"account", "direction", "summary", "purpose", "note", "words", "currency"}),
    texts=("words", "note", "purpose", "summary"),
    bank_words="summary",
)

CORPORATE_ONE_COLUMN = Layout(
    bank="icbc_one",
    columns={role: names for role, names in CORPORATE.columns.items() if role not in {"in", "out"}}
    | {"amount": ("发生额",)},
    optional=CORPORATE.optional - {"direction"},
    texts=CORPORATE.texts,
    bank_words="summary",
)

CORPORATE_BY_DAY = Layout(
    bank="icbc_day",
    columns={
        "day": ("日期",),
        "kind": ("交易类型",),
        "name": ("对方户名",),
        "payer_account": ("对方账号",),
        "summary": ("摘要",),
        "out": ("借方发生额",),
        "in": ("贷方发生额",),
        "balance": ("余额",),
    },
    texts=("summary", "kind"),
    bank_words="kind",
)
