"""Wallets and withdrawals, as the platform's finance sees them and decides."""

import pytest
from django.test import RequestFactory
from django.utils.timezone import now

from config import dashboard
from payments.ledger.models import Account
from payments.wallet import withdrawals
from payments.wallet.models import Withdrawal
from payments.wallet.rules import wallet_of
from tests.admin.pages import opened, url
from tests.admin.stage import platform as make_platform
from tests.payments.wallet.scene import available, give, rich

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    return make_platform()


@pytest.fixture
def waiting(settings):
    settings.WECHAT_PAY = {"transfers": {"scene": "1000", "reports": []}, "mchid": "1"}
    settings.PAYER_OPENID = "tests.payments.wechat_pay.payers.openid_of"
    user = rich(200_000)
    return withdrawals.ask(
        user_id=user.pk, owner=user.number, amount_fen=150_000, to="WECHAT", at=now()
    )


def test_a_wallet_shows_its_balance_and_movements(staff):
    user = rich(12_345)
    give(user, 100)
    pk = Account.objects.get(code=wallet_of(user.number)).pk

    page = opened(staff).get(url("payments.Wallet", "change", pk)).content.decode()

    assert user.number in page
    assert "124.45" in page
    assert "123.45" in page


def test_wallets_are_no_other_accounts(staff):
    rich(12_345)
    held = Account.objects.create(code="held:M1", is_guarded=False)

    client = opened(staff)

    assert client.get(url("payments.Wallet", "change", held.pk)).status_code == 302
    assert "held:M1" not in client.get(url("payments.Wallet", "changelist")).content.decode()


def test_the_menu_counts_what_waits_for_a_person(staff, waiting):
    request = RequestFactory().get("/admin/")
    request.user = staff

    assert dashboard.waiting(request)["withdrawals"] == 1


def test_staff_approve_and_it_may_go(staff, waiting):
    client = opened(staff)
    assert "同意提现" in client.get(
        url("payments.Withdrawal", "change", waiting.pk)
    ).content.decode()  # fmt: skip

    client.post(url("payments.Withdrawal", "approve", waiting.pk), {})

    row = Withdrawal.objects.get()
    assert (row.status, row.checked_by) == ("SENDING", staff.number)


def test_staff_decline_with_a_reason_and_it_is_in_the_wallet(staff, waiting):
    opened(staff).post(url("payments.Withdrawal", "decline", waiting.pk), {"reason": "请先实名"})

    row = Withdrawal.objects.select_related("user").get()
    assert (row.status, row.failure) == ("DECLINED", "请先实名")
    assert available(row.user) == 200_000


def test_nobody_approves_his_own(staff, waiting):
    Withdrawal.objects.update(owner=staff.number)

    opened(staff).post(url("payments.Withdrawal", "approve", waiting.pk), {})

    assert Withdrawal.objects.get().status == "CHECKING"
