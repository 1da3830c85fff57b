"""中国建设银行: corporate (对公), personal account (xls, and an older CSV).

Corporate: the column 账号 names the account the money came to: the account itself or a virtual
account, whose number begins with it.
"""

from payments.transfers.parsers.tables.layout import Layout

CORPORATE = Layout(
    bank="ccb",
    columns={
        "account": ("账号",),
        "day": ("交易时间",),
        "out": ("借方发生额(支取)", "借方发生额/元(支取)"),
        "in": ("贷方发生额(收入)", "贷方发生额/元(收入)"),
        "balance": ("余额",),
        "currency": ("币种",),
        "name": ("对方户名",),
        "payer_account": ("对方账号",),
        "payer_bank": ("对方开户机构",),
        "summary": ("摘要",),
        "note": ("备注",),
        "serial": ("账户明细编号-交易流水号",),
        "company_serial": ("企业流水号",),
    },
    optional=frozenset({"currency", "payer_bank", "company_serial", "note"}),
    texts=("note", "summary"),
    references=("company_serial",),
    bank_words="summary",
)

# The same bank's table of 17 columns; the account stands beside its holder.
CORPORATE_OTHER = Layout(
    bank="ccb_other",
    columns={
        "day": ("日期",),
        "clock": ("交易时间",),
        "out": ("借方发生额",),
        "in": ("贷方发生额",),
        "balance": ("余额",),
        "name": ("对方户名",),
        "payer_account": ("对方账号",),
        "summary": ("摘要",),
        "note": ("备注",),
        "serial": ("交易流水号",),
        "company_serial": ("企业流水号",),
        "account": ("本方账号",),
    },
    optional=frozenset({"company_serial", "note"}),
    texts=("note", "summary"),
    references=("company_serial",),
    bank_words="summary",
)

PERSONAL = Layout(
    bank="ccb_personal",
    columns={
        "booked": ("记账日",),
        "day": ("交易日期",),  # the day that the time belongs to
        "clock": ("交易时间",),
        "out": ("支出",),
        "in": ("收入",),
        "balance": ("账户余额",),
        "currency": ("币种",),
        "summary": ("摘要",),
        "payer_account": ("对方账号",),
        "name": ("对方户名",),
        "place": ("交易地点",),
    },
    texts=("place", "summary"),
    bank_words="summary",
)

PERSONAL_OLD = Layout(
    bank="ccb_personal_old",
    columns={
        "summary": ("摘要",),
        "currency": ("币别",),
        "cash": ("钞汇",),
        "day": ("交易日期",),
        "amount": ("交易金额",),
        "balance": ("账户余额",),
        "note": ("交易地点/附言",),
        "party": ("对方账号与户名",),
    },
    texts=("note", "summary"),
    bank_words="summary",
)
