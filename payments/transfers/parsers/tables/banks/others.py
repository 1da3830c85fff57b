"""Banks of which one or two tables are known, and a treasury platform's export of any bank."""

from payments.transfers.parsers.tables.layout import CARD, Days, Layout

BOCOM_PERSONAL = Layout(
    bank="bocom_personal",
    columns={
        "day": ("交易日期",),
        "clock": ("交易时间",),
        "kind": ("交易类型",),
        "direction": ("借贷",),
        "amount": ("交易金额",),
        "balance": ("余额",),
        "payer_account": ("对方账号",),
        "name": ("对方户名",),
        "place": ("交易地点",),
        "summary": ("摘要",),
    },
    texts=("summary", "place", "kind"),
    bank_words="kind",
)

# 顺序号 only numbers the rows of one file.
SPDB_PERSONAL = Layout(
    bank="spdb_personal",
    columns={
        "ordinal": ("顺序号",),
        "day": ("交易日期",),
        "kind": ("交易类型",),
        "in": ("存入金额",),
        "out": ("取出金额",),
        "balance": ("余额",),
        "name": ("交易对手名称",),
        "payer_account": ("交易对手账号",),
        "note": ("附言",),
    },
    texts=("note", "kind"),
    bank_words="kind",
)

CITIC_CARD = Layout(
    bank="citic_card",
    columns={
        "traded": ("交易日期",),
        "day": ("入账日期",),
        "kind": ("交易描述",),
        "card": ("卡末四位",),
        "currency": ("结算币种",),
        "amount": ("结算金额",),
    },
    texts=("kind",),
    sign=-1,
    caution=CARD,
)

# Names as this bank's direct connection prints them; no export was seen, so what is unlike them
# is refused and mapped by hand.
CITIC_CORPORATE = Layout(
    bank="citic",
    columns={
        "day": ("交易日期",),
        "clock": ("交易时间",),
        "serial": ("柜员交易号",),
        "out": ("借方发生额",),
        "in": ("贷方发生额",),
        "balance": ("账户余额",),
        "currency": ("币种",),
        "payer_account": ("对方账号",),
        "name": ("对方账户名称", "对方户名"),
        "payer_bank": ("对方开户行", "对方开户网点名称"),
        "summary": ("摘要",),
        "note": ("附言",),
        "reversal": ("退汇标识",),
    },
    optional=frozenset({"clock", "currency", "payer_bank", "note", "reversal"}),
    texts=("note", "summary"),
    bank_words="summary",
)

CGB_CARD = Layout(
    bank="cgb_card",
    columns={
        "traded": ("交易日期",),
        "day": ("入账日期",),
        "kind": ("交易摘要",),
        "amount": ("入账金额",),
        "currency": ("入账货币",),
    },
    texts=("kind",),
    sign=-1,
    caution=CARD,
)

CMBC_CORPORATE = Layout(
    bank="cmbc",
    columns={
        "day": ("交易日期",),
        "clock": ("交易时间",),
        "serial": ("主机交易流水号",),
        "out": ("借方发生额",),
        "in": ("贷方发生额",),
        "balance": ("账户余额",),
        "summary": ("摘要",),
        "payer_account": ("对方账号",),
        "name": ("对方账号名称",),
        "payer_bank": ("对方开户行",),
    },
    optional=frozenset({"clock", "payer_bank"}),
    texts=("summary",),  # the payer's words and the bank's
)

# Not verified against an export.
PINGAN_CORPORATE = Layout(
    bank="pingan",
    columns={
        "day": ("交易日期",),
        "account": ("账号",),
        "out": ("借",),
        "in": ("贷",),
        "balance": ("账户余额",),
        "payer_account": ("对方账户",),
        "name": ("对方账户名称",),
        "serial": ("交易流水号",),
        "summary": ("摘要",),
        "purpose": ("用途",),
    },
    optional=frozenset({"purpose"}),
    texts=("purpose", "summary"),
    bank_words="summary",
)

HSBC_HONG_KONG = Layout(
    bank="hsbc_hk",
    columns={
        "day": ("Date",),
        "kind": ("Description",),
        "amount": ("Billingamount",),
        "currency": ("Billingcurrency",),
        "balance": ("Balance",),
        "balance_currency": ("Balancecurrency",),
    },
    texts=("kind",),
    days=Days.DAY_FIRST,
)

TREASURY = Layout(
    bank="treasury",
    columns={
        "day": ("交易时间",),
        "holder": ("本方户名",),
        "account": ("本方账号",),
        "in": ("收入",),
        "out": ("支出",),
        "balance": ("账户余额",),
        "name": ("对方户名",),
        "payer_account": ("对方账号",),
        "currency": ("币种",),
        "note": ("交易备注",),
        "kind": ("交易类型",),
    },
    texts=("note", "kind"),
    bank_words="kind",
)
