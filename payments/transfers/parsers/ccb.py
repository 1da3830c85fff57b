"""中国建设银行 corporate (对公) detail export; headers from code that reads it, statements.md §2.3.

CSV in gb18030 or UTF-8.  The column 账号 names the account the money came to: the account itself
or a virtual account, whose number begins with it.
"""

from .tables import Layout

LAYOUT = Layout(
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
    remark=("note", "summary"),
    texts=("note", "summary", "company_serial"),
    bank_words="summary",
)
