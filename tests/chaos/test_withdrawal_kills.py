"""`kill -9` while money leaves a wallet, to WeChat and to a bank: it leaves once, or is back in it.

Which of these tests is which cell of the whole: see killing.py.
"""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.utils.timezone import localtime, now

from payments.bills.rules import SHANGHAI
from payments.channels import transfer
from payments.ledger.models import Posting
from payments.wallet import tasks
from tests.chaos.killing import HELD_BACK, deaf, killed, killed_before_the_commit, told
from tests.payments.transfers.bank import ACCOUNT
from tests.payments.wallet.conftest import (  # noqa: F401
    _books,
    bank,
    no_shop,
    sandbox,
    sandbox_process,
    wechat,
)
from tests.payments.wallet.scene import rich
from tests.payments.wallet.test_withdrawals import CARD, PATH, asked, ends, pots, sent, transfers

pytestmark = pytest.mark.django_db(transaction=True)

SEND = """
from payments.wallet.tasks import send_withdrawal
send_withdrawal(number=sys.argv[1])
"""


@dataclass
class ToWeChat:
    scene: Any
    settings: Any
    asks: Any = None

    def told(self, base_url: str = "") -> dict[str, str]:
        changed = {"base_url": base_url} if base_url else {}
        pay = self.settings.WECHAT_PAY | changed
        return told(WECHAT_PAY=pay, WECHAT_APPID=self.settings.WECHAT_APPID)

    def slow(self) -> None:
        self.scene.switch("slow", seconds=HELD_BACK)

    def there(self) -> list[str]:
        return [one["out_bill_no"] for one in transfers(self.scene)]

    def comes_in(self, row: Any) -> None:
        """The payee confirms."""
        if transfers(self.scene)[0]["state"] != "SUCCESS":
            ends(self.scene, row, "SUCCESS")


@dataclass
class ToABank:
    sandbox: Any
    settings: Any

    @property
    def asks(self) -> dict[str, str]:
        return CARD

    def told(self, base_url: str = "") -> dict[str, str]:
        provider = self.sandbox.provider() | ({"base_url": base_url} if base_url else {})
        return told(
            BANK_PROVIDERS={"sandbox": provider},
            WALLET_PAYOUT_BANK="sandbox",
            WALLET_PAYOUT_ACCOUNT=self.settings.WALLET_PAYOUT_ACCOUNT,
        )

    def slow(self) -> None:
        self.sandbox.faults("/bank/payouts", "slow", seconds=HELD_BACK)

    def there(self) -> list[str]:
        """By the bank's own statement of today."""
        today = localtime(now(), SHANGHAI).date()
        booked = self.sandbox.statement(ACCOUNT, today, "mt940").decode()
        return re.findall(r"钱包提现 (W[0-9A-Z]+)", booked)

    def comes_in(self, row: Any) -> None:
        """A bank pays at once."""
        assert transfer.bank("sandbox").payout(row.number) is not None


@pytest.fixture(params=["WeChat", "bank"])
def road(request, settings):
    if request.param == "WeChat":
        return ToWeChat(request.getfixturevalue("wechat"), settings)
    return ToABank(request.getfixturevalue("bank"), settings)


def waiting(road):
    user = rich(10_000)
    return user, asked(user, 5000, **(road.asks or {}))


def leaves_once(road, user, row):
    """The next process: it sends, the money comes in, it asks again."""
    tasks.send_withdrawal(number=row.number)
    road.comes_in(row)
    assert sent(row).status == "DONE"
    assert pots(user) == (5000, 0)
    assert len(road.there()) == 1
    return Posting.objects.filter(kind="WITHDRAWN", reference=row.number).count() == 1


def test_killed_before_the_call_arrived(road):
    user, row = waiting(road)
    with deaf() as (url, callers):
        killed(SEND, row.number, road.told(url), when=lambda: callers)
    row.refresh_from_db()
    assert (row.status, pots(user), road.there()) == ("SENDING", (5000, 5000), [])

    assert leaves_once(road, user, row)


def test_killed_when_the_channel_had_done_it(road):
    user, row = waiting(road)
    road.slow()
    killed(SEND, row.number, road.told(), when=road.there)
    row.refresh_from_db()
    assert (row.status, row.is_known, pots(user)) == ("SENDING", False, (5000, 5000))

    assert leaves_once(road, user, row)


def test_killed_when_the_channel_had_answered(road):
    user, row = waiting(road)
    if isinstance(road, ToWeChat):
        sent(row)
        road.comes_in(row)
    killed_before_the_commit(SEND, row.number, road.told())
    row.refresh_from_db()
    assert (row.status, pots(user)) == ("SENDING", (5000, 5000))

    assert leaves_once(road, user, row)


def test_what_wechat_gave_up_while_nobody_listened_is_in_the_wallet_again(wechat, settings):  # noqa: F811
    road = ToWeChat(wechat, settings)
    user, row = waiting(road)
    sent(row)
    ends(wechat, row, "FAIL")
    killed_before_the_commit(SEND, row.number, road.told())
    row.refresh_from_db()
    assert (row.status, pots(user)) == ("SENDING", (5000, 5000))

    assert sent(row).status == "FAILED"

    assert pots(user) == (10_000, 0)
    assert Posting.objects.filter(kind="WITHDRAW_VOID", reference=row.number).count() == 1
    assert [call["method"] for call in wechat.sandbox.journal(PATH)] == ["POST"]
