"""T1, T2, T3, T8, W: what a line names, by virtual account or code, and every refusal."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from payments.transfers.ladder.facts import Fact, Intent, Terms
from payments.transfers.rules import Verdict
from tests.payments.transfers.ladder.cast import (
    ELSEWHERE,
    HERE,
    KNOWS_WANG,
    LI,
    PRICE,
    WANG,
    WANGS,
    book,
    fact,
    intent,
    judge,
)

MATCHED, SUGGESTED, CONFLICT = Verdict.MATCHED, Verdict.SUGGESTED, Verdict.CONFLICT
ONE = intent()
TWO = intent(5000)
TINY = intent(3000)
LIS = intent(payer_id=LI)
CLOSED = intent(is_open=False)
FAR = intent(account_id=ELSEWHERE)
AGAIN = intent(order=CLOSED.order)  # the same order, opened for payment once more
SPELLED = str.maketrans("0123456789", "零一二三四五六七八九")
FINANCIAL = str.maketrans("0123456789", "零壹贰叁肆伍陆柒捌玖")


def codes(*intents: Intent) -> str:
    return "货款" + "，".join(one.code for one in intents)


def in_two(one: Intent, sign: str = " ") -> str:
    return f"{one.code[:4]}{sign}{one.code[4:]}"


@dataclass(frozen=True)
class Case:
    name: str
    line: Fact
    verdict: Verdict
    rule: str
    pays: tuple[tuple[Intent, int], ...] = ()
    says: str = ""  # part of the first reason
    payers: dict[int, set[str]] = field(default_factory=dict)
    terms: Terms | None = None


def va(one: Intent, fen: int = PRICE, remark: str = "货款", **changes: Any) -> Fact:
    return fact(fen, remark, virtual_account=one.virtual_account, **changes)


FEES = Terms(fee_up_to_fen=2500)
CASES = [
    # A virtual account of its own.
    Case("T1a", va(ONE), MATCHED, "T1a", ((ONE, PRICE),)),
    Case("T1a, its code beside", va(ONE, remark=codes(ONE)), MATCHED, "T1a", ((ONE, PRICE),)),
    Case(
        "T1a, code of an earlier payment of the order",
        va(AGAIN, remark=codes(CLOSED)),
        MATCHED,
        "T1a",
        ((AGAIN, PRICE),),
    ),
    Case("T1b", va(ONE, 9899), MATCHED, "T1b", ((ONE, 9899),), "还差 0.01 元"),
    Case("T1c", va(ONE, 9901), MATCHED, "T1c", ((ONE, 9901),), "多付 0.01 元"),
    Case("T1d", va(CLOSED), MATCHED, "T1d", ((CLOSED, PRICE),), "转为应退款"),
    Case("W: its account, another's code", va(ONE, remark=codes(LIS)), CONFLICT, "W"),
    Case("W: its account, both codes", va(ONE, remark=codes(ONE, LIS)), CONFLICT, "W"),
    Case(
        "W: its account, another's code spelled out",
        va(ONE, remark=LIS.code.translate(SPELLED)),
        CONFLICT,
        "W",
    ),
    Case("W: booked below another account", va(ONE, account_id=ELSEWHERE), CONFLICT, "W"),
    # One code.
    Case("T2a", fact(remark=codes(ONE)), MATCHED, "T2a", ((ONE, PRICE),)),
    Case("T2a joined", fact(remark=in_two(ONE)), MATCHED, "T2a", ((ONE, PRICE),)),
    Case("T2a joined twice", fact(remark=f"{in_two(ONE)}，{in_two(LIS)}"), SUGGESTED, "T3b"),
    Case(
        "T2a spelled out",
        fact(remark=f"核对码{ONE.code.translate(SPELLED)}"),
        SUGGESTED,
        "T2a",
        says="中文数字",
    ),
    Case(
        "T2a in figures of a cheque", fact(remark=ONE.code.translate(FINANCIAL)), SUGGESTED, "T2a"
    ),
    Case("T2a closed", fact(remark=codes(CLOSED)), SUGGESTED, "T2a", says="已付清或已关闭"),
    Case("T2b one fen less", fact(9899, codes(ONE)), SUGGESTED, "T2b", says="金额不符"),
    Case("T2b one fen more", fact(9901, codes(ONE)), SUGGESTED, "T2b"),
    Case(
        "T2b of a known payer",
        fact(5000, codes(ONE), **WANGS),
        MATCHED,
        "T2b",
        ((ONE, 5000),),
        payers=KNOWS_WANG,
    ),
    Case(
        "T2b of a known name from another account",
        fact(10_000, codes(ONE), payer_name="王小美"),
        MATCHED,
        "T2b",
        ((ONE, 10_000),),
        payers=KNOWS_WANG,
    ),
    Case(
        "T2b of a payer known for another buyer",
        fact(5000, codes(LIS), **WANGS),
        SUGGESTED,
        "T2b",
        payers=KNOWS_WANG,
    ),
    Case(
        "T2b through a payment company",
        fact(5000, codes(ONE), payer_name="支付宝（中国）客户备付金", payer_account="2155"),
        SUGGESTED,
        "T2b",
        payers={WANG: {"账号2155"}},
    ),
    Case("W: a code of another account", fact(remark=codes(FAR)), CONFLICT, "W"),
    Case(
        "W: a code on a virtual account of nobody",
        fact(remark=codes(ONE), virtual_account="V0"),
        CONFLICT,
        "W",
        says="未分配",
    ),
    Case(
        "W: two codes on a virtual account of nobody",
        fact(14_900, codes(ONE, TWO), virtual_account="V0"),
        CONFLICT,
        "W",
    ),
    # Several codes.
    Case("T3a", fact(14_900, codes(ONE, TWO)), MATCHED, "T3a", ((ONE, PRICE), (TWO, 5000))),
    Case("T3b not the sum", fact(14_899, codes(ONE, TWO)), SUGGESTED, "T3b", says="148.99"),
    Case("T3b only one of them", fact(PRICE, codes(ONE, TWO)), SUGGESTED, "T3b"),
    Case("T3b two buyers", fact(2 * PRICE, codes(ONE, LIS)), SUGGESTED, "T3b", says="多位买家"),
    Case("T3b one is closed", fact(2 * PRICE, codes(ONE, CLOSED)), SUGGESTED, "T3b", says="关闭"),
    Case("T3b closed, sum of the open", fact(PRICE, codes(ONE, CLOSED)), SUGGESTED, "T3b"),
    Case("T3b one is elsewhere", fact(2 * PRICE, codes(ONE, FAR)), SUGGESTED, "T3b", says="另一个"),
    Case(
        "T3b joined",
        fact(14_900, f"{in_two(ONE)}，{in_two(TWO)}"),
        SUGGESTED,
        "T3b",
        says="拼接",
    ),
    # Less a fee.
    Case("T8 account", va(ONE, 7400), MATCHED, "T1b", ((ONE, 7400),), terms=Terms()),
    Case("T8 account", va(ONE, 7400), MATCHED, "T8", ((ONE, 7400),), "扣费 25.00", terms=FEES),
    Case("T8 code", fact(7400, codes(ONE)), MATCHED, "T8", ((ONE, 7400),), terms=FEES),
    Case("T8 a fen more", fact(7399, codes(ONE)), SUGGESTED, "T2b", terms=FEES),
    Case("T8 more than arrived", va(TINY, 600), MATCHED, "T1b", ((TINY, 600),), terms=FEES),
    Case(
        "T8 switched off",
        va(ONE, 7400),
        MATCHED,
        "T1b",
        ((ONE, 7400),),
        terms=Terms(off=frozenset({"T8"}), fee_up_to_fen=2500),
    ),
    # What a merchant forbids.
    Case("off T1a", va(ONE), SUGGESTED, "T1a", terms=Terms(off=frozenset({"T1a"})), says="停用"),
    Case(
        "off T3a",
        fact(14_900, codes(ONE, TWO)),
        SUGGESTED,
        "T3a",
        terms=Terms(off=frozenset({"T3a"})),
        says="商家已停用规则 T3a",
    ),
    Case("at the limit", va(ONE), MATCHED, "T1a", ((ONE, PRICE),), terms=Terms(up_to_fen=PRICE)),
    Case(
        "above it", va(ONE), SUGGESTED, "T1a", terms=Terms(up_to_fen=PRICE - 1), says="上限 98.99"
    ),
    # What must be looked at first.
    Case("a caution", va(ONE, caution="汇总入账"), SUGGESTED, "T1a", says="汇总入账"),
    Case("R", va(ONE, is_reversed=True), CONFLICT, "R", says="冲正"),
    Case("R with nothing named", fact(1, is_reversed=True), CONFLICT, "R"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line_that_names_its_payment(case):
    known = book(ONE, TWO, TINY, LIS, CLOSED, FAR, AGAIN, payers=case.payers, terms=case.terms)

    decision = judge(case.line, known)

    assert (decision.verdict, decision.rule) == (case.verdict, case.rule)
    assert decision.pays == tuple((one.payment_id, fen) for one, fen in case.pays)
    assert case.says in decision.reasons[0]
    assert bool(decision.pays) == (decision.verdict == MATCHED)


def test_what_pays_says_on_which_facts():
    decisions = {
        "T1a": judge(va(ONE), book(ONE)),
        "T2a": judge(fact(remark=codes(ONE)), book(ONE)),
        "T3a": judge(fact(14_900, codes(ONE, TWO)), book(ONE, TWO)),
        "T8": judge(va(ONE, 9000), book(ONE, terms=FEES)),
    }

    assert {rule: decision.facts for rule, decision in decisions.items()} == {
        "T1a": {"virtual_account": ONE.virtual_account, "left_fen": PRICE},
        "T2a": {"code": ONE.code, "left_fen": PRICE},
        "T3a": {
            "codes": sorted([ONE.code, TWO.code]),
            "split": {ONE.payment: PRICE, TWO.payment: 5000},
            "left_fen": 14_900,
        },
        "T8": {"virtual_account": ONE.virtual_account, "left_fen": PRICE, "short_fen": 900},
    }


def test_a_conflict_shows_both_candidates_and_why_neither_was_paid():
    decision = judge(va(ONE, remark=codes(LIS)), book(ONE, LIS))

    assert {one.payment: one.why for one in decision.candidates} == {
        ONE.payment: "专属账号一致；金额等于应付",
        LIS.payment: "核对码一致；金额等于应付",
    }
    assert all("附言核对码属于" in one.why_not for one in decision.candidates)


def test_more_than_ten_codes_are_for_a_person():
    many = [intent(100) for _ in range(11)]

    assert judge(fact(1000, codes(*many[:10])), book(*many)).rule == "T3a"
    assert judge(fact(1100, codes(*many)), book(*many)).rule == "T3b"


def test_one_code_on_two_of_our_accounts_means_the_one_that_got_the_money():
    there = intent(account_id=ELSEWHERE, code=ONE.code, payer_id=LI)

    decision = judge(fact(remark=codes(ONE)), book(there, ONE))

    assert decision.pays == ((ONE.payment_id, PRICE),)
    assert ONE.account_id == HERE


# --- a buyer's own virtual account --------------------------------------------------------------


def shared(fen: int = PRICE, **changes: Any) -> Intent:
    return intent(fen, virtual_account="VWANG", is_shared=True, **changes)


A, B, C = shared(100), shared(250), shared(430)
GONE = shared(100, is_open=False)
SHARED = [
    ("equal to one", 250, "", MATCHED, "T1m", ((B, 250),)),
    ("equal to one, a closed one of the same amount", 100, "", MATCHED, "T1m", ((A, 100),)),
    ("sum of all", 780, "", SUGGESTED, "T1m", ()),
    ("sum of two", 350, "", SUGGESTED, "T1m", ()),
    ("sum of none", 351, "", SUGGESTED, "T1m", ()),
    ("code, equal", 250, B.code, MATCHED, "T1a", ((B, 250),)),
    ("code, less", 100, B.code, MATCHED, "T1b", ((B, 100),)),
    ("code, more", 300, B.code, MATCHED, "T1c", ((B, 300),)),
    ("code of a closed one", 100, GONE.code, SUGGESTED, "T1d", ()),
    ("code spelled", 250, B.code.translate(SPELLED), SUGGESTED, "T1m", ()),
    ("two codes", 350, f"{A.code}，{B.code}", MATCHED, "T3a", ((A, 100), (B, 250))),
    ("two codes, not the sum", 351, f"{A.code}，{B.code}", SUGGESTED, "T3b", ()),
    ("another's code", 250, LIS.code, CONFLICT, "W", ()),
]


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case[0])
def test_a_buyers_own_account_pays_only_the_one_that_is_meant(case):
    _, fen, remark, verdict, rule, pays = case
    line = fact(fen, remark, virtual_account="VWANG")

    decision = judge(line, book(A, B, C, GONE, LIS))

    assert (decision.verdict, decision.rule) == (verdict, rule)
    assert decision.pays == tuple((one.payment_id, part) for one, part in pays)


def test_a_suggested_sum_says_how_the_money_divides():
    line = fact(350, virtual_account="VWANG")

    assert judge(line, book(A, B, C)).facts == {
        "virtual_account": "VWANG",
        "split": {A.payment: 100, B.payment: 250},
    }


def test_a_sum_that_is_right_in_two_ways_is_no_division():
    twin = shared(100)

    decision = judge(fact(350, virtual_account="VWANG"), book(A, twin, B))

    assert decision.facts == {"virtual_account": "VWANG"}
    assert {one.payment for one in decision.candidates} == {A.payment, twin.payment, B.payment}


def test_after_a_refund_a_person_decides():
    back = intent(is_open=False, is_refunded=True)

    decision = judge(va(back), book(back))

    assert (decision.verdict, decision.rule, decision.pays) == (SUGGESTED, "T1d", ())
    assert [one.payment for one in decision.candidates] == [back.payment]


def test_a_conflict_says_what_disagreed():
    decision = judge(va(ONE, remark=codes(LIS)), book(ONE, LIS))

    assert decision.facts == {"virtual_account": ONE.virtual_account, "codes": [LIS.code]}


def test_two_equal_payments_of_one_buyer_are_for_a_person_even_on_his_own_account():
    decision = judge(fact(100, virtual_account="VWANG"), book(A, shared(100), B))

    assert (decision.verdict, decision.pays) == (SUGGESTED, ())


def test_a_buyers_account_with_nothing_open_pays_nothing():
    decision = judge(fact(100, virtual_account="VWANG"), book(GONE))

    assert (decision.verdict, decision.pays) == (SUGGESTED, ())


def test_a_buyers_account_below_another_of_our_accounts_is_a_conflict():
    decision = judge(fact(100, virtual_account="VWANG", account_id=ELSEWHERE), book(A))

    assert (decision.verdict, decision.rule) == (CONFLICT, "W")
