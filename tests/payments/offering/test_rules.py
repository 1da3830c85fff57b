"""S002.37, .41: which way to pay is offered to whom, decided without a table."""

import pytest

from payments.offering.rules import (
    BUILT_IN,
    Asked,
    Asker,
    Client,
    Offer,
    Rule,
    Spent,
    Status,
    counts_days,
    deciding,
    listed,
    weigh,
)

MINI, H5, ADMIN = Client.MINI_PROGRAM, Client.H5, Client.ADMIN
PHONE = Asker()
BROWSER = Asker(H5, False)
IN_WECHAT = Asker(H5, True)
DESK = Asker(ADMIN, False)
M = "M1"
OOLONG = ("oolong", "tea", "food")


def asked(fen=100_00, *, asker=PHONE, merchant=M, paths=()):
    return Asked(asker, merchant, fen, paths)


NOTHING = Spent()


def offer(method, *rules, spent=NOTHING, **what):
    return weigh(method, rules, asked(**what), spent)


# --- without a rule -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "asker", "is_offered"),
    [
        ("BANK_TRANSFER", PHONE, True),
        ("BANK_TRANSFER", BROWSER, True),
        ("BANK_TRANSFER", DESK, True),
        ("WECHAT", PHONE, True),
        ("WECHAT", BROWSER, False),
        ("WECHAT", IN_WECHAT, False),
        ("WECHAT", DESK, False),
        *(("WALLET", who, True) for who in (PHONE, BROWSER, DESK)),
        *((name, who, False) for name in ("ALIPAY_LINK", "ALIPAY_QR", "ALIPAY_H5")
          for who in (PHONE, BROWSER, DESK)),
    ],
)  # fmt: skip
def test_without_a_rule_only_what_every_shop_has_is_offered(method, asker, is_offered):
    assert offer(method, asker=asker).is_offered is is_offered


def test_nothing_that_needs_a_compliance_note_is_built_in():
    """A wallet pays with what is in the house already."""
    assert set(BUILT_IN) == {"BANK_TRANSFER", "WECHAT", "WALLET"}


# --- which rule decides -------------------------------------------------------------------------

EVERYBODY = Rule("WECHAT", text="0")
FOOD = Rule("WECHAT", category="food", text="1")
TEA = Rule("WECHAT", category="tea", text="2")
LEAF = Rule("WECHAT", category="oolong", text="3")
OWN = Rule("WECHAT", M, text="4")
OWN_FOOD = Rule("WECHAT", M, "food", text="5")
OWN_LEAF = Rule("WECHAT", M, "oolong", text="6")
LADDER = [EVERYBODY, FOOD, TEA, LEAF, OWN, OWN_FOOD, OWN_LEAF]
STRANGERS = [
    Rule("WALLET", M, "oolong"),
    Rule("WECHAT", "M2", "oolong"),
    Rule("WECHAT", M, "clothes"),
    Rule("WECHAT", M, "oolong", Status.VOID),
]


@pytest.mark.parametrize("length", range(1, len(LADDER) + 1))
@pytest.mark.parametrize("is_turned", [False, True])
def test_the_most_specific_rule_decides_whatever_the_order_of_the_rows(length, is_turned):
    rules = [*LADDER[:length], *STRANGERS]
    if is_turned:
        rules.reverse()

    assert deciding("WECHAT", rules, asked(paths=[OOLONG])) == [LADDER[length - 1]]


def test_no_two_rules_of_one_method_can_be_equally_specific():
    """By merchant and place of the category: the database has one rule for each."""
    scopes = [(rule.merchant, rule.category) for rule in LADDER]

    assert len(set(scopes)) == len(scopes)


def test_a_void_rule_is_as_if_it_were_not_there():
    void = OWN._replace(status=Status.VOID)

    assert deciding("WECHAT", [void, EVERYBODY], asked()) == [EVERYBODY]
    assert deciding("WECHAT", [void], asked()) == [BUILT_IN["WECHAT"]]
    assert deciding("ALIPAY_QR", [Rule("ALIPAY_QR", status=Status.VOID)], asked()) == [None]


def test_each_category_of_what_is_paid_has_its_rule():
    paths = [OOLONG, ("silk", "clothes"), ()]

    assert deciding("WECHAT", [EVERYBODY, TEA], asked(paths=paths)) == [TEA, EVERYBODY]


def test_a_rule_of_a_category_says_nothing_of_what_has_none():
    tea = Rule("ALIPAY_QR", category="tea")
    assert deciding("ALIPAY_QR", [tea], asked(paths=[()])) == [None]


# --- whether it is offered ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fen", "reason", "most"),
    [
        (Rule("WECHAT"), 100_00, "", None),
        (Rule("WECHAT", from_fen=100_00, to_fen=100_00), 100_00, "", None),
        (Rule("WECHAT", from_fen=100_01), 100_00, "满 100.01 元才能用微信支付", 0),
        (Rule("WECHAT", to_fen=99_99), 100_00, "超过 99.99 元不能用微信支付", 0),
        (Rule("WECHAT", limit_fen=100_00), 100_00, "", 100_00),
        (Rule("WECHAT", limit_fen=99_99), 100_00, "超过微信支付单笔限额 99.99 元", 99_99),
        (Rule("WECHAT", limit_fen=1, text="请转账"), 100_00, "请转账", 1),
        (Rule("WECHAT", status=Status.WITHHELD), 1, "暂不支持微信支付", 0),
        (Rule("WECHAT", status=Status.WITHHELD, text="维护中"), 1, "维护中", 0),
    ],
)
def test_what_a_rule_lets_through(rule, fen, reason, most):
    found = offer("WECHAT", rule, fen=fen)

    assert (found.is_offered, found.reason, found.max_fen) == (not reason, reason, most)


def test_a_rule_holds_for_its_clients_and_says_where_it_is_offered():
    rule = Rule("BANK_TRANSFER", clients=[H5, ADMIN], text="超过限额")

    assert offer("BANK_TRANSFER", rule, asker=BROWSER).is_offered
    refused = offer("BANK_TRANSFER", rule)
    assert refused == Offer("BANK_TRANSFER", False, "银行转账只能在网页、后台里使用", 0)


def test_no_rule_makes_a_method_work_where_it_cannot():
    rule = Rule("WECHAT", clients=list(Client))

    assert offer("WECHAT", rule, asker=BROWSER).reason == "微信支付只能在小程序里使用"


@pytest.mark.parametrize(
    ("method", "asker", "is_offered"),
    [
        ("ALIPAY_LINK", PHONE, True),
        ("ALIPAY_QR", PHONE, True),
        ("ALIPAY_QR", IN_WECHAT, True),
        ("ALIPAY_H5", BROWSER, True),
        ("ALIPAY_H5", PHONE, False),
        ("ALIPAY_H5", IN_WECHAT, False),
        ("ALIPAY_APP", PHONE, False),
        ("ALIPAY", PHONE, False),
    ],
)
def test_inside_wechat_alipay_is_a_link_or_a_code_whatever_a_rule_says(method, asker, is_offered):
    found = offer(method, Rule(method, clients=list(Client)), asker=asker)

    assert found.is_offered is is_offered
    assert is_offered or "支付宝链接" in found.reason


def test_goods_of_two_categories_need_both_rules_and_the_lower_limit_counts():
    tea = Rule("ALIPAY_QR", category="tea", limit_fen=500_00)
    silk = Rule("ALIPAY_QR", category="silk")
    paths = [("tea",), ("silk",)]

    assert offer("ALIPAY_QR", tea, silk, paths=paths).max_fen == 500_00
    lower = silk._replace(limit_fen=50_00)
    assert offer("ALIPAY_QR", tea, lower, paths=paths).reason == "超过支付宝扫码单笔限额 50.00 元"
    closed = silk._replace(status=Status.WITHHELD)
    assert not offer("ALIPAY_QR", tea, closed, paths=paths).is_offered
    assert not offer("ALIPAY_QR", tea, paths=paths).is_offered


# --- a buyer's day ------------------------------------------------------------------------------

DAILY = Rule("WECHAT", day_limit_fen=500_00)


@pytest.mark.parametrize(
    ("spent_fen", "is_offered", "left"),
    [(0, True, 500_00), (400_00, True, 100_00), (400_01, False, 99_99), (900_00, False, 0)],
)
def test_a_day_has_its_limit(spent_fen, is_offered, left):
    found = offer("WECHAT", DAILY, spent=Spent(everywhere_fen=spent_fen))

    assert (found.is_offered, found.max_fen) == (is_offered, left)


def test_a_merchants_limit_counts_what_was_spent_there():
    here = DAILY._replace(merchant=M)
    spent = Spent(everywhere_fen=900_00, here_fen=400_00)

    assert offer("WECHAT", here, spent=spent).is_offered
    assert not offer("WECHAT", DAILY, spent=spent).is_offered


def test_the_reason_says_what_is_left():
    found = offer("WECHAT", DAILY._replace(text="…"), spent=Spent(450_00))

    assert found.reason == "超过微信支付每日限额 500.00 元（待支付的也计入），今天还可付 50.00 元"


def test_the_lower_of_both_limits_is_the_most():
    both = DAILY._replace(limit_fen=200_00)

    assert offer("WECHAT", both, spent=Spent(100_00)).max_fen == 200_00
    assert offer("WECHAT", both, spent=Spent(350_00)).max_fen == 150_00


def test_days_count_only_where_the_rule_that_decides_has_a_limit():
    assert counts_days("WECHAT", [DAILY], asked())
    assert not counts_days("WECHAT", [DAILY, OWN], asked())
    assert not counts_days("WECHAT", [], asked())
    assert not counts_days("WALLET", [DAILY], asked())


# --- the list -----------------------------------------------------------------------------------


def test_what_is_offered_comes_first_in_the_order_of_preference():
    said = [Offer("NEW", True), Offer("BANK_TRANSFER", True), Offer("WECHAT", False, "…"),
            Offer("ALIPAY_QR", False, "…"), Offer("WALLET", True)]  # fmt: skip

    assert [offer.method for offer in listed(said)] == [
        "WALLET", "BANK_TRANSFER", "NEW", "WECHAT", "ALIPAY_QR",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([Offer("BANK_TRANSFER", True)], "超过微信支付单笔限额 99.99 元，请用银行转账"),
        ([Offer("WALLET", True)], "超过微信支付单笔限额 99.99 元，请换一种支付方式"),
        ([Offer("BANK_TRANSFER", False, "…")], "超过微信支付单笔限额 99.99 元"),
        ([], "超过微信支付单笔限额 99.99 元"),
    ],
)
def test_a_no_says_what_to_pay_by_instead(others, reason):
    """S002.41: over the wallet's limit a transfer is offered, where it is."""
    over = offer("WECHAT", Rule("WECHAT", limit_fen=99_99))
    found = {one.method: one for one in listed([over, *others])}

    assert found["WECHAT"].reason == reason


def test_a_rules_own_words_are_shown_as_they_are():
    words = "超过微信支付单笔限额，请用银行转账"
    over = offer("WECHAT", Rule("WECHAT", limit_fen=1, text=words))

    assert listed([over, Offer("BANK_TRANSFER", True)])[1].reason == words
