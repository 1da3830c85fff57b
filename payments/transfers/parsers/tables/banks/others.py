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

BOCOM_CORPORATE = Layout(
    bank="bocom",
    columns={
        "day": ("交易时间",),
        "out": ("借方发生额(支出)",),
        "in": ("贷方发生额(收入)",),
        "balance": ("账户余额",),
        "payer_account": ("对方账号",),
        "name": ("对方户名",),
        "summary": ("摘要",),
    },
    texts=("summary",),  # the payer's words and the bank's
)

# 交易流水号 numbers a transaction, 传票序号 its entries (a payment and its fee).
SPDB_CORPORATE = Layout(
    bank="spdb",
    columns={
        "day": ("交易日期",),
        "clock": ("交易时间",),
        "out": ("借方金额",),
        "in": ("贷方金额",),
        "balance": ("余额",),
        "payer_account": ("对方账号",),
        "name": ("对方户名",),
        "payer_bank": ("对方行名",),
        "serial": ("交易流水号",),
        "entry": ("传票序号",),
        "summary": ("摘要",),
        "note": ("交易附言",),
    },
    optional=frozenset({"payer_bank", "note"}),
    texts=("note", "summary"),
    bank_words="summary",
)

# The shorter table has no 传票序号, so that its 交易流水号 may stand on two rows: no serial.
SPDB_CORPORATE_SHORT = Layout(
    bank="spdb_short",
    columns={
        role: names
        for role, names in SPDB_CORPORATE.columns.items()
        if role not in {"serial", "entry", "note"}
    }
    | {"transaction": ("交易流水号",)},
    optional=frozenset({"payer_bank"}),
    without=frozenset({"传票序号"}),
    texts=("summary",),  # the payer's words and the bank's
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

CITIC_PERSONAL = Layout(
    bank="citic_personal",
    columns={
        "day": ("交易时间", "交易日期"),
        "in": ("收入金额",),
        "out": ("支出金额",),
        "balance": ("账户余额",),
        "name": ("对方名称",),
        "payer_account": ("对方账号",),
        "place": ("受理机构",),
        "summary": ("摘要",),
        "serial": ("交易流水号",),
    },
    optional=frozenset({"serial"}),
    texts=("summary", "place"),
)

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
        "payer_bank": ("对方账号开户网点名称", "对方开户行", "对方开户网点名称"),
        "summary": ("摘要",),
        "note": ("附言",),
        "reversal": ("退汇标识",),
        "account": ("交易账号",),
    },
    optional=frozenset({"clock", "currency", "payer_bank", "note", "reversal", "account"}),
    names_itself=False,  # a sub-account's number need not begin with the account's
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

# 账户当前余额 above the table is of the day of the query, not of the last row.
CGB_CORPORATE = Layout(
    bank="cgb",
    columns={
        "serial": ("流水号",),
        "day": ("交易时间",),
        "in": ("收入",),
        "out": ("支出",),
        "balance": ("余额",),
        "currency": ("币种",),
        "payer_account": ("对方账号",),
        "name": ("对方户名",),
        "payer_bank": ("对方开户行",),
        "summary": ("摘要",),
        "remark": ("备注",),
        "note": ("附言",),
    },
    optional=frozenset({"currency", "payer_bank", "remark"}),
    texts=("note", "remark", "summary"),
    bank_words="summary",
)

CMBC_PERSONAL = Layout(
    bank="cmbc_personal",
    columns={
        "day": ("交易时间",),
        "summary": ("摘要",),
        "amount": ("交易金额",),
        "balance": ("账户余额",),
        "cash": ("现转标志",),
        "channel": ("交易渠道",),
        "party": ("对方户名/账号",),
        "payer_bank": ("对方行名",),
    },
    texts=("summary",),  # the payer's words and the bank's
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

# Since about 2024: another number, and the payer's words have a column of their own.
CMBC_CORPORATE_NEW = Layout(
    bank="cmbc_new",
    columns={
        "day": ("交易时间",),
        "serial": ("交易流水号",),
        "out": ("借方发生额",),
        "in": ("贷方发生额",),
        "balance": ("账户余额",),
        "note": ("客户附言",),
        "payer_account": ("对方账号",),
        "name": ("对方账号名称",),
        "payer_bank": ("对方开户行",),
    },
    optional=frozenset({"payer_bank"}),
    texts=("note",),
)

PINGAN_CORPORATE = Layout(
    bank="pingan",
    columns={
        "day": ("交易日期",),
        "account": ("账号",),
        "out": ("借", "借方(支出)金额"),
        "in": ("贷", "贷方(收入)金额"),
        "balance": ("账户余额",),
        "currency": ("币种",),
        "payer_account": ("对方账户", "对方账号"),
        "name": ("对方账户名称",),
        "payer_bank": ("对方开户行",),
        "serial": ("交易流水号", "银行流水号"),
        "summary": ("摘要",),
        "purpose": ("用途",),
    },
    optional=frozenset({"purpose", "currency", "payer_bank"}),
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
