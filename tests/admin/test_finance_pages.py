"""What finance and the platform set and see: bank days, receiving accounts, days that differ."""

from datetime import date, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.timezone import now

from payments.calendar.models import BankDay
from payments.closing.models import DayClose
from payments.receiving import days
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.transfers import policies
from payments.transfers.models import ShadowVerdict, Statement
from tests.admin.pages import fingerprint, fresh, opened, url
from tests.payments.transfers.bank import booking, ccb_csv, push

pytestmark = pytest.mark.django_db
ADD_DAY = url("payments.BankDay", "add")
UPLOAD = "/admin/payments/statement/upload/"
NEW_YEAR = {"day": "2031-01-01", "kind": "REST", "name": "元旦"}


# --- bank days


def test_the_platform_enters_a_bank_day_and_corrects_it(platform):
    client = opened(platform)
    client.post(ADD_DAY, NEW_YEAR)
    day = BankDay.objects.get(day=date(2031, 1, 1))
    assert (day.kind, day.name) == ("REST", "元旦")
    assert LogEntry.objects.latest("pk").user == platform

    client.post(url("payments.BankDay", "change", day.pk), {"kind": "WORK", "name": "元旦"})
    assert fresh(day).kind == "WORK"


@pytest.mark.parametrize("typed", [{"day": ""}, {"day": "元旦"}, {"kind": "HALF"}])
def test_a_bank_day_that_makes_no_sense_is_refused(platform, typed):
    before = fingerprint()
    opened(platform).post(ADD_DAY, NEW_YEAR | typed)

    assert fingerprint() == before


def test_a_merchants_finance_does_not_make_bank_days(first):
    before = fingerprint()
    assert opened(first.people["FINANCE"]).post(ADD_DAY, NEW_YEAR).status_code == 403
    assert fingerprint() == before


# --- receiving accounts


def typed_account(account, **changes):
    fields = ("account_name", "bank_name", "provider", "gives", "quarantine_days")
    kept = {name: getattr(account, name) for name in fields}
    return kept | {"is_active": "on"} | changes


def test_the_platform_sets_how_virtual_accounts_are_given(platform, first):
    account = first.rows["payments.ReceivingAccount"]
    address = url("payments.ReceivingAccount", "change", account.pk)
    client = opened(platform)
    assert "期间迟到的款仍归原订单" in client.get(address).content.decode()

    changes = {"gives": "MEMBER", "quarantine_days": "90", "is_capped": "on"}
    changes |= {"is_payer_bound": "on"}
    client.post(address, typed_account(account, **changes))

    account = fresh(account)
    assert (account.gives, account.quarantine_days) == ("MEMBER", 90)
    assert (account.is_capped, account.is_payer_bound) == (True, True)


@pytest.mark.parametrize("typed", [{"gives": "NOBODY"}, {"quarantine_days": "99999"}])
def test_a_way_of_giving_that_makes_no_sense_is_refused(platform, first, typed):
    account = first.rows["payments.ReceivingAccount"]
    before = fingerprint()
    address = url("payments.ReceivingAccount", "change", account.pk)
    opened(platform).post(address, typed_account(account, **typed))

    assert fingerprint() == before


def test_an_interface_that_is_not_configured_here_is_not_lost_by_saving(platform, first):
    account = first.rows["payments.ReceivingAccount"]
    ReceivingAccount.objects.filter(pk=account.pk).update(provider="elsewhere")
    address = url("payments.ReceivingAccount", "change", account.pk)
    client = opened(platform)
    assert "elsewhere（未配置）" in client.get(address).content.decode()

    client.post(address, typed_account(fresh(account), bank_name="招商银行西湖支行"))
    assert fresh(account).bank_name == "招商银行西湖支行"
    assert fresh(account).provider == "elsewhere"


def test_who_only_reads_an_account_reads_words(first):
    account = first.rows["payments.ReceivingAccount"]
    address = url("payments.ReceivingAccount", "change", account.pk)
    text = opened(first.people["FINANCE"]).get(address).content.decode()

    assert "每笔支付一个" in text
    assert "BANK_PROVIDERS" not in text


def test_the_list_of_virtual_accounts_says_whose_until_when_and_up_to_what(first):
    number = first.rows["payments.VirtualAccount"]
    VirtualAccount.objects.filter(pk=number.pk).update(
        state="RESTING", rests_until=now() + timedelta(days=9), cap_fen=88_00,
        member=first.people["BUYER"],
    )  # fmt: skip
    listed = url("payments.VirtualAccount", "changelist")
    text = opened(first.people["FINANCE"]).get(f"{listed}?q={number}").content.decode()

    for word in ("静置中", "甲号买家", "¥88.00", f"{now() + timedelta(days=9):%Y-%m}"):
        assert word in text


def test_who_has_given_half_of_the_codes_away_is_told(first):
    account = first.rows["payments.ReceivingAccount"]
    address = url("payments.ReceivingAccount", "change", account.pk)
    client = opened(first.people["FINANCE"])
    assert "核对码已用过半" not in client.get("/admin/").content.decode()
    ReceivingAccount.objects.filter(pk=account.pk).update(codes_in_use=512_345)

    page = client.get("/admin/").content.decode()

    assert "核对码已用过半" in page
    assert "51%" in page
    assert "512,345 / 1,000,000" in client.get(address).content.decode()


# --- a day that differs


def test_a_day_that_differs_says_how_much_and_leads_to_the_line(first):
    line = first.rows["hinted"]
    why = {"why": "NOT_CONFIRMED", "number": line.number, "text": "推送来账", "fen": -66_00}
    day = first.rows["payments.DayClose"]
    DayClose.objects.filter(pk=day.pk).update(
        status="DIFFERS", ledger_fen=66_00, differences=[why | {"is_settled": False}] * 2
    )
    client = opened(first.people["FINANCE"])

    listed = client.get(url("payments.DayClose", "changelist")).content.decode()
    assert "推送未经流水确认 -¥66.00 等 2 项" in listed
    text = client.get(url("payments.DayClose", "change", day.pk)).content.decode()
    assert f"?q={line.number}" in text
    assert f"{line.receiving_account} {fresh(day).day}" in text


# --- rules on trial


def test_a_real_trial_names_the_payments_it_would_have_paid(first):
    merchant, payment = first.merchant.number, first.rows["payments.Payment"]
    policies.change(merchant=merchant, values={"shadow": "2026.11"}, at=now())
    row = booking(payment.amount_fen, remark=payment.transfer_intent.code, booked_at=now())
    push(row, account_no=payment.transfer_intent.receiving_account.account_no, at=now())

    assert ShadowVerdict.objects.get().payments == [payment.number]
    page = opened(first.people["FINANCE"]).get(url("payments.Policy", "trial"))
    assert page.status_code == 200
    assert "2026.11" in page.content.decode()


# --- statements


def test_a_broken_file_is_refused_on_the_spot_and_kept_in_the_list(first):
    account = first.rows["payments.ReceivingAccount"]
    rows = [booking(100), booking(200)]
    broken = ccb_csv(rows, own=account.account_no).replace(b",3.00,", b",4.00,")
    client = opened(first.people["FINANCE"])

    page = client.post(UPLOAD, {"file": SimpleUploadedFile("流水.csv", broken), "account_no": ""})

    refused = Statement.objects.get(status="REFUSED")
    text = page.content.decode()
    assert f"已记为被拒绝的流水文件 {refused.number}" in text
    assert refused.reason in text
    shown = client.get(url("payments.Statement", "change", refused.pk)).content.decode()
    assert refused.reason in shown
    assert first.people["FINANCE"] == refused.uploaded_by


def test_a_sound_file_is_taken(first):
    account = first.rows["payments.ReceivingAccount"]
    before = Statement.objects.count()
    file = SimpleUploadedFile("流水.csv", ccb_csv([booking(100)], own=account.account_no))

    page = opened(first.people["FINANCE"]).post(UPLOAD, {"file": file, "account_no": ""})

    assert page.status_code == 302
    assert Statement.objects.count() == before + 1


def test_days_that_could_not_be_fetched_are_on_the_accounts_page(first):
    account = first.rows["payments.ReceivingAccount"]
    address = url("payments.ReceivingAccount", "change", account.pk)
    client = opened(first.people["FINANCE"])
    days.miss(account=account, day=date(2031, 1, 1), reason="银行没有给出可信的答复", at=now())
    assert "2031-01-01：银行没有给出可信的答复" in client.get(address).content.decode()

    days.take(account=account, day=date(2031, 1, 1), at=now())

    assert "2031-01-01：" not in client.get(address).content.decode()


def test_who_has_uploaded_a_missing_day_is_on_the_accounts_page(first):
    account, clerk = first.rows["payments.ReceivingAccount"], first.people["FINANCE"]
    day = date(2031, 1, 1)
    days.miss(account=account, day=day, reason="银行没有给出可信的答复", at=now())
    days.close(account=account, day=day, statement="B0001", by=clerk.number, at=now())

    page = opened(clerk).get(url("payments.ReceivingAccount", "change", account.pk))

    name = clerk.nickname or clerk.username
    assert f"（{name}上传的流水 B0001 已补上，" in page.content.decode()
