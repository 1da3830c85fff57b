"""中国农业银行: corporate (对公) and personal account."""

from payments.transfers.parsers.tables.layout import Layout

CORPORATE = Layout(
    bank="abc",
    columns={
        "day": ("交易时间", "交易时间戳", "交易时间(戳)"),
        "in": ("收入金额",),
        "out": ("支出金额",),
        "balance": ("本次余额", "账户余额"),
        "payer_bank": ("交易行名", "对方开户行"),
        "payer_account": ("对方账号",),
        "name": ("对方户名",),
        "purpose": ("交易说明", "交易用途"),
        "summary": ("交易摘要", "摘要"),
        "note": ("交易附言",),
    },
    optional=frozenset({"payer_bank", "purpose", "note"}),
    texts=("note", "purpose", "summary"),
    bank_words="summary",
)

# 日志号 numbers a till's entry, which a fee or tax shares with its cause: no serial of a booking.
PERSONAL = Layout(
    bank="abc_personal",
    columns={
        "day": ("交易日期",),
        "clock": ("交易时间",),
        "summary": ("交易摘要",),
        "amount": ("交易金额",),
        "balance": ("本次余额",),
        "party": ("对手信息",),
        "log": ("日志号",),
        "note": ("交易附言",),
    },
    texts=("note", "summary"),
    bank_words="summary",
    ragged=True,
)
