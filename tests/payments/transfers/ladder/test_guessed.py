"""T4–T7: nothing names the payment; who may pay all the same, and every refusal."""

from dataclasses import dataclass, field

import pytest

from payments.transfers.ladder.facts import Fact, Intent, Terms, payer_marks
from payments.transfers.rules import Verdict
from tests.payments.transfers.ladder.cast import (
    ELSEWHERE,
    KNOWS_WANG,
    LI,
    MASKED,
    PRICE,
    WANG,
    WANGS,
    book,
    fact,
    intent,
    judge,
)

MATCHED, SUGGESTED, UNMATCHED = Verdict.MATCHED, Verdict.SUGGESTED, Verdict.UNMATCHED
ONE = intent()
TWO = intent(5000)
THREE = intent(2000)
LIS = intent(payer_id=LI)
LIS_OTHER = intent(1234, payer_id=LI)
FAR = intent(account_id=ELSEWHERE)
CLOSED = intent(is_open=False)
AUTO = Terms(auto=frozenset({"T5", "T6"}))
NAMESAKE = KNOWS_WANG | {LI: {"户名王小美"}}
SHARED_CARD = KNOWS_WANG | {LI: {"账号6222020200112233"}}


def mistyped(one: Intent) -> str:
    """Two neighbouring digits swapped."""
    code = one.code
    i = next(i for i in range(7) if code[i] != code[i + 1])
    return code[:i] + code[i + 1] + code[i] + code[i + 2 :]


@dataclass(frozen=True)
class Case:
    name: str
    line: Fact
    of: tuple[Intent, ...]
    verdict: Verdict
    rule: str
    pays: tuple[tuple[Intent, int], ...] = ()
    payers: dict[int, set[str]] = field(default_factory=lambda: KNOWS_WANG)
    terms: Terms | None = None
    says: str = ""


PAID = ((ONE, PRICE),)
CASES = [
    # T4: the account.
    Case("T4", fact(**WANGS), (ONE,), MATCHED, "T4", PAID),
    Case("T4, others ask for as much", fact(**WANGS), (ONE, LIS), MATCHED, "T4", PAID),
    Case("T4, his other one is elsewhere", fact(**WANGS), (ONE, FAR), MATCHED, "T4", PAID),
    Case("T4, his other one is closed", fact(**WANGS), (ONE, CLOSED), MATCHED, "T4", PAID),
    Case("T4 one fen off", fact(9899, **WANGS), (ONE,), SUGGESTED, "T4", says="金额不符"),
    Case("T4b", fact(7000, **WANGS), (ONE, TWO, THREE), SUGGESTED, "T4b"),
    Case("T4b one of two", fact(**WANGS), (ONE, TWO), SUGGESTED, "T4b"),
    Case("T4 no sum", fact(7001, **WANGS), (ONE, TWO, THREE), SUGGESTED, "T4"),
    Case("T4 two buyers", fact(**WANGS), (ONE,), SUGGESTED, "T4", payers=SHARED_CARD, says="多位"),
    Case(
        "T4 with a near code of somebody else's",
        fact(remark=mistyped(LIS), **WANGS),
        (ONE, LIS),
        SUGGESTED,
        "T4",
        says="只差一处",
    ),
    Case(
        "T4 on a virtual account of nobody",
        fact(virtual_account="V0", **WANGS),
        (ONE,),
        SUGGESTED,
        "T4",
        says="未分配",
    ),
    Case(
        "T4 switched off",
        fact(**WANGS),
        (ONE,),
        SUGGESTED,
        "T4",
        terms=Terms(off=frozenset({"T4"})),
        says="停用",
    ),
    Case("T4 reversed", fact(is_reversed=True, **WANGS), (ONE,), Verdict.CONFLICT, "R"),
    Case("T4 nothing open", fact(**WANGS), (CLOSED,), UNMATCHED, ""),
    # T6: nearly the code.
    Case(
        "T6",
        fact(remark=f"货款{mistyped(ONE)}", **MASKED),
        (ONE, TWO),
        SUGGESTED,
        "T6",
        says=ONE.code,
    ),
    Case(
        "T6 paying by itself",
        fact(remark=mistyped(ONE), **MASKED),
        (ONE, TWO),
        MATCHED,
        "T6",
        PAID,
        terms=AUTO,
    ),
    Case(
        "T6 of a stranger",
        fact(remark=mistyped(LIS), **MASKED),
        (LIS, LIS_OTHER),
        SUGGESTED,
        "T7",
        terms=AUTO,
    ),
    Case(
        "T6 with another amount",
        fact(9899, mistyped(ONE), **MASKED),
        (ONE, TWO),
        UNMATCHED,
        "",
        terms=AUTO,
    ),
    # T5: the name.
    Case("T5", fact(**MASKED), (ONE,), SUGGESTED, "T5"),
    Case("T5 paying by itself", fact(**MASKED), (ONE,), MATCHED, "T5", PAID, terms=AUTO),
    Case("T5 with a second payment", fact(**MASKED), (ONE, TWO), SUGGESTED, "T5", terms=AUTO),
    Case("T5 with a second amount", fact(**MASKED), (ONE, LIS), SUGGESTED, "T5", terms=AUTO),
    Case(
        "T5 of two people",
        fact(**MASKED),
        (ONE, LIS_OTHER),
        SUGGESTED,
        "T5",
        payers=NAMESAKE,
        terms=AUTO,
    ),
    Case(
        "T5 from a whole account that is not his",
        fact(payer_name="王小美"),
        (ONE,),
        SUGGESTED,
        "T5",
        terms=AUTO,
    ),
    Case("T5 width and brackets", fact(payer_name="（王）小　美"), (ONE,), SUGGESTED, "T5"),
    Case("T5 never nearly", fact(payer_name="王小"), (ONE, LIS), UNMATCHED, ""),
    Case("T5 one fen off", fact(9899, **MASKED), (ONE,), UNMATCHED, ""),
    # T7: the amount.
    Case("T7", fact(), (ONE, TWO), SUGGESTED, "T7", terms=AUTO),
    Case("T7 of two", fact(), (ONE, LIS), UNMATCHED, ""),
    Case("T7 elsewhere", fact(), (FAR,), UNMATCHED, ""),
    Case("T7 closed", fact(), (CLOSED,), UNMATCHED, ""),
    Case(
        "through a payment company",
        fact(payer_name="财付通客户备付金", payer_account="6222020200112233"),
        (ONE, LIS),
        UNMATCHED,
        "",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line_that_names_nothing(case):
    decision = judge(case.line, book(*case.of, payers=case.payers, terms=case.terms))

    assert (decision.verdict, decision.rule) == (case.verdict, case.rule)
    assert decision.pays == tuple((one.payment_id, fen) for one, fen in case.pays)
    assert case.says in decision.reasons[0]


@pytest.mark.parametrize(
    ("rule", "line", "mark"),
    [("T4", fact(**WANGS), "账号6222020200112233"), ("T5", fact(**MASKED), "户名王小美")],
)
def test_of_a_payer_of_whom_not_every_line_was_looked_at_a_person_decides(rule, line, mark):
    found = book(ONE, payers=KNOWS_WANG, terms=AUTO)
    assert judge(line, found).pays  # the control

    found.busy = frozenset({mark})
    decision = judge(line, found)

    assert (decision.verdict, decision.rule) == (SUGGESTED, rule)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("T4", fact(**WANGS)),
        ("T5", fact(**MASKED)),
        ("T6", fact(remark=mistyped(ONE), **MASKED)),
    ],
)
def test_no_guess_pays_what_was_asked_for_after_the_money_came(rule, line):
    """Money of noon, payments of ten past and of later."""
    noon = 43_200

    def judged(opened):
        found = book(ONE._replace(opened=opened), payers=KNOWS_WANG, terms=AUTO)
        return judge(line._replace(booked=noon), found)

    assert [(judged(noon + late).verdict, judged(noon + late).rule) for late in (600, 601)] == [
        (MATCHED, rule),
        (SUGGESTED, rule),
    ]


def test_a_payer_found_by_his_account_leaves_the_rejected_behind_with_the_reason():
    decision = judge(fact(**WANGS), book(ONE, LIS, payers=KNOWS_WANG))

    assert [(one.payment, one.why_not) for one in decision.candidates] == [
        (LIS.payment, "付款人不曾为该买家付款")
    ]
    assert decision.facts == WANGS | {"left_fen": PRICE}


def test_a_sum_of_a_known_payers_payments_says_how_it_divides():
    decision = judge(fact(7000, **WANGS), book(ONE, TWO, THREE, payers=KNOWS_WANG))

    assert decision.facts == {
        "payer_account": WANGS["payer_account"],
        "split": {TWO.payment: 5000, THREE.payment: 2000},
    }


def test_of_more_than_a_dozen_open_payments_no_sum_is_looked_for():
    many = [intent(1 << i) for i in range(13)]

    decision = judge(fact(3, **WANGS), book(*many, payers=KNOWS_WANG))

    assert (decision.rule, decision.facts) == ("T4", {"payer_account": WANGS["payer_account"]})


def test_what_comes_nearest_is_kept_with_an_unmatched_line():
    decision = judge(fact(), book(ONE, LIS))

    assert {one.payment for one in decision.candidates} == {ONE.payment, LIS.payment}
    assert {one.why_not for one in decision.candidates} == {"金额相同的支付单不止一张"}


def test_everybodys_account_marks_nobody():
    assert payer_marks("2155", "支付宝（中国）网络技术有限公司客户备付金") == set()
    assert payer_marks("6222****2233", "王小美") == {"户名王小美"}
    assert payer_marks("6222020200112233", "") == {"账号6222020200112233"}
    assert {WANG: payer_marks("6222020200112233", "王小美")} == KNOWS_WANG


@pytest.mark.parametrize(
    ("line", "rule", "facts"),
    [
        (
            fact(PRICE + 1, **WANGS),
            "T4",
            {"payer_account": WANGS["payer_account"], "left_fen": PRICE},
        ),
        (
            fact(remark=mistyped(ONE), **MASKED),
            "T6",
            {"near_code": ONE.code, "payer_name": "王小美", "left_fen": PRICE},
        ),
        (fact(**MASKED), "T5", {"payer_name": "王小美", "equal": 1, "left_fen": PRICE}),
        (fact(), "T7", {"equal": 1, "left_fen": PRICE}),
        (fact(1, LIS.code), "", {"codes": [LIS.code], "equal": 0}),
    ],
    ids=["T4", "T6", "T5", "T7", "nobody"],
)
def test_a_suggestion_says_what_it_stands_on(line, rule, facts):
    one = ONE._replace(left_fen=PRICE)

    decision = judge(line, book(one, payers=KNOWS_WANG))

    assert (decision.rule, decision.facts) == (rule, facts)
