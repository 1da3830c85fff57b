"""Bills of WeChat Pay and Alipay, written from the header rows that reference pages give."""

import io
import json
import zipfile


def _names(header):
    return header.split(",")


TRADE = _names(
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,"
    "交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,"
    "充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
REFUND_COLUMNS = {
    *("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态"),
    "申请退款金额",
}
SUCCESS = [name for name in TRADE if name not in REFUND_COLUMNS]
REFUND = [*TRADE[:14], "退款申请时间", "退款成功时间", *TRADE[14:]]
TRADE_FOOTER = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
MCHID = "1900000109"

PAID = {
    "交易时间": "2026-01-05 08:00:24",
    "公众账号ID": "wx0000000000000001",
    "商户号": MCHID,
    "特约商户号": "0",
    "微信订单号": "4200000001",
    "商户订单号": "P1",
    "用户标识": "openid1",
    "交易类型": "JSAPI",
    "交易状态": "SUCCESS",
    "付款银行": "OTHERS",
    "货币种类": "CNY",
    "应结订单金额": "100.00",
    "代金券金额": "0.00",
    "微信退款单号": "0",
    "商户退款单号": "0",
    "退款金额": "0.00",
    "充值券退款金额": "0.00",
    "商品名称": "货",
    "手续费": "0.60000",
    "费率": "0.60%",
    "订单金额": "100.00",
    "申请退款金额": "0.00",
}
REFUNDED = {
    **PAID,
    "交易时间": "2026-01-05 09:00:00",
    "交易状态": "REFUND",
    "应结订单金额": "0.00",
    "订单金额": "0.00",
    "微信退款单号": "5030000001",
    "商户退款单号": "R1",
    "退款金额": "30.00",
    "申请退款金额": "30.00",
    "退款类型": "ORIGINAL",
    "退款状态": "SUCCESS",
    "手续费": "-0.18000",
}
TRADES = (PAID, {**PAID, "微信订单号": "4200000002", "商户订单号": "P2"}, REFUNDED)
TRADE_FIGURES = "`3.0,`200.00,`30.00,`0.0,`1.02000,`200.00,`30.00"


def tradebill(*rows, header=TRADE, figures=TRADE_FIGURES, footer=TRADE_FOOTER):
    """A trade bill as WeChat Pay sends it: BOM, CRLF, back-ticks."""
    lines = [",".join(header), *(_ticked(row, header) for row in rows or TRADES), footer, figures]
    return "\r\n".join([*lines, ""]).encode("utf-8-sig")


FUND = _names(
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FUND_FOOTER = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
FLOWS = tuple(
    {
        "记账时间": f"2026-01-05 08:00:{i:02d}",
        "微信支付业务单号": f"420000{i}",
        "资金流水单号": f"F{i}",
        "业务名称": name,
        "业务类型": kind,
        "收支类型": side,
        "收支金额(元)": amount,
        "账户结余(元)": balance,
        "备注": f"备注{i},含`号",
        "业务凭证号": f"P{i}",
    }
    for i, (name, kind, side, amount, balance) in enumerate(
        [
            ("交易", "交易", "收入", "100.00", "1100.00"),
            ("交易", "扣除交易手续费", "支出", "0.60", "1099.40"),
            ("退款", "退款", "支出", "30.00", "1069.40"),
        ]
    )
)
FUND_FIGURES = "`3,`1,`100.00,`2,`30.60"


def fundflow(*rows, header=FUND, figures=FUND_FIGURES, footer=FUND_FOOTER):
    lines = [",".join(header), *(_ticked(row, FUND) for row in rows or FLOWS), footer, figures]
    return "\r\n".join([*lines, ""]).encode("utf-8-sig")


def _ticked(row, header):
    return ",".join("`" + row.get(name, "") for name in header)


ALIPAY = "20880000000000010156"
ACCOUNT = _names(
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,"
    "账户余额（元）,交易渠道,业务类型,备注"
)
ENTRIES = (
    ("1001", "2026010522", "P1", "货", "100.00", "0.00", "1100.00", "在线支付"),
    ("1002", "2026010522", "P1", "货", "0.00", "-0.60", "1099.40", "收费"),
    ("1003", "2026010523", "P1", "货", "0.00", "-30.00", "1069.40", "退款"),
)
ACCOUNT_END = "#-----账务明细列表结束-----"
ACCOUNT_TOTALS = ("#支出合计：2笔，共-30.60元", "#收入合计：1笔，共100.00元")


def alipay_account(*rows, totals=ACCOUNT_TOTALS, end=ACCOUNT_END, encoding="gbk", header=ACCOUNT):
    """A 账务明细; a row is serial, business, order, goods, in, out, balance, kind."""
    lead = [
        "#支付宝账务明细查询",
        f"#账号：[{ALIPAY}]",
        "#起始日期：[2026年01月05日 00:00:00]   终止日期：[2026年01月06日 00:00:00]",
        "#-----------------------------------------账务明细列表----------------------------------",
    ]
    body = [
        f"{serial}\t,{business}\t,{order}\t,{goods}\t,2026-01-05 08:00:24,乙 (b@example.com)\t,"
        f"{into},{out},{balance},支付宝,{kind},备注\t"
        for serial, business, order, goods, into, out, balance, kind in rows or ENTRIES
    ]
    foot = [end, *totals, "#导出时间：[2026年01月06日 09:00:00]"]
    return "\r\n".join([*lead, ",".join(header), *body, *foot, ""]).encode(encoding)


ALIPAY_TRADE = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,"
    "分润（元）,备注"
)
ALIPAY_TRADE_TOTALS = (
    "#交易合计：2笔，商家实收共195.00元，商家优惠共5.00元",
    "#退款合计：1笔，商家实收退款共-30.00元，商家优惠退款共0.00元",
)


def alipay_trade(totals=ALIPAY_TRADE_TOTALS, goods="货"):
    body = [
        f"{number}\t,P{number}\t,{kind}\t,{goods}\t,2026-01-05 08:00:24,2026-01-05 08:00:30,"
        f"\t,\t,\t,\t,*乙(137****0000)\t,{ordered},{got},0.00,0.00,0.00,{off},0.00,\t,0.00,0.00,{request}\t,"
        "-0.60,0.00,\t"
        for number, kind, ordered, got, off, request in [
            ("9001", "交易", "100.00", "100.00", "0.00", ""),
            ("9002", "交易", "100.00", "95.00", "5.00", ""),
            ("9001", "退款", "-30.00", "-30.00", "0.00", "R1"),
        ]
    ]
    lead = ["#支付宝业务明细查询", f"#账号：[{ALIPAY}]", "#-----业务明细列表-----", ALIPAY_TRADE]
    return "\r\n".join([*lead, *body, "#-----业务明细列表结束-----", *totals, ""]).encode("gbk")


SUMMED = (
    "#支付宝账务汇总查询\r\n#-----账务汇总列表-----\r\n"
    "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）\r\n"
    "在线支付,1,100.00,0,0.00,100.00\r\n合计,{},100.00,2,-30.60,69.40\r\n"
    "#-----账务汇总列表结束-----\r\n"
)


class _Gbk(zipfile.ZipInfo):
    """A member whose name is GBK, without the flag that would say UTF-8, as Alipay writes it."""

    def _encodeFilenameFlags(self):  # noqa: N802 - the library's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def zipped(parts):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, part in parts.items():
            member = _Gbk(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, part)
    return target.getvalue()


def income(*records, **page):
    """An answer of income-records with these records, each 10.00 yuan unless it says otherwise."""
    return json.dumps(answer(*records, **page), ensure_ascii=False).encode()


def answer(*records, **page):
    made = [
        {
            "mchid": MCHID,
            "account_type": "BASIC",
            "income_record_type": "ENTERPRISEDIRECTREVENUE",
            "income_record_id": f"I{i}",
            "amount": 1000,
            "success_time": "2026-01-05T08:00:24+08:00",
            "bank_name": "招商银行",
            "bank_account_name": "乙公司",
            "bank_account_number": "****6473",
            "recharge_remark": "货款 12345678",
            **record,
        }
        for i, record in enumerate(records, start=page.get("offset", 0))
    ]
    count = len(made)
    return {"data": made, "links": {}, "offset": 0, "limit": count, "total_count": count, **page}
