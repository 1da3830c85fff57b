"""What a buyer who pays by transfer sees and may do, over HTTP."""

import io
import uuid
from datetime import datetime, timedelta

import pytest
from django.utils.timezone import localtime, now

from config.kit.errors import StaleState
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.receiving import days
from payments.receiving.models import MissingDay, ReceivingAccount, TransferIntent
from payments.transfers import pulling, services, tasks
from payments.transfers.models import Statement, StatementLine
from tests.members.people import client_of, make_user
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    ccb_csv,
    expected,
    transfer_in,
    virtual_of,
)
from tests.payments.transfers.bank import account as make_account

pytestmark = pytest.mark.django_db
PRICE = 9900


@pytest.fixture
def buyer():
    return make_user("买家")


@pytest.fixture
def client(buyer):
    return client_of(buyer)


def seen(client, payment):
    answer = client.get(f"/api/v1/payments/{payment.number}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def say(client, payment, **headers):
    return client.post(
        f"/api/v1/payments/{payment.number}/transferred", {}, format="json", **headers
    )


def give_back(client, payment, refund, **headers):
    path = f"/api/v1/payments/{payment.number}/refunds/{refund.number}/return"
    return client.post(path, {}, format="json", **headers)


def close(payment):
    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)


# --- what he is told


def test_a_payment_in_parts_says_what_has_come_and_what_is_missing(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    assert seen(client, payment)["instructions"]["message"] == "请转账 99.00 元，附言填写核对码"
    transfer_in(payment, fen=6000)

    told = seen(client, payment)

    assert told["instructions"]["message"] == "已收到 60.00 元，还差 39.00 元"
    assert told["instructions"]["amount_fen"] == told["outstanding_fen"] == 3900
    transfer_in(payment, fen=3900)
    assert seen(client, payment)["instructions"]["message"] == "已收到 99.00 元，付款完成"


def test_who_was_too_late_is_told_what_is_his(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    transfer_in(payment, fen=6000)
    close(payment)

    told = seen(client, payment)

    assert (
        told["instructions"]["message"] == "支付单已关闭，已收到的 60.00 元应退还给您，请不要再转账"
    )
    assert [(one["amount_fen"], one["reason"]) for one in told["owed_back"]] == [
        (6000, "UNFINISHED")
    ]


def test_a_list_of_payments_costs_the_same_however_long(
    account, buyer, client, django_assert_num_queries
):
    for _ in range(6):
        transfer_in(expected(PRICE, payer=buyer), fen=PRICE + 1)

    with django_assert_num_queries(4):  # token, payments, instructions, what is owed back
        rows = client.get("/api/v1/payments").json()["results"]

    assert [len(row["owed_back"]) for row in rows] == [1] * 6


# --- 我已转账


def test_a_hint_is_kept_once_and_changes_nothing(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    before = Payment.objects.values().get()

    first, second = say(client, payment), say(client, payment)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["instructions"]["hinted_at"] is not None
    assert first.json() == second.json() == seen(client, payment)
    assert Payment.objects.values().get() == before
    assert not Receipt.objects.exists()


def test_a_hint_with_a_key_is_answered_once(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}

    say(client, payment, **key)

    assert say(client, payment, **key)["Idempotent-Replay"] == "true"


def test_nobody_hints_for_another(account, buyer):
    payment = expected(PRICE, payer=buyer)

    answer = say(client_of(make_user()), payment)

    assert answer.status_code == 404
    assert TransferIntent.objects.get().hinted_at is None


def test_who_would_pay_what_is_closed_is_told_not_to(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    close(payment)

    answer = say(client, payment)

    assert (answer.status_code, answer.json()["code"]) == (409, "PAYMENT_OVER")
    assert "不要再转账" in answer.json()["detail"]
    assert TransferIntent.objects.get().hinted_at is None


def test_a_hint_after_the_money_is_no_hint(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    transfer_in(payment, fen=PRICE)

    assert say(client, payment).json()["status"] == "CONFIRMED"
    assert TransferIntent.objects.get().hinted_at is None


# --- looking sooner, and each day once


@pytest.fixture
def bank(sandbox, account):
    sandbox.open_account(ACCOUNT, 500)
    return sandbox


def import_all():
    for pk in Statement.objects.filter(status="RUNNING").values_list("pk", flat=True):
        tasks.import_statement(statement_id=pk)


def test_looking_sooner_finds_what_the_bank_did_not_push(bank, account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    bank.transfer(ACCOUNT, PRICE, remark=payment.transfer_intent.code)

    tasks.look_sooner(account_id=account.pk)
    import_all()

    assert seen(client, payment)["status"] == "CONFIRMED"
    assert Statement.objects.get().uploaded_by is None


def test_many_in_a_hurry_are_one_look_a_minute(bank, account):
    bank.transfer(ACCOUNT, PRICE)

    for _ in range(5):
        tasks.look_sooner(account_id=account.pk)

    assert len(bank.journal("/bank/files")) == 1


def test_statements_of_an_account_that_takes_no_new_payments_are_still_fetched(bank, account):
    bank.transfer(ACCOUNT, PRICE)
    ReceivingAccount.objects.update(is_active=False)

    tasks.look_sooner(account_id=account.pk)

    assert Statement.objects.count() == 1


def test_a_bank_that_gives_no_statements_is_not_asked(bank, account, settings):
    settings.BANK_PROVIDERS = {"sandbox": bank.provider() | {"can": []}}

    tasks.look_sooner(account_id=account.pk)
    tasks.pull_statements()

    assert bank.journal("/bank/files") == []


def test_a_look_that_fails_is_no_matter(bank, account):
    bank.faults("/bank/files", "error_before")

    tasks.look_sooner(account_id=account.pk)

    assert not Statement.objects.exists()


def test_each_day_that_is_over_is_fetched_once(bank, account):
    bank.transfer(ACCOUNT, PRICE)
    today = localtime(now()).date()
    tomorrow = localtime(now()).replace(hour=3) + timedelta(days=1)  # whatever the time of day

    for _ in range(2):
        account.refresh_from_db()
        for day in days.unasked(account=account, at=tomorrow):
            pulling.pull_day(account=account, day=day, at=now())
    bank.transfer(ACCOUNT, 1)  # the bank's file would be another one now
    pulling.pull_day(account=account, day=today, at=now())

    account.refresh_from_db()
    assert account.pulled_until >= today
    assert Statement.objects.count() == 1
    import_all()
    assert StatementLine.objects.get().amount_fen == PRICE


def test_what_was_pushed_is_a_duplicate_in_the_days_statement(bank, account):
    booked = bank.transfer(ACCOUNT, PRICE)
    arrive(
        booking(
            PRICE, serial=booked["serial"], booked_at=datetime.fromisoformat(booked["booked_at"])
        ),
        at=now(),
    )

    pulling.pull_day(account=account, day=localtime(now()).date(), at=now())
    import_all()

    statement = Statement.objects.get()
    assert (statement.status, statement.lines, statement.duplicates) == ("DONE", 1, 1)


def test_a_day_that_could_not_be_fetched_is_fetched_later(bank, account):
    today = localtime(now()).date()
    bank.transfer(ACCOUNT, PRICE)
    bank.faults("/bank/files", "garbage")
    pulling.pull_day(account=account, day=today, at=now())
    assert not Statement.objects.exists()
    assert days.missing(account=account, at=now()) == [today]

    pulling.pull_day(account=account, day=today, at=now())
    pulling.pull_day(account=account, day=today, at=now())

    account.refresh_from_db()
    assert account.pulled_until == today
    assert Statement.objects.count() == 1
    assert days.missing(account=account, at=now()) == []


def test_a_fetched_file_that_is_refused_is_shown_and_holds_up_no_other_day(bank, account):
    [yesterday] = days.unasked(account=account, at=now())  # before two it is the day before
    ReceivingAccount.objects.update(pulled_until=yesterday - timedelta(days=3))
    bank.faults("/bank/files", "halved")

    tasks.pull_statements()

    refused = Statement.objects.get(status="REFUSED")
    assert (refused.uploaded_by, refused.receiving_account) == (None, account)
    assert refused.reason
    assert Statement.objects.exclude(status="REFUSED").count() == 2  # the days behind it
    missing = MissingDay.objects.get()
    assert (missing.day, missing.fetched_at) == (yesterday - timedelta(days=2), None)
    assert refused.number in missing.reason
    account.refresh_from_db()
    assert account.pulled_until == yesterday

    tasks.pull_statements()

    missing.refresh_from_db()
    assert missing.fetched_at is not None
    assert Statement.objects.exclude(status="REFUSED").count() == 3


def test_the_same_refused_file_fetched_each_hour_is_one_row(bank, account):
    bank.faults("/bank/files", "halved", times=3)

    for _ in range(3):
        tasks.pull_statements()

    assert Statement.objects.get().status == "REFUSED"
    assert MissingDay.objects.count() == 1


def test_days_behind_one_that_the_bank_refuses_are_fetched(bank, account):
    make_account("622200000001", units=0)  # not of this bank

    tasks.pull_statements()

    missing = MissingDay.objects.get()
    assert (missing.receiving_account.account_no, missing.reason.partition("：")[0]) == (
        "622200000001",
        "银行拒绝提供",
    )
    assert Statement.objects.get().receiving_account == account


def test_a_large_fetched_file_that_breaks_when_it_is_imported_is_a_missing_day(account):
    today = localtime(now()).date()
    ReceivingAccount.objects.update(pulled_until=today)
    broken = io.BytesIO(ccb_csv([booking(1), booking(2)]).replace(b",0.03,", b",0.04,"))
    statement = services.keep(
        file=broken, filename="large", account=account, uploaded_by_id=None, at=now(), day=today
    )

    tasks.import_statement(statement_id=statement.pk)

    statement.refresh_from_db()
    assert (statement.status, statement.broken_row) == ("REFUSED", 3)
    assert days.missing(account=account, at=now()) == [today]


def test_after_standing_still_it_catches_up_in_steps(account):
    account.pulled_until = (NOON - timedelta(days=30)).date()

    unasked = days.unasked(account=account, at=NOON)

    assert len(unasked) == 7
    assert unasked[0] == (NOON - timedelta(days=29)).date()


def test_before_two_in_the_morning_yesterday_is_not_over(account):
    midnight = NOON.replace(hour=16)  # 00:00 in Shanghai, of the 19th

    (early,) = days.unasked(account=account, at=midnight + timedelta(minutes=119))
    (late,) = days.unasked(account=account, at=midnight + timedelta(minutes=120))

    assert (early.day, late.day) == (17, 18)


# --- money that is owed back


def test_what_was_paid_too_much_goes_back_when_the_buyer_says_so(bank, account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    transfer_in(payment, fen=PRICE + 50, payer_account="6222000011112222")
    (owed,) = seen(client, payment)["owed_back"]
    assert (owed["amount_fen"], owed["reason"], owed["status"]) == (50, "EXCESS", "OWED")
    assert owed["actions"] == {"return": True, "to_wallet": True}

    answer = give_back(client, payment, Refund.objects.get())

    (owed,) = answer.json()["owed_back"]
    assert (owed["status"], owed["actions"]) == (
        "APPROVED",
        {"return": False, "to_wallet": False},
    )
    refunds.send(refund=Refund.objects.select_related("payment").get(), at=NOON)
    assert Refund.objects.get().status == "DONE"
    sent = bank.journal("/bank/payouts")[0]["body"]
    assert (sent["to_account"], sent["amount_fen"]) == ("6222000011112222", 50)


def test_a_second_click_returns_nothing_twice(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    transfer_in(payment, fen=PRICE + 50)
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}

    first = give_back(client, payment, Refund.objects.get(), **key)
    again = give_back(client, payment, Refund.objects.get(), **key)
    without_key = give_back(client, payment, Refund.objects.get())

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert without_key.json()["code"] == "STALE_STATE"
    assert Refund.objects.get().status == "APPROVED"


def test_the_buyer_is_nobodys_second_person(account, buyer):
    """He saw what is owed before the clerk asked for it, above the limit of one person."""
    payment = expected(PRICE, payer=buyer)
    transfer_in(payment, fen=PRICE + 20_000_00)
    as_the_buyer_saw_it = Refund.objects.select_related("payment").get()
    refunds.approve(refund=Refund.objects.get(), actor="CLERK", at=NOON)

    with pytest.raises(StaleState):
        cashier.return_owed(refund=as_the_buyer_saw_it, actor="BUYER", at=NOON)

    refund = Refund.objects.get()
    assert (refund.status, refund.asked_by) == ("OWED", "CLERK")


def test_what_is_owed_to_another_is_not_mine_to_return(account, buyer, client):
    payment, other = expected(PRICE, payer=buyer), expected(PRICE)
    transfer_in(other, fen=PRICE + 50)
    refund = Refund.objects.get()

    assert give_back(client, other, refund).status_code == 404
    assert give_back(client, payment, refund).status_code == 404  # my payment, not my refund
    assert Refund.objects.get().status == "OWED"


def test_a_refund_of_a_cancelled_order_is_not_on_the_list(account, buyer, client):
    payment = expected(PRICE, payer=buyer)
    transfer_in(payment, fen=PRICE)
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON)

    assert seen(client, payment)["owed_back"] == []
    assert give_back(client, payment, Refund.objects.get()).status_code == 404


# --- only to where it came from


def approved(payment):
    refund = Refund.objects.select_related("payment").get(payment=payment)
    refunds.approve(refund=refund, actor="U1", at=NOON)
    return Refund.objects.select_related("payment").get(pk=refund.pk)


def test_what_the_bank_took_back_is_not_sent_a_second_time(bank, account):
    payment = expected(PRICE)
    line = transfer_in(payment, fen=PRICE + 50)
    refund = approved(payment)

    arrive(booking(-PRICE - 50, is_reversal=True, reverses=line.serial))
    cashier_tasks.send_refund(refund_id=refund.pk)

    refund.refresh_from_db()
    assert (refund.status, bank.journal("/bank/payouts")) == ("VOID", [])


def test_a_payment_in_parts_goes_back_part_by_part(bank, account):
    payment = expected(PRICE)
    transfer_in(payment, fen=6000, payer_account="62220001")
    transfer_in(payment, fen=1000, payer_account="62220002")
    close(payment)

    refunds.send(refund=approved(payment), at=NOON)

    sent = {
        one["body"]["to_account"]: one["body"]["amount_fen"]
        for one in bank.journal("/bank/payouts")
    }
    assert sent == {"62220001": 6000, "62220002": 1000}
    assert virtual_of(payment).startswith(ACCOUNT)
