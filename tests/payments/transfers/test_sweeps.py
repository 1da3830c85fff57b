"""One row that a person has to look at does not hold up those behind it."""

import io
from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.cashier import refunds
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Refund
from payments.receiving import tasks as receiving
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.transfers import returns, services, tasks
from payments.transfers.models import LineReturn, Statement, StatementLine, StatementPart
from payments.transfers.rules import Verdict
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    ccb_csv,
    expected,
    virtual_of,
)
from tests.payments.transfers.bank import account as make_account

GRACE = tasks.GRACE
pytestmark = pytest.mark.django_db
NO_BANK = "622000000001"  # an account whose bank is not configured (any more)


@pytest.fixture
def bank(sandbox, account):
    sandbox.open_account(ACCOUNT, 10_000_000)
    make_account(NO_BANK, provider="gone", units=60)
    ReceivingAccount.objects.filter(account_no=ACCOUNT).update(is_active=False)
    return sandbox


def then_with_a_bank():
    ReceivingAccount.objects.filter(account_no=NO_BANK).update(is_active=False)
    ReceivingAccount.objects.filter(account_no=ACCOUNT).update(is_active=True)


def test_a_refund_that_cannot_even_be_tried(bank):
    def approved(account_no):
        payment = expected(100)
        arrive(booking(130, virtual_account=virtual_of(payment)), account_no=account_no)
        refund = Refund.objects.get(payment=payment)
        refunds.approve(refund=refund, actor="U1", at=NOON)
        return refund

    first = approved(NO_BANK)
    then_with_a_bank()
    second = approved(ACCOUNT)

    cashier_tasks.send_refunds()

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("SENDING", "DONE")


def test_a_return_that_cannot_even_be_tried(bank):
    def returning(account_no):
        (line,) = arrive(booking(130), account_no=account_no)
        line = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
        returns.give_back(line=line, actor="U1", at=NOON)
        return line

    first = returning(NO_BANK)
    then_with_a_bank()
    second = returning(ACCOUNT)

    tasks.send_returns()

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.verdict, second.verdict) == (Verdict.RETURNING, Verdict.RETURNED)


def test_as_many_statements_that_always_fail_as_a_sweep_takes(account):
    def taken(minutes):
        return services.upload(
            file=io.BytesIO(ccb_csv([booking(100)])),
            filename="",
            account_no="",
            tenants=None,
            uploaded_by_id=None,
            at=NOON + timedelta(minutes=minutes),
        )

    broken = [taken(0) for _ in range(20)]
    StatementPart.objects.filter(statement__in=broken).update(body=b"not deflated")
    sound = taken(1)

    tasks.import_waiting()
    assert Statement.objects.get(pk=sound.pk).status == "RUNNING"  # the first twenty were others
    a_minute_ago = now() - timedelta(minutes=1)
    Statement.objects.exclude(leased_until=None).update(leased_until=a_minute_ago)
    tasks.import_waiting()

    assert Statement.objects.get(pk=sound.pk).status == "DONE"
    assert Statement.objects.filter(status="RUNNING").count() == 20


def test_a_store_whose_bank_is_gone(bank):
    ReceivingAccount.objects.update(is_active=True)
    VirtualAccount.objects.all().delete()

    receiving.fill_pool()

    assert VirtualAccount.objects.filter(receiving_account__account_no=ACCOUNT).exists()


# --- fifty at a time, each in his turn


def test_fifty_returns_without_an_answer_let_the_next_have_its_turn(bank):
    lines = arrive(*[booking(130) for _ in range(51)], account_no=NO_BANK)
    lines += arrive(booking(130))
    for line in StatementLine.objects.filter(pk__in=[line.pk for line in lines]).order_by("pk"):
        returns.give_back(line=line, actor="U1", at=NOON + timedelta(seconds=line.pk))

    tasks.send_returns()
    assert LineReturn.objects.filter(status="DONE").count() == 0
    tasks.send_returns()

    (done,) = LineReturn.objects.filter(status="DONE")
    assert done.line.receiving_account.account_no == ACCOUNT
    assert not LineReturn.objects.filter(chased_at=None).exists()


def test_fifty_refunds_without_an_answer_let_the_next_have_its_turn(bank):
    payments = [expected(100) for _ in range(51)]
    rows = [booking(130, virtual_account=virtual_of(one)) for one in payments]
    arrive(*rows, account_no=NO_BANK)
    then_with_a_bank()
    last = expected(100)
    arrive(booking(130, virtual_account=virtual_of(last)), at=NOON + timedelta(hours=1))
    for refund in Refund.objects.select_related("payment").order_by("pk"):
        refunds.approve(refund=refund, actor="U1", at=NOON)

    cashier_tasks.send_refunds()
    assert not Refund.objects.filter(status="DONE").exists()
    cashier_tasks.send_refunds()

    assert Refund.objects.get(status="DONE").payment == last


def test_who_was_asked_about_longest_ago_comes_first(bank):
    arrive(*[booking(130) for _ in range(3)], account_no=NO_BANK)
    for line in StatementLine.objects.select_related("receiving_account"):
        returns.give_back(line=line, actor="U1", at=NOON)
    later = NOON + timedelta(minutes=1)
    one, two, three = sorted(LineReturn.objects.values_list("pk", flat=True))

    turns = [returns.take_turns(before=later, at=later + n * GRACE, limit=2) for n in range(4)]

    assert turns == [[one, two], [three, one], [two, one], [three, one]]
