"""The merchant's other accounts at WeChat Pay: what transfers and fees are paid from."""

import pytest
from django.utils.timezone import now

from payments.bills import queries, services
from payments.bills.models import ChannelDay
from payments.bills.tasks import fetch_bills
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.wallet import withdrawals
from tests.payments.bills.past import ACCOUNT, OPENING, fee, found
from tests.payments.wallet.scene import rich

pytestmark = pytest.mark.django_db
OPERATION, FEES = f"{ACCOUNT}:OPERATION", f"{ACCOUNT}:FEES"


@pytest.fixture
def three(past, settings):
    """A merchant number with all of its accounts, and transfers to people."""
    settings.WECHAT_PAY = settings.WECHAT_PAY | {
        "accounts": ["OPERATION", "FEES"],
        "transfers": {
            "scene": "1000",
            "reports": [{"info_type": "活动名称", "info_content": "余额提现"}],
        },
    }
    return past


def taken_in(past, name):
    past.back()
    return services.take_in(name=name, day=past.day, at=now())


def withdrawn(past, fen):
    """Out of a wallet to its owner's WeChat."""
    user = rich(fen)
    row = withdrawals.ask(user_id=user.pk, owner=user.number, amount_fen=fen, to="WECHAT", at=now())
    withdrawals.send(number=row.number, at=now())
    past.scene.sandbox.control("wechat-pay/transfer", out_bill_no=row.number, state="SUCCESS")
    withdrawals.send(number=row.number, at=now())
    row.refresh_from_db()
    assert row.status == "DONE"


def test_what_was_withdrawn_leaves_the_account_that_transfers_are_paid_from(three):
    withdrawn(three, 5_000)
    assert books.balance("elsewhere:wechat") == 5_000

    day = taken_in(three, "WECHAT_OPERATION")

    assert (day.status, day.account) == ("EVEN", OPERATION)
    assert (day.opening_fen, day.closing_fen) == (OPENING, OPENING - 5_000)
    assert books.balance(OPERATION) == OPENING - 5_000
    assert books.balance("elsewhere:wechat") == 0
    assert Posting.objects.filter(reference=f"wechat:{day.day}:OPERATION").count() == 1


def test_what_goes_from_one_account_to_another_is_nobodys_in_the_end(three):
    three.scene.sandbox.control("wechat-pay/fill", account="OPERATION", fen=700)

    taken_in(three, "WECHAT")
    assert books.balance("elsewhere:wechat") == -700
    taken_in(three, "WECHAT_OPERATION")

    assert books.balance("elsewhere:wechat") == 0
    assert (books.balance(ACCOUNT), books.balance(OPERATION)) == (OPENING - 700, OPENING + 700)


def test_fees_may_be_paid_from_an_account_of_their_own(three):
    three.scene.switch("fees_apart")
    three.paid(9_900)

    assert taken_in(three, "WECHAT").status == "EVEN"
    assert books.balance("channel_fee:wechat") == 0
    assert taken_in(three, "WECHAT_FEES").status == "EVEN"

    assert books.balance("channel_fee:wechat") == fee(9_900)
    assert books.balance(ACCOUNT) == OPENING + 9_900
    assert books.balance(FEES) == OPENING - fee(9_900)
    assert books.balance("clearing:wechat") == 0
    assert found() == []


def test_a_day_on_which_nothing_moved_has_no_bill_and_is_even(three):
    for name in ("WECHAT_OPERATION", "WECHAT_FEES"):
        day = taken_in(three, name)
        assert (day.status, day.opening_fen) == ("EVEN", None)

    assert not Posting.objects.exists()


def test_taken_in_twice_is_once(three):
    withdrawn(three, 5_000)
    day = taken_in(three, "WECHAT_OPERATION")
    services.compare_again(day=day)

    taken_in(three, "WECHAT_OPERATION")

    assert Posting.objects.filter(kind="CHANNEL_DAY").count() == 1
    assert books.balance(OPERATION) == OPENING - 5_000


def test_the_audit_holds_each_account_against_its_own_bill(three):
    withdrawn(three, 5_000)
    day = taken_in(three, "WECHAT_OPERATION")
    ChannelDay.objects.filter(pk=day.pk).update(closing_fen=day.closing_fen + 1)

    assert [OPERATION in finding for finding in queries.findings()] == [True]
    assert len(ledger.audit()) == 1
    ChannelDay.objects.filter(pk=day.pk).update(closing_fen=day.closing_fen)


@pytest.mark.parametrize(
    ("accounts", "names"),
    [
        ([], {"WECHAT"}),
        (["OPERATION"], {"WECHAT", "WECHAT_OPERATION"}),
        (["OPERATION", "FEES"], {"WECHAT", "WECHAT_OPERATION", "WECHAT_FEES"}),
    ],
)
def test_only_accounts_that_there_are_are_asked_for(three, settings, accounts, names):
    settings.WECHAT_PAY = settings.WECHAT_PAY | {"accounts": accounts}
    three.back()

    fetch_bills()

    assert set(ChannelDay.objects.values_list("channel", flat=True)) == names
