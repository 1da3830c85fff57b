"""Corporate (对公) exports, by the headers of statements.md §2.3.

No public file of one exists: the headers are the banks', the rows are ours.  Which header is known
from where stands in docs/statements.md.
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


def _bocom(row, balance, ordinal):
    return {
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        **sides(row, "贷方发生额（收入）", "借方发生额（支出）"),
        "账户余额": yuan(balance, commas=True),
        "对方账号": row.payer_account,
        "对方户名": row.payer_name,
        "摘要": row.remark,
    }


def _spdb(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y%m%d}",
        "交易时间": f"{row.booked_at:%H%M%S}",
        **sides(row, "贷方金额", "借方金额"),
        "余额": yuan(balance),
        "对方账号": row.payer_account,
        "对方户名": row.payer_name,
        "对方行名": row.payer_bank,
        "交易流水号": row.serial,
        "摘要": row.kind,
        "传票序号": "1",
        "记录状态": "正常",
        "交易附言": row.remark,
    }


def _spdb_short(row, balance, ordinal):
    filled = _spdb(row, balance, ordinal)
    for name in ("传票序号", "记录状态", "交易附言"):
        del filled[name]
    return filled | {"摘要": row.remark}


def _cmbc_new(row, balance, ordinal):
    return {
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        "交易流水号": row.serial,
        **sides(row, "贷方发生额", "借方发生额"),
        "账户余额": yuan(balance, commas=True),
        "客户附言": row.remark,
        "对方账号": row.payer_account,
        "对方账号名称": row.payer_name,
        "对方开户行": row.payer_bank,
    }


def _cgb(row, balance, ordinal):
    return {
        "流水号": row.serial,
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        **sides(row, "收入", "支出", empty="-"),
        "余额": yuan(balance, commas=True),
        "币种": "人民币",
        "对方账号": row.payer_account,
        "对方户名": row.payer_name,
        "对方开户行": row.payer_bank,
        "摘要": row.kind,
        "附言": row.remark,
    }


def _cgb_lead(rows):
    comes, goes = ins(rows), outs(rows)
    return [
        ["户名：甲公司", f"账号：{OURS}", "起止日期：20260105-20260105"],
        ["支出总金额", yuan(sum(goes), commas=True)],
        ["支出总笔数", str(len(goes))],
        ["收入总金额", yuan(sum(comes), commas=True)],
        ["收入总笔数", str(len(comes))],
        ["账户当前余额", "2,342.22"],
        ["记录数", str(len(rows))],
        [],
    ]


def _icbc_one(row, balance, ordinal):
    return {
        "对方账号": row.payer_account,
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        "借贷标志": "贷" if row.signed_fen > 0 else "借",
        "对方单位": row.payer_name,
        "摘要": row.kind,
        "附言": row.remark,
        "发生额": yuan(row.amount_fen, commas=True),
        "余额": yuan(balance, commas=True),
        "币种": "人民币",
    }


def _icbc_day(row, balance, ordinal):
    return {
        "日期": f"{row.booked_at:%Y-%m-%d}",
        "交易类型": row.kind,
        "对方户名": row.payer_name,
        "对方账号": row.payer_account,
        "摘要": row.remark,
        **sides(row, "贷方发生额", "借方发生额"),
        "余额": yuan(balance),
    }


def _ccb_other(row, balance, ordinal):
    return {
        "日期": f"{row.booked_at:%Y-%m-%d}",
        "交易时间": f"{row.booked_at:%H:%M:%S}",
        **sides(row, "贷方发生额", "借方发生额"),
        "余额": yuan(balance, commas=True),
        "对方户名": row.payer_name,
        "对方账号": row.payer_account,
        "摘要": row.kind,
        "备注": row.remark,
        "交易流水号": row.serial,
        "本方账号": row.virtual_account or OURS,
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
        "交易日期,交易时间,对方账号,对方账户名称,对方账号开户网点名称,借方发生额,贷方发生额,账户余额,"
        "摘要,退汇标识,退汇日期,柜员交易号,附言,币种,交易账号,交易账号开户网点名称,对账编号,"
        "单位结算卡号,发起方流水号,动账资金分簿,凭证类型,凭证号码",
        _citic,
        container="xls",
        lead=lambda rows: [["账户明细"], *[[""]] * 4, ["账号", OURS], *[[""]] * 8],
        named=True,
        has_serial=True,
        reversal={"退汇标识": "退汇"},
    ),
    "bocom_xls": Bank(
        "交易时间,借方发生额（支出）,贷方发生额（收入）,账户余额,对方账号,对方户名,摘要",
        _bocom,
        container="xls",
        lead=lambda rows: [["账号", OURS]],
        named=True,
    ),
    "spdb_xls": Bank(
        "交易日期,交易时间,申请日期,凭证号,借方金额,贷方金额,余额,对方账号,对方户名,对方行名,交易流水号,"
        "传票序号,记录状态,摘要,交易附言,客户账户类型",
        _spdb,
        container="xls",
        lead=lambda rows: [["账号", OURS], ["账户名称", "甲公司"], [""], [""], [""]],
        named=True,
        has_serial=True,
        entry="-1",
        reversal=_REVERSED,
    ),
    "spdb_short_xls": Bank(
        "交易日期,交易时间,申请日期,凭证号,借方金额,贷方金额,余额,对方账号,对方户名,对方行名,交易流水号,"
        "摘要",
        _spdb_short,
        container="xls",
        lead=lambda rows: [["账号", OURS], ["账户名称", "甲公司"], [""], [""]],
        named=True,
    ),
    "cmbc_new_xlsx": Bank(
        "交易时间,交易流水号,借方发生额,贷方发生额,账户余额,凭证号,客户附言,对方账号,对方账号名称,"
        "对方开户行",
        _cmbc_new,
        container="xlsx",
        lead=lambda rows: [["账号", OURS], *[[""]] * 17],
        named=True,
        has_serial=True,
    ),
    "cgb_csv": Bank(
        "流水号,交易时间,收入,支出,余额,币种,对方账号,对方户名,交易行所,对方开户行联行号,对方开户行,"
        "凭证号,摘要,备注,附言",
        _cgb,
        lead=_cgb_lead,
        named=True,
        has_serial=True,
        newest_first=True,
        reversal=_REVERSED,
        total="收入总金额",
    ),
    "icbc_one_csv": Bank(
        "对方账号,交易时间,借贷标志,对方单位,对方行号,用途,摘要,附言,发生额,余额,币种",
        _icbc_one,
        reversal=_REVERSED,
    ),
    "icbc_day_xls": Bank(
        "日期,交易类型,凭证种类,凭证号,对方户名,对方账号,摘要,借方发生额,贷方发生额,余额",
        _icbc_day,
        container="xls",
        lead=lambda rows: [["账户明细"], ["账号", OURS], ["户名", "甲公司"], [""], [""]],
        named=True,
        has_clock=False,
        reversal={"交易类型": "冲正"},
    ),
    "ccb_other_xls": Bank(
        "日期,交易时间,凭证类型,凭证号,借方发生额,贷方发生额,余额,钞汇标识,对方户名,对方账号,摘要,备注,"
        "交易流水号,企业流水号,本方账号,本方户名,本方网点",
        _ccb_other,
        container="xls",
        lead=lambda rows: [["中国建设银行"], *[[""]] * 3, ["账号", OURS], *[[""]] * 4],
        named=True,
        has_serial=True,
        reversal=_REVERSED,
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
