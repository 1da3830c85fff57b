"""Large returns wait for a second person; who asks cannot check."""

import pytest

from payments.transfers import policies
from payments.transfers.models import LineReturn
from tests.admin.pages import act, fingerprint, fresh, opened, url
from tests.factories import NOON

pytestmark = pytest.mark.django_db
CHECKS = url("payments.LineReturn", "checks")


@pytest.fixture
def asked(first):
    """FINANCE asks for the return of a line that is above the merchant's limit."""
    policies.change(merchant=first.merchant.number, values={"check_above_fen": 50_00}, at=NOON)
    line = first.rows["payments.StatementLine"]
    act(first, "FINANCE", "payments.StatementLine", "give_back", {"reason": "付错商家"})
    return LineReturn.objects.get(line=line)


def text_for(side, post):
    return opened(side.people[post]).get(CHECKS).content.decode()


def test_the_page_names_maker_reason_amount_and_payer(first, asked):
    text = text_for(first, "OWNER")

    assert asked.status == "ASKED"
    for told in ("¥77.00", "付错商家", "甲号FINANCE", asked.line.payer_name, "同意退回"):
        assert told in text


def test_the_maker_sees_that_another_person_is_needed(first, asked):
    text = text_for(first, "FINANCE")
    before = fingerprint()
    page = act(first, "FINANCE", "payments.LineReturn", "approve", row=asked)

    assert "这是您自己的申请" in text
    assert "同意退回</a>" not in text
    assert "errornote" in page.content.decode() or "另一" in page.content.decode()
    assert fingerprint() == before


def test_another_person_approves_and_the_bank_is_asked(first, asked):
    act(first, "OWNER", "payments.LineReturn", "approve", row=asked)

    assert fresh(asked).status == "SENDING"
    assert fresh(asked).checked_by == first.people["OWNER"].number
    assert "没有等待复核的退回" in text_for(first, "OWNER")


def test_another_person_declines_and_the_line_waits_again(first, asked):
    act(first, "OWNER", "payments.LineReturn", "decline", {"reason": "先联系买家"}, row=asked)

    assert fresh(asked).status == "DECLINED"
    assert fresh(asked.line).verdict == "UNMATCHED"
    assert "先联系买家" in fresh(asked.line).reasons[0]


def test_a_return_is_checked_once(first, asked, platform):
    act(first, "OWNER", "payments.LineReturn", "approve", row=asked)
    before = fingerprint()
    client = opened(platform)
    page = client.post(
        url("payments.LineReturn", "decline", asked.pk), {"reason": "不行"}, follow=True
    )

    assert "请刷新" in page.content.decode()
    assert "不行" in page.content.decode()
    assert fingerprint() == before


def test_another_merchants_returns_are_not_there(first, second, asked):
    before = fingerprint()
    text = text_for(second, "OWNER")
    act(second, "OWNER", "payments.LineReturn", "approve", row=asked)

    assert asked.number not in text
    assert "付错商家" not in text
    assert fingerprint() == before
    assert opened(first.people["OPERATOR"]).get(CHECKS).status_code == 403
