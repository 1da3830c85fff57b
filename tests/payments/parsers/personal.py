"""Personal accounts and credit cards, by the headers of statements.md §2.2."""

from tests.payments.parsers.bank import Bank, ins, outs, sides, yuan
from tests.payments.parsers.made import OURS


def _icbc_personal(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y-%m-%d}     \t",
        "摘要": f"{row.kind}      \t",
        "交易详情": row.remark,
        "钞/汇": "钞",
        **sides(row, "记账金额(收入)", "记账金额(支出)"),
        "记账币种": "人民币",
        "余额": f"{yuan(balance, commas=True)}   \t",
        "对方户名": f"{row.payer_name}     \t",
        "对方账户": row.payer_account,
    }


def _icbc_total(rows):
    names = ICBC_V2.split(",")
    filled = {
        "交易日期": "人民币合计",
        "记账金额(收入)": yuan(sum(ins(rows)), commas=True),
        "记账金额(支出)": yuan(sum(outs(rows)), commas=True),
    }
    return [[""], [filled.get(name, "") for name in names]]


ICBC_V2 = (
    "交易日期,摘要,交易详情,交易场所,交易国家或地区简称,钞/汇,交易金额(收入),交易金额(支出),交易币种,"
    "记账金额(收入),记账金额(支出),记账币种,余额,对方户名,对方账户"
)


def _icbc_card(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y-%m-%d}",
        "记账日期": f"{row.booked_at:%Y-%m-%d}",
        "摘要": row.kind,
        "交易场所": row.remark,
        **sides(row, "记账金额(收入)", "记账金额(支出)"),
        "记账币种": "人民币",
        "余额": yuan(balance),
        "对方户名": row.payer_name,
    }


def _cmb_personal(row, balance, ordinal):
    return {
        "记账日期": f"{row.booked_at:%Y-%m-%d}",
        "货币": "CNY",
        "交易金额": yuan(row.signed_fen, commas=True),
        "联机余额": yuan(balance, commas=True),
        "交易摘要": row.kind,
        "对手信息": f"{row.payer_name.rstrip('0123456789')} {row.payer_account}",
        "客户摘要": row.remark,
    }


def _cmb_card(row, balance, ordinal):
    return {
        "记账日": f"{row.booked_at:%m/%d}",
        "交易摘要": row.remark,
        "人民币金额": yuan(-row.signed_fen, commas=True),
        "卡号末四位": "1234",
    }


def _ccb_personal(row, balance, ordinal):
    return {
        "记账日          ": f"{row.booked_at:%Y%m%d}",
        "交易日期          ": f"{row.booked_at:%Y%m%d}",
        "交易时间": f"{row.booked_at:%H:%M:%S}",
        **sides(row, "收入", "支出", empty="0.00"),
        "账户余额": yuan(balance),
        "币种": "人民币",
        "摘要": row.kind,
        "对方账号": row.payer_account,
        "对方户名": row.payer_name,
        "交易地点      ": row.remark,
    }


def _ccb_old(row, balance, ordinal):
    return {
        "序号": str(ordinal),
        "摘要": row.kind,
        "币别": "人民币元",
        "钞汇": "钞",
        "交易日期": f"{row.booked_at:%Y%m%d}",
        "交易金额": yuan(row.signed_fen),
        "账户余额": yuan(balance),
        "交易地点/附言": row.remark,
        "对方账号与户名": f"{row.payer_account}/{row.payer_name}",
    }


def _boc_personal(row, balance, ordinal):
    return {
        "记账日期": f"{row.booked_at:%Y-%m-%d}",
        "记账时间": f"{row.booked_at:%H:%M:%S}",
        "币别": "人民币",
        "金额": yuan(row.signed_fen, commas=True),
        "余额": yuan(balance, commas=True),
        "交易名称": row.kind,
        "网点名称": "-------------------",
        "附言": row.remark,
        "对方账户名": row.payer_name,
        "对方卡号/账号": row.payer_account,
        "对方开户行": row.payer_bank,
        "借记卡号": "3167",
    }


def _boc_card(row, balance, ordinal):
    return {
        "交易日": f"{row.booked_at:%Y-%m-%d}",
        "银行记账日": f"{row.booked_at:%Y-%m-%d}",
        "卡号后四位": "1234",
        "交易描述": row.remark,
        **sides(row, "存入", "支出"),
        "币种": "人民币",
    }


def _abc_personal(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y%m%d}",
        "交易时间": f"{row.booked_at:%H%M%S}",
        "交易摘要": row.kind,
        "交易金额": yuan(row.signed_fen, plus=True),
        "本次余额": yuan(balance),
        "对手信息": row.payer_account,
        "日 志 号": "369396693",
        "交易附言": row.remark,
    }


def _bocom(row, balance, ordinal):
    return {
        "序号": str(ordinal),
        "交易日期": f"{row.booked_at:%Y-%m-%d}",
        "交易时间": f"{row.booked_at:%H:%M:%S}",
        "交易类型": row.kind,
        "借贷": "贷 Cr" if row.signed_fen > 0 else "借 Dr",
        "交易金额": yuan(row.amount_fen),
        "余额": yuan(balance),
        "对方账号": row.payer_account,
        "对方户名": row.payer_name,
        "摘要": row.remark,
    }


def _spdb(row, balance, ordinal):
    return {
        "顺序号": str(ordinal),
        "交易日期": f"{row.booked_at:%Y%m%d}",
        "交易类型": row.kind,
        **sides(row, "存入金额", "取出金额"),
        "余额": yuan(balance),
        "交易对手名称": row.payer_name,
        "交易对手账号": row.payer_account,
        "附言": row.remark,
    }


def _citic_card(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y-%m-%d}",
        "入账日期": f"{row.booked_at:%Y-%m-%d}",
        "交易描述": row.remark,
        "卡末四位": "1234",
        "交易币种": "人民币",
        "结算币种": "人民币",
        "交易金额": yuan(-row.signed_fen),
        "结算金额": yuan(-row.signed_fen),
    }


def _citic_personal(row, balance, ordinal):
    return {
        "交易时间": f"{row.booked_at:%Y-%m-%d %H:%M:%S}",
        **sides(row, "收入金额", "支出金额"),
        "账户余额": yuan(balance, commas=True),
        "对方名称": row.payer_name,
        "对方账号": row.payer_account,
        "摘要": row.remark,
        "交易流水号": row.serial,
        "交易状态": "完成",
    }


def _cmbc_personal(row, balance, ordinal):
    return {
        "交易时间": f"{row.booked_at:%Y/%m/%d %H:%M:%S}",
        "摘要": row.remark,
        "交易金额": yuan(row.signed_fen, commas=True),
        "账户余额": yuan(balance, commas=True),
        "现转标志": "转账",
        "交易渠道": "网上银行",
        "对方户名/账号": f"{row.payer_name}/{row.payer_account}",
        "对方行名": row.payer_bank,
    }


def _cgb_card(row, balance, ordinal):
    return {
        "交易日期": f"{row.booked_at:%Y/%m/%d}",
        "入账日期": f"{row.booked_at:%Y/%m/%d}",
        "交易摘要": row.remark,
        "入账金额": yuan(-row.signed_fen),
        "入账货币": "人民币",
    }


def _hsbc(row, balance, ordinal):
    return {
        "Date": f"{row.booked_at:%d/%m/%Y}",
        "Description": row.remark,
        "Billing amount": yuan(row.signed_fen, commas=True),
        "Billing currency": "HKD",
        "Balance": yuan(balance, commas=True),
        "Balance currency": "HKD",
    }


_REVERSED = {"摘要": "冲正"}
_ICBC_LEAD = [
    ["明细查询文件下载"],
    [""],
    ["卡号: 1234****9876", "卡别名: "],
    [""],
    ["子账户序号: 00000", "子账户类别: 活期"],
    [""],
]

# format's name: how the bank writes it
PERSONAL = {
    "icbc_personal_csv": Bank(
        ICBC_V2,
        _icbc_personal,
        encoding="utf-8-sig",
        lead=lambda rows: _ICBC_LEAD,
        footer=_icbc_total,
        has_clock=False,
        newest_first=True,
        reversal=_REVERSED,
        total="记账金额(收入)",
    ),
    "icbc_card_csv": Bank(
        "交易日期,记账日期,摘要,交易场所,交易国家或地区简称,交易金额(收入),交易金额(支出),交易币种,"
        "记账金额(收入),记账金额(支出),记账币种,余额,对方户名",
        _icbc_card,
        encoding="utf-8",
        has_account=False,
        has_clock=False,
        newest_first=True,
        card=True,
        reversal=_REVERSED,
    ),
    "cmb_personal_csv": Bank(
        "记账日期,货币,交易金额,联机余额,交易摘要,对手信息,客户摘要",
        _cmb_personal,
        has_clock=False,
        reversal={"交易摘要": "冲账"},
    ),
    "cmb_card_csv": Bank(
        "交易日,记账日,交易摘要,人民币金额,卡号末四位,交易地金额",
        _cmb_card,
        lead=lambda rows: [["招商银行信用卡对账单（个人消费卡账户 2026年02月）"]],
        has_account=False,
        has_clock=False,
        has_balance=False,
        card=True,
    ),
    "ccb_personal_xls": Bank(
        "记账日          ,交易日期          ,交易时间,支出,收入,账户余额,币种,摘要,"
        "对方账号,对方户名,交易地点      ",
        _ccb_personal,
        container="xls",
        lead=lambda rows: [
            ["China Construction Bank"],
            ["开户机构：", "xxx"],
            ["币　　种：", "人民币"],
            ["账　　号：", OURS],
            [""],
        ],
        footer=lambda rows: [["以上数据仅供参考|具体内容请以柜台为准"]],
        named=True,
        reversal=_REVERSED,
    ),
    "ccb_personal_old_csv": Bank(
        "序号,摘要,币别,钞汇,交易日期,交易金额,账户余额,交易地点/附言,对方账号与户名",
        _ccb_old,
        has_clock=False,
        reversal=_REVERSED,
    ),
    "boc_personal_csv": Bank(
        "记账日期,记账时间,币别,金额,余额,交易名称,渠道,网点名称,附言,对方账户名,对方卡号/账号,对方开户行,借记卡号",
        _boc_personal,
        encoding="utf-16",
        delimiter="\t",
        lead=lambda rows: [["中国银行交易流水明细单"]],
        newest_first=True,
        reversal={"交易名称": "冲正"},
    ),
    "boc_card_csv": Bank(
        "交易日,银行记账日,卡号后四位,交易描述,存入,支出,币种",
        _boc_card,
        lead=lambda rows: [["中国银行信用卡账单"]],
        has_account=False,
        has_clock=False,
        has_balance=False,
        card=True,
    ),
    "abc_personal_csv": Bank(
        "交易日期,交易时间,交易摘要,交易金额,本次余额,对手信息,日 志 号,交易渠道,交易附言",
        _abc_personal,
        reversal={"交易摘要": "冲正"},
    ),
    "bocom_personal_csv": Bank(
        "序号,交易日期,交易时间,交易类型,借贷,交易金额,余额,对方账号,对方户名,交易地点,摘要",
        _bocom,
        reversal={"交易类型": "抹账"},
    ),
    "spdb_personal_xls": Bank(
        "顺序号,交易日期,交易类型,存入金额,取出金额,余额,交易对手名称,交易对手账号,附言",
        _spdb,
        container="xls",
        lead=lambda rows: [["账号", OURS]],
        named=True,
        has_clock=False,
        reversal={"交易类型": "冲正"},
    ),
    "citic_personal_csv": Bank(
        "交易时间,收入金额,支出金额,账户余额,对方名称,对方账号,受理机构,摘要,交易流水号,交易卡号,交易状态",
        _citic_personal,
        has_serial=True,
    ),
    "cmbc_personal_csv": Bank(
        "凭证类型,凭证号码,交易时间,摘要,交易金额,账户余额,现转标志,交易渠道,交易机构,对方户名/账号,对方行名",
        _cmbc_personal,
    ),
    "citic_card_xls": Bank(
        "交易日期,入账日期,交易描述,卡末四位,交易币种,结算币种,交易金额,结算金额",
        _citic_card,
        container="xls",
        lead=lambda rows: [["中信银行信用卡账单"]],
        has_account=False,
        has_clock=False,
        has_balance=False,
        card=True,
    ),
    "cgb_card_csv": Bank(
        "交易日期,入账日期,交易摘要,交易金额,交易货币,入账金额,入账货币",
        _cgb_card,
        has_account=False,
        has_clock=False,
        has_balance=False,
        card=True,
    ),
    "hsbc_hk_csv": Bank(
        "Date,Description,Billing amount,Billing currency,Balance,Balance currency",
        _hsbc,
        encoding="utf-8",
        has_account=False,
        has_clock=False,
        currency="HKD",
    ),
}
