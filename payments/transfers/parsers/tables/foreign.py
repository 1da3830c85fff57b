"""Tables we know and do not take, so that the clerk is told what he chose, not "unknown format"."""

from collections.abc import Iterable, Mapping, Sequence

from payments.transfers.parsers.refusals import UnknownFormat, UnsupportedStatement

# kind: (what it is, names its header always has)
KNOWN = {
    "jd_personal": ("京东个人账单", "交易时间 商户名称 交易说明 金额 收/付款方式 交易状态 收/支"),
    "securities": ("证券公司交割单", "交收日期 证券代码 成交价格 清算金额"),
}
# Bills that `channels` reads as they are downloaded: here they come out of a workbook.
RESAVED = {
    "wechat_tradebill": ("微信支付交易账单", "交易时间 商户号 微信订单号 商户订单号 交易状态"),
    "wechat_fundflow": (
        "微信支付资金账单",
        "记账时间 微信支付业务单号 资金流水单号 收支类型",
    ),
    "wechat_personal": ("微信个人账单", "交易时间 交易类型 交易对方 商品 收/支 当前状态 交易单号"),
    "alipay_personal": ("支付宝个人账单", "交易时间 交易分类 交易对方 商品说明 收/支 金额"),
    "alipay_account": ("支付宝账务明细", "账务流水号 业务流水号 商户订单号 发生时间"),
    "alipay_trade": ("支付宝业务明细", "支付宝交易号 商户订单号 业务类型 创建时间"),
}
TAKEN = "可导入：各银行导出的 CSV、xlsx、xls 明细，MT940，CAMT.053/054，微信支付、支付宝的商户账单"


def refuse(
    headers: Iterable[Sequence[str]], columns: Mapping[str, str] | None = None
) -> UnsupportedStatement | UnknownFormat:
    """The refusal for a table without a header we read; `headers` are its first rows, cleaned."""
    for header in headers:
        names = set(header)
        for kind, (title, needed) in KNOWN.items():
            if names.issuperset(needed.split()):
                return refuse_as(kind, title)
        for kind, (title, needed) in RESAVED.items():
            if names.issuperset(needed.split()):
                return UnsupportedStatement(
                    f"{title}只能按下载的原样（CSV 或压缩包）导入，不能是另存的工作簿", kind=kind
                )
    if columns:
        wanted = "、".join(columns.values())
        return UnknownFormat(f"前 40 行里没有一行同时含有指定的列：{wanted}（列名不可重复）")
    return UnknownFormat(
        f"不认识的文件格式：前 40 行里没有已知的表头，请管理员为它指定各列。{TAKEN}"
    )


def refuse_as(kind: str, title: str) -> UnsupportedStatement:
    return UnsupportedStatement(f"{title}，暂不支持。{TAKEN}", kind=kind)
