"""What WeChat is told and what its word means, decided without a table."""

import pytest

from shop.wechat_shipping.rules import Parcel, Sent, Status, Theirs, code_of, masked, told, verdict

COMPANIES = {
    "顺丰速运": "SF", "中通快递": "ZTO", "圆通速递": "YTO", "邮政快递包裹": "YZPY", "EMS": "EMS",
    "京东快递": "JD",
}  # fmt: skip
CODES = {"中通快递": "ZTO", "顺丰速运": "SF"}


def parcel(n=1, contents="茶", carrier="中通快递"):
    return Parcel(carrier, f"ZT{n}", contents)


@pytest.mark.parametrize(
    ("typed", "code"),
    [("顺丰速运", "SF"), ("顺丰", "SF"), ("顺丰快递", "SF"), ("圆通", "YTO"), ("sf", "SF"),
     ("ems", "EMS"), ("京东物流", "JD"), ("中国邮政快递包裹", "YZPY"), ("村口老王", ""),
     ("快递", "")],
)  # fmt: skip
def test_carriers_as_clerks_call_them(typed, code):
    assert code_of(typed, COMPANIES) == code


def test_a_name_that_could_be_two_is_nobodys():
    assert code_of("联邦", {"联邦快递": "A", "联邦速运": "B"}) == ""


def test_a_description_has_120_signs():
    body = told(Sent([parcel(contents="茶" * 200)], is_all=True), CODES)

    text = body["shipping_list"][0]["item_desc"]
    assert (len(text), text[-1]) == (120, "…")


def test_the_sixteenth_parcel_is_named_with_the_fifteenth():
    parcels = [parcel(n, f"茶{n}") for n in range(1, 18)]

    body = told(Sent(parcels, is_all=True), CODES)

    assert len(body["shipping_list"]) == 15
    assert body["shipping_list"][-1]["item_desc"] == "茶15；茶16；茶17"
    assert (body["delivery_mode"], body["is_all_delivered"]) == (2, True)


def test_one_of_several_is_a_part_of_a_split_delivery():
    body = told(Sent([parcel()], is_all=False), CODES)

    assert (body["delivery_mode"], body["is_all_delivered"]) == (2, False)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (Sent([Parcel("", "", "茶")], is_all=True), 4),
        (Sent([Parcel("", "", "茶")], is_all=True, kind=2), 2),
        (Sent([Parcel("", "", "茶")], is_all=True, kind=1), 4),
        (Sent([parcel()], is_all=True, kind=3), 3),
    ],
)
def test_how_it_is_brought(sent, kind):
    body = told(sent, CODES)

    assert body["logistics_type"] == kind
    assert body["shipping_list"] == [{"item_desc": "茶"}]


@pytest.mark.parametrize(
    "sent", [Sent([], is_all=False), Sent([], is_all=True), Sent([Parcel("", "", "茶")], False)]
)
def test_nothing_to_tell_yet(sent):
    assert told(sent, CODES) is None


def test_a_number_is_masked_but_for_its_ends():
    assert masked("13800138000") == "138****8000"


ZT1 = frozenset({"ZT1"})


@pytest.mark.parametrize(
    ("status", "known", "refunded", "to", "odd"),
    [
        ("WAITING", Theirs(1, False, frozenset()), False, None, ""),
        ("WAITING", Theirs(2, True, ZT1), False, Status.REPORTED, ""),
        ("WAITING", Theirs(2, True, frozenset({"ZT9"})), False, Status.REPORTED, "ZT9"),
        ("WAITING", Theirs(3, True, ZT1), False, Status.CONFIRMED, "还没有上报"),
        ("REPORTED", Theirs(2, True, ZT1), False, None, ""),
        ("REPORTED", Theirs(1, False, frozenset()), False, None, "仍显示待发货"),
        ("REPORTED", Theirs(4, True, ZT1), False, Status.CONFIRMED, ""),
        ("REPORTED", Theirs(6, True, ZT1), False, Status.CONFIRMED, ""),
        ("REPORTED", Theirs(5, True, ZT1), True, Status.CLOSED, ""),
        ("REPORTED", Theirs(5, True, ZT1), False, None, "没有全额退款"),
        ("CORRECTING", Theirs(2, True, frozenset({"ZT0"})), False, None, ""),
        ("CORRECTED", Theirs(2, True, frozenset({"ZT0"})), False, None, "不同"),
    ],
)
def test_what_wechats_word_means(status, known, refunded, to, odd):
    state, said = verdict(status, {"ZT1"}, known, is_refunded=refunded)

    assert state == to
    assert (odd in said) if odd else said == ""
