from dataclasses import asdict

from payments.transfers.ladder.ranking import rank
from tests.payments.transfers.ladder.cast import (
    ELSEWHERE,
    KNOWS_WANG,
    LI,
    PRICE,
    WANGS,
    fact,
    intent,
)


def test_the_likeliest_comes_first_with_what_speaks_for_it():
    named, equal, known = intent(5000, payer_id=LI), intent(payer_id=LI), intent(1)
    nothing = intent(1, payer_id=LI)
    line = fact(remark=named.code, **WANGS)

    ranked = rank(line, [known, equal, nothing, named], KNOWS_WANG)

    assert [(one.payment, one.why) for one in ranked] == [
        (named.payment, "核对码一致"),
        (equal.payment, "金额等于应付"),
        (known.payment, "付款人曾为该买家付款"),
    ]
    assert ranked[0].why_not == "应付 50.00 元，到账 99.00 元"
    assert ranked[1].why_not == ""
    assert all(0 < one.score < 100 for one in ranked)


def test_a_code_one_error_away_is_shown_with_the_code():
    one = intent(1, payer_id=LI)

    (shown,) = rank(fact(remark=one.code[:-1]), [one], {})

    assert shown.why == f"附言与核对码 {one.code} 只差一处"


def test_what_is_closed_or_elsewhere_stands_lower_and_says_so():
    open_, closed = intent(payer_id=LI), intent(payer_id=LI, is_open=False)
    elsewhere = intent(payer_id=LI, account_id=ELSEWHERE)
    line = fact(PRICE, f"{open_.code}，{closed.code}")

    ranked = {one.payment: one for one in rank(line, [closed, open_, elsewhere], {})}

    assert ranked[closed.payment].score < ranked[open_.payment].score
    assert ranked[closed.payment].why_not == "支付单已付清或已关闭"
    assert ranked[elsewhere.payment].why_not == "支付单在另一个收款账户"


def test_a_candidate_is_ready_for_json():
    (shown,) = rank(fact(), [intent()], {})

    assert set(asdict(shown)) == {"payment", "order", "score", "why", "why_not"}
