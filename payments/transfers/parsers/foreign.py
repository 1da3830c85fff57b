"""Tables we know and do not take, so that the clerk is told what he chose, not "unknown format"."""

from collections.abc import Iterable, Sequence

from .refusals import UnknownFormat, UnsupportedStatement

# kind: (what it is, names its header always has)
KNOWN = {
    "wechat_tradebill": (
        "微信支付交易账单，不是银行流水",
        "交易时间 商户号 微信订单号 商户订单号 交易状态 应结订单金额",
    ),
    "wechat_fundflow": (
        "微信支付资金账单，不是银行流水",
        "记账时间 微信支付业务单号 资金流水单号 收支类型",
    ),
    "wechat_personal": (
        "微信个人账单",
        "交易时间 交易类型 交易对方 商品 收/支 支付方式 当前状态 交易单号",
    ),
    "alipay_personal": (
        "支付宝个人账单",
        "交易时间 交易分类 交易对方 对方账号 商品说明 收/支 金额",
    ),
    "alipay_account": ("支付宝账务明细，不是银行流水", "账务流水号 业务流水号 商户订单号 发生时间"),
    "jd_personal": ("京东个人账单", "交易时间 商户名称 交易说明 金额 收/付款方式 交易状态 收/支"),
    "securities": ("证券公司交割单", "交收日期 证券代码 成交价格 清算金额"),
    "icbc_personal": (
        "工商银行个人流水",
        "交易日期 摘要 交易场所 交易国家或地区简称 记账金额(收入) 记账金额(支出)",
    ),
    "icbc_corporate": (
        "工商银行对公流水",
        "本方账号 对方账号 交易时间 借/贷 借方发生额 贷方发生额",
    ),
    "cmb_personal": ("招商银行个人流水", "记账日期 货币 交易金额 联机余额 交易摘要 对手信息"),
    "cmb_credit_card": ("招商银行信用卡账单", "交易日 记账日 交易摘要 人民币金额 卡号末四位"),
    "ccb_personal": ("建设银行个人流水", "记账日 交易日期 交易时间 支出 收入 账户余额 对方户名"),
    "boc_personal": ("中国银行个人流水", "记账日期 记账时间 币别 金额 余额 交易名称 对方账户名"),
    "boc_credit_card": ("中国银行信用卡账单", "交易日 银行记账日 卡号后四位 交易描述 存入 支出"),
    "boc_corporate": ("中国银行对公流水", "交易类型 业务类型 付款人账号 收款人账号 交易流水号"),
    "abc_personal": ("农业银行个人流水", "交易日期 交易时间 交易摘要 交易金额 本次余额 对手信息"),
    "abc_corporate": ("农业银行对公流水", "收入金额 支出金额 对方省市 对方账号 对方户名"),
    "bocom_personal": (
        "交通银行个人流水",
        "序号 交易日期 交易时间 交易类型 借贷 交易金额 余额 对方账号",
    ),
    "spdb_personal": ("浦发银行个人流水", "顺序号 交易日期 交易类型 存入金额 取出金额 余额"),
    "cmbc_corporate": (
        "民生银行对公流水",
        "交易日期 主机交易流水号 借方发生额 贷方发生额 账户余额",
    ),
    "citic_credit_card": ("中信银行信用卡账单", "交易日期 入账日期 交易描述 卡末四位 结算金额"),
    "cgb_credit_card": (
        "广发银行信用卡账单",
        "交易日期 入账日期 交易摘要 交易货币 入账金额 入账货币",
    ),
}
TAKEN = "可导入：建设银行对公 CSV、招商银行 U-Bank xlsx、MT940、CAMT.053"


def refuse(headers: Iterable[Sequence[str]]) -> UnsupportedStatement | UnknownFormat:
    """The refusal for a table without a header we read; `headers` are its first rows, cleaned."""
    for header in headers:
        names = set(header)
        for kind, (title, needed) in KNOWN.items():
            if names.issuperset(needed.split()):
                return UnsupportedStatement(f"{title}，暂不支持。{TAKEN}", kind=kind)
    return UnknownFormat(f"不认识的文件格式：前 40 行里没有已知的表头。{TAKEN}")


def refuse_as(kind: str, title: str) -> UnsupportedStatement:
    return UnsupportedStatement(f"{title}，暂不支持。{TAKEN}", kind=kind)
