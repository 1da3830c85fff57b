"""Nothing signs Alipay's bills: one that is not whole, or not of this day and shop, is refused."""

import io
import zipfile

import pytest

from payments.bills import services
from payments.channels import alipay as channel
from payments.channels import downloads
from payments.channels.answers import ChannelSilent
from payments.ledger.models import Posting
from payments.transfers.parsers import Unreadable
from payments.transfers.parsers.channels import archive
from tests.payments.bills.past import rezipped
from tests.sandbox.alipay.wire import ACCOUNT, SELLER_ID

pytestmark = pytest.mark.django_db
FUND, TRADE = "signcustomer", "trade"
OTHER = "20880000000000020156"


@pytest.fixture
def past(alipay_past):
    return alipay_past


@pytest.fixture
def forger(past, alipay_forger):
    """With the bills of a day on which 99.00 was paid and 40.00 given back."""
    payment = past.paid(9900)
    past.refunded(payment, 4_000)
    past.back()
    for kind in (FUND, TRADE):
        channel.alipay().bill(kind, past.day).close()
    return alipay_forger


def nothing_came_of_it():
    return not Posting.objects.filter(kind__in=["CHANNEL_DAY", "OPENING"]).exists()


def cut(packed):
    return packed[: len(packed) // 2]


def other_day(past):
    return f"{past.day:%Y年%m月%d日} 00:00:00]   终止", "2020年01月01日 00:00:00]   终止"


SPOILT = {
    "an amount of one row": (TRADE, [(",99.00,99.00,", ",98.00,98.00,")], "商家实收"),
    "a refund left out of the sums": (TRADE, [("#退款合计：1笔", "#退款合计：0笔")], "退款合计"),
    "cut off within": (TRADE, [("业务明细列表结束", "业务明细列表")], "被截断"),
    "without its sums": (TRADE, [("#交易合计", "#合计")], "被截断"),
    "more below its end": (TRADE, [("#导出时间", "2026,导出时间")], "还有内容"),
    "another shop's": (TRADE, [(f"[{ACCOUNT}]", f"[{OTHER}]")], "不是本店的"),
    "nobody's": (TRADE, [(f"#账号：[{ACCOUNT}]", "#账号：")], "不是本店的"),
    "another day's": (TRADE, [other_day], "不是 .* 的"),
    "a movement's amount": (FUND, [(",0.00,-40.00,", ",0.00,-39.00,")], "余额对不上"),
    "the sums of the account": (FUND, [("1笔，共99.00元", "1笔，共98.00元")], "收入"),
    "another shop's account": (FUND, [(f"[{ACCOUNT}]", f"[{OTHER}]")], "不是本店的"),
    "another day of the account": (FUND, [other_day], "不是 .* 的"),
    "its summary says otherwise": (FUND, [("合计,1,99.00,", "合计,1,98.00,")], "收入"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_a_bill_that_is_not_whole_or_not_ours_is_refused_by_name(past, forger, what):
    kind, changes, problem = SPOILT[what]
    told = [change(past) if callable(change) else change for change in changes]
    forger[kind] = rezipped(forger[f"seen {kind}"], *told)

    with pytest.raises(Unreadable, match=problem):
        past.taken_in()

    assert nothing_came_of_it()
    del forger[kind]
    assert past.taken_in().status == "EVEN"


@pytest.mark.parametrize("kind", [FUND, TRADE])
@pytest.mark.parametrize(
    "spoil",
    [cut, lambda bill: b"", lambda bill: b"<html>502</html>"],
    ids=["half", "empty", "a page"],
)
def test_what_is_no_whole_zip_is_refused(past, forger, kind, spoil):
    forger[kind] = spoil(forger[f"seen {kind}"])

    with pytest.raises(Unreadable):
        past.taken_in()

    assert nothing_came_of_it()


def test_a_zip_that_unpacks_without_end_is_refused(past, forger, monkeypatch):
    monkeypatch.setattr(archive, "MAX_EXPANDED", 1024)

    with pytest.raises(Unreadable, match="解压后"):
        past.taken_in()

    assert nothing_came_of_it()


def test_one_bill_in_place_of_the_other_is_refused(past, forger):
    forger[FUND] = forger[f"seen {TRADE}"]

    with pytest.raises(Unreadable, match="不是要取的账单"):
        past.taken_in()

    assert nothing_came_of_it()


def test_each_bill_whole_in_itself_and_the_two_of_a_day_different_is_told(past, forger):
    """A trade that only the account knows: 99.00 came in, the trade bill says 98.00."""
    forger[TRADE] = rezipped(
        forger[f"seen {TRADE}"],
        (",99.00,99.00,", ",98.00,98.00,"),
        ("商家实收共99.00元", "商家实收共98.00元"),
    )

    day = past.taken_in()

    kinds = day.differences.values_list("subject", "kind", "our_fen", "their_fen")
    assert set(kinds) >= {("TRADE", "AMOUNT", 9_900, 9_800), ("TRADE_SUM", "AMOUNT", 9_800, 9_900)}
    del forger[TRADE]
    services.compare_again(day=day)
    assert past.taken_in().status == "EVEN"


def test_a_bill_that_grows_too_large_on_the_way_is_given_up(past, forger, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_PACKED", 100)

    with pytest.raises(ChannelSilent, match="太大"):
        past.taken_in()


def test_an_unproven_answer_about_the_address_is_not_followed(past, forger):
    seen = past.scene.sandbox.journal("/alipay/bill")
    past.scene.switch("answer_other_key", method=channel.BILL_URL)

    with pytest.raises(ChannelSilent):
        past.taken_in()

    assert past.scene.sandbox.journal("/alipay/bill") == seen
    assert past.taken_in().status == "EVEN"


@pytest.mark.parametrize(
    "url",
    [
        "http://bills.example/alipay/bill?fileId=1",
        "https://alipay.com.example/bill",
        "https://evil-alipay.com/bill",
        "https://u:p@evil.example/alipay.com",
    ],
)
def test_an_address_that_is_not_alipay_s_is_not_fetched(past, url):
    with pytest.raises(ChannelSilent, match="不是支付宝的"):
        channel.alipay()._ask.download(url)


def test_a_member_of_the_zip_is_named_in_gbk(past, forger):
    """The file as it came: names that do not say that they are GBK, contents that are."""
    with zipfile.ZipFile(io.BytesIO(forger[f"seen {FUND}"])) as packed:
        names = [one.filename.encode("cp437").decode("gbk") for one in packed.infolist()]
        assert not any(one.flag_bits & 0x800 for one in packed.infolist())

    assert names == [
        f"{SELLER_ID}0156_{past.day:%Y%m%d}_{name}.csv" for name in ("账务明细", "账务明细(汇总)")
    ]
    assert past.taken_in().status == "EVEN"
