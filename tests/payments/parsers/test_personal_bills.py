"""A person's bill: refused by name, and read where the account is said to be a person's."""

import io

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.channels import personal_bills
from payments.transfers.parsers.statement import Declared, Known, Source
from tests.payments.parsers.made import counted

WECHAT_HEADER = (
    "交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注"
)
WECHAT_HEAD = (
    "微信支付账单明细,,,,,,,,,,",
    "微信昵称：[测试],,,,,,,,,,",
    "共4笔记录,,,,,,,,,,",
    "收入：2笔 30.00元,,,,,,,,,,",
    "支出：1笔 5.00元,,,,,,,,,,",
    "中性交易：1笔 2000.00元,,,,,,,,,,",
    "----------------------微信支付账单明细列表--------------------,,,,,,,,,,",
)
WECHAT_ROWS = (
    '2026-01-05 12:45:27,转账,"乙,丙","两\n行",收入,¥10.00,/,已存入零钱,"1001"\t,"/"\t,"/"',
    "2026-01-05 12:46:27,二维码收款,丁,收款方备注:货款 12345678,收入,¥20.00,/,已收钱,1002,/,/",
    "2026-01-05 12:47:27,商户消费,店,/,支出,¥5.00,零钱,支付成功,1003,/,/",
    "2026-01-05 12:48:27,零钱提现,招商银行(),/,/,¥2000.00,招商银行,提现已到账,1004,/,/",
)
ALIPAY_HEADER = (
    "交易时间,交易分类,交易对方,对方账号,商品说明,收/支,金额,收/付款方式,交易状态,交易订单号,"
    "商家订单号,备注,"
)
ALIPAY_ROWS = (
    "2026-01-05 10:17:29 ,红包 ,乙 ,b*@qq.com ,货款 ,收入 ,100.00 ,余额 ,交易成功 ,2001\t,\t,,",
    "2026-01-05 10:18:29 ,退款 ,店 ,/ ,退款 ,不计收支 ,1.00 ,余额 ,退款成功 ,2002\t,\t,,",
    "2026-01-05 10:19:29 ,交通 ,店 ,/ ,票 ,收入 ,2.00 ,余额 ,交易关闭 ,2003\t,\t,,",
)


def wechat(*rows, head=WECHAT_HEAD):
    lines = [*head, WECHAT_HEADER, *(rows or WECHAT_ROWS), ""]
    return "\r\n".join(lines).encode("utf-8-sig")


def alipay(*rows, count=3):
    rows = rows or ALIPAY_ROWS
    head = ["导出信息：", "支付宝账户：a@example.com", f"共{count}笔记录", "收入：9笔 9.00元", ""]
    return "\r\n".join([*head, ALIPAY_HEADER, *rows, ""]).encode("gbk")


def read(content):
    stream = personal_bills.open(io.BytesIO(content), Known(is_personal=True))
    return stream, list(stream.rows)


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        read(content)
    return refused.value


@pytest.mark.parametrize(
    ("content", "kind"), [(wechat(), "wechat_personal"), (alipay(), "alipay_personal")]
)
def test_a_persons_bill_is_no_shops_statement(content, kind):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content)

    assert refused.value.code == "UNSUPPORTED_STATEMENT"
    assert refused.value.details["kind"] == kind
    assert "不是商户的对账单" in str(refused.value)


def test_a_wechat_bill_is_read_for_a_personal_account():
    stream, rows = read(wechat())

    assert (stream.format, stream.source, stream.account_no) == (
        "wechat_personal",
        Source.CHANNEL,
        None,
    )
    assert counted([row.amount_fen for row in rows]) == Declared(4, 2, 3_000, 1, 500)
    assert stream.summary.declared == Declared(4, 2, 3_000, 1, 500)
    assert (rows[0].payer_name, rows[0].texts, rows[0].serial) == ("乙,丙", ("两\n行",), "1001")
    assert rows[1].remark == "收款方备注:货款 12345678"
    assert "2000.00" in rows[3].caution
    assert rows[3].amount_fen == 0


def test_an_alipay_bill_is_read_for_a_personal_account():
    stream, rows = read(alipay())

    assert (stream.format, stream.account_no) == ("alipay_personal", "a@example.com")
    assert [row.amount_fen for row in rows] == [10_000, 0, 200]
    assert [row.is_reversal for row in rows] == [False, True, False]
    assert "交易关闭" in rows[2].caution


def test_a_refund_under_the_number_of_its_payment_is_another_booking():
    again = WECHAT_ROWS[1].replace("12:46", "12:50")
    head = [line.replace("4笔", "5笔").replace("2笔 30", "3笔 50") for line in WECHAT_HEAD]
    _, rows = read(wechat(*WECHAT_ROWS, again, head=head))
    assert rows[4].serial == "1002#2026-01-05 12:50:27#二维码收款"

    assert refusal(wechat(*WECHAT_ROWS, WECHAT_ROWS[1], head=head)).code == "SERIAL_TWICE"


@pytest.mark.parametrize(
    ("old", "new", "figure"),
    [
        ("共4笔", "共5笔", "count"),
        ("收入：2笔", "收入：3笔", "credits"),
        ("30.00元", "30.01元", "credit_fen"),
        ("支出：1笔", "支出：0笔", "debits"),
        (" 5.00元", " 5.01元", "debit_fen"),
        ("中性交易：1笔", "中性交易：0笔", "中性交易"),
    ],
)
def test_every_figure_of_the_head_is_confirmed(old, new, figure):
    head = [line.replace(old, new) for line in WECHAT_HEAD]
    assert tuple(head) != WECHAT_HEAD
    refused = refusal(wechat(head=head))
    assert (refused.code, refused.details["figure"]) == ("COUNTS_DIFFER", figure)


def test_alipay_says_itself_that_its_sums_are_others_but_its_count_holds():
    assert refusal(alipay(count=66)).code == "COUNTS_DIFFER"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (wechat(head=WECHAT_HEAD[:2]), "DAMAGED_FILE"),
        (wechat(WECHAT_ROWS[1].replace("收入", "别的")), "BAD_CELL"),
        (wechat(WECHAT_ROWS[1].replace("20.00", "20.00(已退款1.00)")), "BAD_CELL"),
        (wechat(WECHAT_ROWS[1].replace("20.00", "-20.00")), "BAD_CELL"),
        (wechat(WECHAT_ROWS[1].replace("2026-01-05", "2026-13-05")), "BAD_CELL"),
        (wechat(WECHAT_ROWS[1] + ",mehr"), "DAMAGED_FILE"),
        (wechat(WECHAT_ROWS[1][:60]), "DAMAGED_FILE"),
        (wechat(WECHAT_ROWS[0][:40]), "DAMAGED_FILE"),
        (b"a,b\r\n" * 50, "UNKNOWN_FORMAT"),
    ],
)
def test_a_persons_bill_that_is_not_whole_is_refused(content, code):
    assert refusal(content).code == code
