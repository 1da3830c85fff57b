"""招商银行 U-Bank detail export (xlsx); headers from code that reads it, statements.md §2.3.

母/子公司帐号 holds the virtual account (记账子单元) money came to; the account itself stands in the
lines above the header.  冲帐标志 marks a reversal.
"""

from .tables import Layout

LAYOUT = Layout(
    bank="cmb",
    columns={
        "account": ("母/子公司账号",),
        "day": ("交易日",),
        "clock": ("交易时间",),
        "out": ("借方金额",),
        "in": ("贷方金额",),
        "balance": ("余额",),
        "currency": ("币种",),
        "name": ("收/付方名称",),
        "payer_account": ("收/付方账号",),
        "payer_bank": ("收/付方开户行名",),
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
    remark=("summary", "purpose", "business_summary", "other_summary", "more_summary"),
    texts=(
        *("summary", "purpose", "business_summary", "other_summary", "more_summary"),
        "business_reference",
    ),
    names_itself=False,  # a group's mother company may stand there
)
