"""招商银行: U-Bank (对公), personal account, credit card.

U-Bank: 母/子公司帐号 holds the virtual account (记账子单元) money came to; the account itself
stands in the lines above the header.  冲帐标志 marks a reversal.
"""

from payments.transfers.parsers.tables.layout import CARD, Days, Layout

CORPORATE = Layout(
    bank="cmb",
    columns={
        "account": ("母/子公司账号",),
        "day": ("交易日",),
        "clock": ("交易时间",),
        "out": ("借方金额",),
        "in": ("贷方金额",),
        "balance": ("余额",),
        "currency": ("币种",),
        "name": ("收/付方名称", "收(付)方名称"),
        "payer_account": ("收/付方账号", "收(付)方账号"),
        "payer_bank": ("收/付方开户行名", "收(付)方开户行名"),
        "summary": ("摘要",),
        "purpose": ("用途",),
        "business_summary": ("业务摘要",),
        "other_summary": ("其它摘要",),
        "more_summary": ("扩展摘要",),
        "business_reference": ("业务参考号",),
        "serial": ("流水号",),
        "reversal": ("冲账标志",),
    },
    optional=frozenset(
        {"account", "currency", "payer_bank", "purpose", "business_summary", "other_summary"}
        | {"more_summary", "business_reference"}
    ),
    texts=("summary", "purpose", "business_summary", "other_summary", "more_summary"),
    references=("business_reference",),
    names_itself=False,  # a group's mother company may stand there
)

PERSONAL = Layout(
    bank="cmb_personal",
    columns={
        "day": ("记账日期",),
        "currency": ("货币",),
        "amount": ("交易金额",),
        "balance": ("联机余额",),
        "kind": ("交易摘要",),
        "party": ("对手信息",),
        "note": ("客户摘要",),
    },
    optional=frozenset({"note"}),
    texts=("note", "kind"),
    bank_words="kind",
)

# The card's statement is dated MM/DD, its title says the month; 交易日 is empty for repayments.
CREDIT_CARD = Layout(
    bank="cmb_card",
    columns={
        "day": ("记账日",),
        "traded": ("交易日",),
        "kind": ("交易摘要",),
        "amount": ("人民币金额",),
        "card": ("卡号末四位",),
    },
    texts=("kind",),
    sign=-1,
    days=Days.WITHOUT_YEAR,
    caution=CARD,
)
