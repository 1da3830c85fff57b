"""Corporate (对公) exports, by the headers of statements.md §2.3.

No public file of one exists: the headers are the banks', the rows are ours.
"""

from tests.payments.parsers.bank import Bank, ins, outs, sides, yuan
from tests.payments.parsers.made import OURS


def _icbc_corporate(row, balance, ordinal):
    return {
        "本方账号": row.virtual_account or OURS,
        "对方账号": row.payer_account,
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        "借/贷": "贷" if row.signed_fen > 0 else "借",
        **sides(row, "贷方发生额", "借方发生额"),
        "摘要": row.kind,
        "用途": row.remark,
        "对方单位名称": row.payer_name,
        "余额": yuan(balance, commas=True),
    }


def _boc_corporate(row, balance, ordinal):
    comes = row.signed_fen > 0
    other = {"开户行名": row.payer_bank, "账号": row.payer_account, "名称": row.payer_name}
    ours = {"开户行名": "中国银行", "账号": row.virtual_account or OURS, "名称": "甲公司"}
    said = {
        "付款人开户行名[ Payer account bank ]": "开户行名",
        "付款人账号[ Debit Account No. ]": "账号",
        "付款人名称[ Payer's Name ]": "名称",
        "收款人开户行名[ Beneficiary account bank ]": "开户行名",
        "收款人账号[ Payee's Account Number ]": "账号",
        "收款人名称[ Payee's Name ]": "名称",
    }
    filled = {
        title: (other if title.startswith("付款人") == comes else ours)[part]
        for title, part in said.items()
    }
    return {
        **filled,
        "交易类型[ Transaction Type ]": "来账" if comes else "往账",
        "业务类型[ Business type ]": "网上支付",
        "交易日期[ Transaction Date ]": f"{row.booked_at:%Y%m%d}",
        "交易时间[ Transaction time ]": f"{row.booked_at:%H:%M:%S}",
        "交易货币[ Trade Currency ]": "CNY",
        "交易金额[ Trade Amount ]": yuan(row.signed_fen, plus=True),
        "交易后余额[ After-transaction balance ]": yuan(balance),
        "交易流水号[ Transaction reference number ]": row.serial,
        "交易附言[ Remark ]": row.remark,
    }


def _boc_lead(rows):
    comes, goes = ins(rows), outs(rows)
    return [
        ["查询账号[Inquirer account number]", OURS],
        ["总笔数[Total number of transactions]", str(len(rows))],
        ["借方发生总笔数[Debit number]", str(len(goes))],
        ["借方发生总额[Debit amount]", yuan(sum(goes))],
        ["贷方发生总笔数[Credit number]", str(len(comes))],
        ["贷方发生总额[Credit amount]", yuan(sum(comes))],
        ["查询时间范围[Time range]", "20260105-20260105"],
    ]


_BOC_HEADER = (
    "交易类型[ Transaction Type ],业务类型[ Business type ],付款人开户行号[ Payer bank No. ],"
    "付款人开户行名[ Payer account bank ],付款人账号[ Debit Account No. ],"
    "付款人名称[ Payer's Name ],"
    "收款人开户行行号[ Beneficiary bank No. ],收款人开户行名[ Beneficiary account bank ],"
    "收款人账号[ Payee's Account Number ],收款人名称[ Payee's Name ],交易日期[ Transaction Date ],"
    "交易时间[ Transaction time ],交易货币[ Trade Currency ],交易金额[ Trade Amount ],"
    "交易后余额[ After-transaction balance ],起息日期[ Value Date ],汇率[ Exchange rate ],"
    "交易流水号[ Transaction reference number ],客户申请号[ Online Banking Transaction Ref. ],"
    "客户业务编号[ Customer Transaction Ref. ],凭证类型[ Voucher type ],凭证号码[ Voucher number ],"
    "记录标识号[ Record ID ],摘要[ Reference ],用途[ Purpose ],交易附言[ Remark ],备注[ Remarks ]"
)

_BOC = Bank(
    header=_BOC_HEADER,
    cells=_boc_corporate,
    lead=_boc_lead,
    named=True,
    has_serial=True,
    reversal={"业务类型[ Business type ]": "冲正"},
    total="贷方发生总额[Credit amount]",
)


def _abc_corporate(row, balance, ordinal):
    return {
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        **sides(row, "收入金额", "支出金额", empty="0.00"),
        "本次余额": yuan(balance),
        "交易行名": row.payer_bank,
        "对方账号": row.payer_account,
        "对方户名": row.payer_name,
        "交易摘要": row.kind,
        "交易附言": row.remark,
    }


def _cmbc(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y-%m-%d}",
        "主机交易流水号": row.serial,
        **sides(row, "贷方发生额", "借方发生额"),
        "账户余额": yuan(balance, commas=True),
        "摘要": row.remark,
        "对方账号": row.payer_account,
        "对方账号名称": row.payer_name,
        "对方开户行": row.payer_bank,
        "交易时间": f"{row.booked_at:%H:%M:%S}",
    }


def _citic(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y-%m-%d}",
        "交易时间": f"{row.booked_at:%H:%M:%S}",
        "柜员交易号": row.serial,
        **sides(row, "贷方发生额", "借方发生额"),
        "账户余额": yuan(balance, commas=True),
        "对方账号": row.payer_account,
        "对方账户名称": row.payer_name,
        "摘要": row.kind,
        "附言": row.remark,
    }


def _pingan(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y%m%d}",
        "账号": row.virtual_account or OURS,
        **sides(row, "贷", "借"),
        "账户余额": yuan(balance),
        "对方账户": row.payer_account,
        "对方账户名称": row.payer_name,
        "交易流水号": row.serial,
        "摘要": row.kind,
        "用途": row.remark,
    }


def _treasury(row, balance, ordinal):
    return {
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        "本方户名": "甲公司",
        "本方账号": row.virtual_account or OURS,
        **sides(row, "收入", "支出"),
        "账户余额": yuan(balance, commas=True),
        "对方户名": row.payer_name,
        "对方账号": row.payer_account,
        "币种": "人民币",
        "交易备注": row.remark,
        "交易类型": row.kind,
    }


_REVERSED = {"摘要": "冲正"}

# format's name: how the bank writes it
CORPORATE = {
    "icbc_xlsx": Bank(
        "凭证号,本方账号,对方账号,交易时间,借/贷,借方发生额,贷方发生额,对方行号,摘要,用途,对方单位名称,"
        "余额,个性化信息",
        _icbc_corporate,
        container="xlsx",
        lead=lambda rows: [["账户历史明细"]],
        named=True,
        reversal=_REVERSED,
    ),
    "boc_csv": _BOC,
    "abc_xls": Bank(
        "交易时间,收入金额,支出金额,本次余额,手续费总额,交易方式,交易行名,交易类别,对方省市,对方账号,"
        "对方户名,交易说明,交易摘要,交易附言",
        _abc_corporate,
        container="xls",
        lead=lambda rows: [["账户明细"], [f"账号：{OURS}", "户名：甲公司"]],
        footer=lambda rows: [["汇总", yuan(sum(ins(rows))), yuan(sum(outs(rows)))]],
        named=True,
        reversal={"交易摘要": "冲正"},
        total="收入金额",
    ),
    "cmbc_csv": Bank(
        "交易日期,主机交易流水号,借方发生额,贷方发生额,账户余额,凭证号,摘要,对方账号,对方账号名称,"
        "对方开户行,交易时间",
        _cmbc,
        has_serial=True,
    ),
    "citic_xls": Bank(
        "交易日期,交易时间,柜员交易号,借方发生额,贷方发生额,账户余额,对方账号,对方账户名称,摘要,附言,"
        "退汇标识",
        _citic,
        container="xls",
        lead=lambda rows: [["账户明细"], ["账号", OURS], *[[""]] * 13],
        named=True,
        has_serial=True,
        reversal={"退汇标识": "退汇"},
    ),
    "pingan_csv": Bank(
        "交易日期,账号,借,贷,账户余额,对方账户,对方账户名称,交易流水号,摘要,用途",
        _pingan,
        named=True,
        has_serial=True,
        has_clock=False,
        reversal=_REVERSED,
    ),
    "treasury_xlsx": Bank(
        "交易时间,本方户名,本方账号,收入,支出,账户余额,对方户名,对方账号,币种,交易备注,交易类型",
        _treasury,
        container="xlsx",
        lead=lambda rows: [["账户明细"], ["户名", "甲公司"]],
        named=True,
        reversal={"交易类型": "冲正"},
    ),
}
