"""A payout that its payee's bank sent back (退汇), said on its page in the admin."""

import pytest

from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.payouts import files
from payments.payouts.models import PayoutEvent
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import StatementLine
from tests.admin.pages import opened, url
from tests.admin.stage import platform
from tests.payments.settlement.scene import (
    CLERK,
    LATER,
    OTHER,
    PRICE,
    earned,
    fresh,
    own_account,
    payee,
    request,
    there,
)
from tests.payments.transfers.bank import ACCOUNT, account, arrive, booking

pytestmark = pytest.mark.django_db


@pytest.fixture
def payout(db):
    """Paid by a file."""
    account()
    earned()
    payee()
    ReceivingAccount.objects.update(provider="")
    asked = request()
    files.export(account=own_account(), actor=CLERK, at=LATER)
    yield fresh(files.confirm(payout=fresh(asked), serial="OUT1", actor=OTHER, at=LATER))
    assert ledger.audit() == []


@pytest.fixture
def desk(payout):
    return opened(platform())


def come_back(payout, fen=PRICE, **more):
    given = {"remark": f"退汇 {payout.number}", "payer_account": "X", "payer_name": "收款户"}
    (line,) = arrive(booking(fen, **given | more))
    return line


def say(client, payout, line, fee="0"):
    answers = {"line": line.number, "fee_fen": fee, "reason": "银行回单注明账号有误"}
    return client.post(url("payments.Payout", "bounced", payout.pk), answers, follow=True)


def test_the_page_offers_what_came_back_and_nothing_else(desk, payout):
    address = url("payments.Payout", "bounced", payout.pk)
    assert "还没有收到可能是它的退汇" in desk.get(address).content.decode()
    line, larger = come_back(payout), come_back(payout, PRICE + 1, remark="退汇")
    (sale,) = arrive(booking(77_00, remark="货款"))

    page = desk.get(address).content.decode()

    assert line.number in page
    assert "收款户" in page
    assert larger.number not in page
    assert sale.number not in page
    for other in (larger, sale):
        assert fresh(payout).status == "DONE"
        assert "选择一个有效的选项" in say(desk, payout, other).content.decode()


def test_what_came_back_is_the_merchants_again_and_said_once(desk, payout):
    line = come_back(payout)
    assert "已退汇" in desk.get(url("payments.Payout", "change", payout.pk)).content.decode()

    say(desk, payout, line)

    assert fresh(payout).status == "BOUNCED"
    assert there() == (PRICE, 0)
    assert StatementLine.objects.get(pk=line.pk).verdict == "REVERSED"
    assert PayoutEvent.objects.filter(payout=payout, kind="BOUNCED").count() == 1
    say(desk, payout, line)
    assert there() == (PRICE, 0)
    assert PayoutEvent.objects.filter(payout=payout, kind="BOUNCED").count() == 1


def test_a_fee_is_typed_in_yuan_and_must_be_what_is_missing(desk, payout):
    line = come_back(payout, PRICE - 550)

    page = say(desk, payout, line, fee="5.00").content.decode()
    assert "银行扣费须填为 5.50" in page
    assert fresh(payout).status == "DONE"

    say(desk, payout, line, fee="5.50")
    assert fresh(payout).status == "BOUNCED"
    assert there() == (PRICE, 0)
    assert books.balance(f"fee:{ACCOUNT}") == 550
