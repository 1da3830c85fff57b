"""What a clerk paid back in net banking, as he says it and as another confirms it."""

import pytest

from payments.transfers.models import LineReturn
from payments.transfers.models_by_hand import ByHand
from tests.admin.pages import act, fingerprint, fresh, opened, url
from tests.payments.transfers.bank import arrive, booking

pytestmark = pytest.mark.django_db
LABEL = "payments.ByHand"
ENTER = url(LABEL, "enter")


def asked(side):
    return fresh(side.rows[LABEL])


def said(side, post, **answers):
    answers = {"reason": "客户销户"} | answers
    return opened(side.people[post]).post(ENTER, answers, follow=True).content.decode()


@pytest.fixture
def out(first):
    """Money to the payer of the line that nobody can place."""
    line = first.rows["payments.StatementLine"]
    payer = {"payer_name": line.payer_name, "payer_account": line.payer_account}
    row = booking(-line.amount_fen, booked_at=line.booked_at, **payer)
    return arrive(row, account_no=line.receiving_account.account_no, at=line.stored_at)[0]


def test_a_clerk_says_it_and_another_confirms_it(first, out):
    line = first.rows["payments.StatementLine"]
    text = said(first, "FINANCE", payout=f" {line.number.lower()} ", booked=f" {out.serial} ")
    assert "登记已在网银退款：已完成" in text
    made = ByHand.objects.get(booking=out)
    page = opened(first.people["OWNER"]).get(url(LABEL, "approve", made.pk)).content.decode()
    for told in ("¥77.00", out.serial, line.payer_name, "客户销户", "甲号FINANCE"):
        assert told in page

    act(first, "OWNER", LABEL, "approve", row=made)

    assert (fresh(made).status, fresh(line).verdict) == ("DONE", "RETURNED")
    assert fresh(made).checked_by == first.people["OWNER"].number


def test_another_declines_with_a_reason(first):
    act(first, "OWNER", LABEL, "decline", {"reason": "付给了别人"}, row=asked(first))

    made = asked(first)
    assert made.status == "DECLINED"
    assert made.line_return.line.verdict == "UNMATCHED"
    assert "付给了别人" in made.line_return.line.reasons[0]


def test_who_said_it_is_told_that_another_is_needed(first):
    before = fingerprint()
    for name, answers in (("approve", {}), ("decline", {"reason": "误"})):
        page = act(first, "FINANCE", LABEL, name, answers, row=asked(first))
        assert "须由另一人确认" in page.content.decode()

    assert fingerprint() == before


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"booked": "S_NEVER"}, "请先上传付出当天的流水"),
        ({"payout": "R_NOBODY"}, "没有这笔退款、退回或来账"),
        ({"payout": "refund"}, "只有“退回失败”的退款单能登记"),
        ({"booked": "of another"}, "已对应另一笔退款"),
        ({"booked": "the line"}, "它不是付出"),
        ({"reason": ""}, "该字段是必填项"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words_and_nothing_changes(first, out, typed, told):
    line = first.rows["payments.StatementLine"]
    answers = {"payout": line.number, "booked": out.serial} | typed
    if answers["payout"] == "refund":
        refund = first.rows["payments.Refund"]
        answers["payout"] = refund.number
        payer = refund.payment.allocations.get().line
        row = booking(-refund.amount_fen, payer_name=payer.payer_name, booked_at=line.booked_at)
        (paid,) = arrive(row, account_no=line.receiving_account.account_no, at=line.stored_at)
        answers["booked"] = paid.serial
    if answers["booked"] == "of another":
        booked = asked(first).booking
        answers["booked"] = booked.serial
        answers["payout"] = _line_of(first, booked).number
    if answers["booked"] == "the line":
        answers["booked"] = line.number
    before = fingerprint()

    assert told in said(first, "FINANCE", **answers)

    assert fingerprint() == before


def _line_of(side, booked):
    """Another line, of the same payer and amount."""
    payer = {"payer_name": booked.payer_name, "payer_account": booked.payer_account}
    row = booking(-booked.amount_fen, booked_at=booked.booked_at, **payer)
    own = booked.receiving_account.account_no
    return arrive(row, account_no=own, at=booked.stored_at)[0]


def test_another_merchants_money_is_not_to_be_found(first, second, out):
    line = first.rows["payments.StatementLine"]
    before = fingerprint()

    text = said(second, "FINANCE", payout=line.number, booked=out.serial)
    assert "没有这笔退款、退回或来账" in text
    act(second, "OWNER", LABEL, "approve", row=asked(first))

    assert fingerprint() == before


def test_it_is_not_among_the_returns_that_the_bank_is_asked_for(first):
    back = asked(first).line_return
    checks = opened(first.people["OWNER"]).get(url("payments.LineReturn", "checks"))

    assert back.number not in checks.content.decode()
    page = act(first, "OWNER", "payments.LineReturn", "approve", row=back)
    assert "请在“网银退款”里复核" in page.content.decode()
    assert LineReturn.objects.get(pk=back.pk).status == "ASKED"


def test_who_may_confirm_sees_how_many_wait(first, second):
    """One for each merchant; the badge is of one's own."""
    pages = [opened(side.people["OWNER"]).get("/admin/") for side in (first, second)]
    assert [page.context["request"]._siyu_waiting["by_hand"] for page in pages] == [1, 1]

    act(first, "OWNER", LABEL, "approve", row=asked(first))

    assert (
        opened(first.people["OWNER"]).get("/admin/").context["request"]._siyu_waiting["by_hand"]
        == 0
    )
