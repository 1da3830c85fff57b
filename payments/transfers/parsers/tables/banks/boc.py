"""中国银行: corporate (对公, HISQRY), personal account, credit card."""

from payments.transfers.parsers.tables.layout import CARD, Layout

# Both sides stand in each row; 来账 or 往账 says which of them is we.  Above the header the bank
# counts and adds up what follows.  交易流水号 is its number of a booking.
CORPORATE = Layout(
    bank="boc",
    columns={
        "direction": ("交易类型",),
        "business": ("业务类型",),
        "payer_bank": ("付款人开户行名",),
        "payer_account": ("付款人账号",),
        "name": ("付款人名称",),
        "payee_bank": ("收款人开户行名",),
        "payee_account": ("收款人账号",),
        "payee_name": ("收款人名称",),
        "day": ("交易日期",),
        "clock": ("交易时间",),
        "currency": ("交易货币",),
        "amount": ("交易金额",),
        "balance": ("交易后余额",),
        "serial": ("交易流水号",),
        "summary": ("摘要",),
        "purpose": ("用途",),
        "remark": ("交易附言",),
        "note": ("备注",),
    },
    optional=frozenset({"clock", "payee_bank", "payer_bank", "purpose", "note", "summary"}),
    texts=("remark", "purpose", "summary", "note"),
    bank_words="business",
    amounts_signed=True,
    two_sided=True,
    names_itself=False,  # the bank's own suspense account may stand on our side
)

PERSONAL = Layout(
    bank="boc_personal",
    columns={
        "day": ("记账日期",),
        "clock": ("记账时间",),
        "currency": ("币别",),
        "amount": ("金额",),
        "balance": ("余额",),
        "kind": ("交易名称",),
        "channel": ("渠道",),
        "note": ("附言",),
        "name": ("对方账户名",),
        "payer_account": ("对方卡号/账号",),
        "payer_bank": ("对方开户行",),
    },
    optional=frozenset({"channel", "payer_bank"}),
    texts=("note", "kind"),
    bank_words="kind",
)

CREDIT_CARD = Layout(
    bank="boc_card",
    columns={
        "traded": ("交易日",),
        "day": ("银行记账日",),
        "card": ("卡号后四位",),
        "kind": ("交易描述",),
        "in": ("存入",),
        "out": ("支出",),
        "currency": ("币种",),
    },
    texts=("kind",),
    caution=CARD,
)
