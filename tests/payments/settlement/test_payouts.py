"""A merchant's money goes to his bank account: held first, and what the bank says decides."""

from datetime import timedelta

import pytest

from config.kit.errors import StaleState
from payments.cashier.refunds import SecondPersonNeeded
from payments.channels import transfer
from payments.closing import services as services_of_days
from payments.closing.models import DayClose
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.ledger.services import NotCovered
from payments.payouts import payees, queries, sending, services, tasks
from payments.payouts.models import Payee, Payout, PayoutEvent
from payments.payouts.rules import Bank
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import StatementLine
from tests.payments.settlement import scene
from tests.payments.settlement.scene import (
    CARD,
    CLERK,
    LATER,
    MERCHANT,
    OTHER,
    PRICE,
    earned,
    fresh,
    payee,
    request,
    there,
)
from tests.payments.transfers.bank import ACCOUNT, NOON, account, arrive, booking, ccb_csv, imported

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _books_in_order(db):
    yield
    assert ledger.audit() == []


@pytest.fixture
def bank(sandbox):
    """The merchant has 1,000 yuan, and may have them."""
    sandbox.open_account(ACCOUNT, 10_000_000)
    account()
    earned()
    payee()
    return sandbox


def sent(payout):
    tasks.send_payout(payout_id=payout.pk)
    tasks.send_payout(payout_id=payout.pk)
    return fresh(payout)


def kinds(payout):
    rows = PayoutEvent.objects.filter(payout=payout).order_by("pk")
    return list(rows.values_list("kind", flat=True))


def test_the_money_goes_to_the_merchants_account_once(bank):
    payout = request(60_000)
    assert there() == (40_000, 60_000)

    payout = sent(payout)

    (paid,) = bank.journal("/bank/payouts")
    assert CARD.account_no in str(paid)
    assert (payout.status, bool(payout.serial)) == ("DONE", True)
    assert there() == (40_000, 0)
    assert books.balance(f"bank:{ACCOUNT}") == PRICE - 60_000
    assert kinds(payout) == ["APPROVED", "SENDING", "DONE"]


def test_what_the_bank_refuses_is_available_again(bank):
    closed = payees.ask(
        merchant=MERCHANT, bank=Bank("9999000011112222", "茶庄", "工行"), actor=CLERK, at=NOON
    )
    payees.check(payee=closed, approve=True, actor=OTHER, at=NOON)

    payout = sent(request())

    assert payout.status == "FAILED"
    assert "收款账号已销户" in payout.failure
    assert there() == (PRICE, 0)
    assert books.balance(f"bank:{ACCOUNT}") == PRICE
    second = sent(request())
    assert second.number != payout.number


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("error_before", 0), ("error_after", 0), ("bad_signature", 0), ("stale", 0),
        ("garbage", 0), ("reset", 0), ("halved", 0), ("slow", 6),
    ],
)  # fmt: skip
def test_an_answer_that_proves_nothing_decides_nothing_and_the_number_is_repeated(
    bank, kind, seconds
):
    payout = request()
    bank.faults("/bank/payouts", kind, **({"seconds": seconds} if seconds else {}))
    tasks.send_payout(payout_id=payout.pk)
    assert fresh(payout).status == "SENDING"
    assert there() == (0, PRICE)
    Payout.objects.update(sent_at=LATER - timedelta(days=400))

    tasks.send_payouts()  # no time-out gives it up, however long ago

    assert fresh(payout).status == "DONE"
    assert there() == (0, 0)
    assert books.balance(f"bank:{ACCOUNT}") == 0
    assert Posting.objects.filter(kind="PAYOUT_PAID").count() == 1
    asked = bank.journal("/bank/payouts")
    assert len(asked) == 2
    assert all(payout.number in str(one) for one in asked)


def test_more_than_there_is_cannot_be_asked_for(bank):
    request(60_000)

    with pytest.raises(NotCovered):
        request(60_000)

    assert there() == (40_000, 60_000)
    assert Payout.objects.count() == 1


# --- two people, and where the money goes


def test_above_the_limit_another_person_says_yes(bank, settings):
    settings.PAYOUT_CHECK_ABOVE_FEN = 50_000
    payout = request()
    assert (payout.status, there()) == ("ASKED", (0, PRICE))
    assert sent(payout).status == "ASKED"
    assert bank.journal("/bank/payouts") == []

    with pytest.raises(SecondPersonNeeded):
        services.check(payout=payout, approve=True, actor=CLERK, at=LATER)
    services.check(payout=payout, approve=True, actor=OTHER, at=LATER)

    assert sent(payout).status == "DONE"
    with pytest.raises(StaleState):
        services.check(payout=payout, approve=False, actor=OTHER, at=LATER)
    assert there() == (0, 0)


def test_who_says_no_makes_it_available_again(bank, settings):
    settings.PAYOUT_CHECK_ABOVE_FEN = 0
    payout = request()

    services.check(payout=payout, approve=False, actor=OTHER, at=LATER, reason="月底再付")

    assert sent(payout).status == "DECLINED"
    assert there() == (PRICE, 0)
    assert bank.journal("/bank/payouts") == []


def test_a_changed_account_is_checked_by_another_and_waits(bank):
    new = payees.ask(
        merchant=MERCHANT, bank=Bank("6222000011112222", "别人", "工行"), actor=CLERK, at=LATER
    )
    with pytest.raises(SecondPersonNeeded):
        payees.check(payee=new, approve=True, actor=CLERK, at=LATER)
    with pytest.raises(payees.PayeeChangeUnderWay):
        payees.ask(merchant=MERCHANT, bank=CARD, actor=OTHER, at=LATER)
    payees.check(payee=new, approve=True, actor=OTHER, at=LATER)

    for days in (0, 2):
        with pytest.raises(services.PayeePausing):
            request(at=LATER + timedelta(days=days))

    assert there() == (PRICE, 0)
    assert Payee.objects.filter(status="ACTIVE").get().account_name == "别人"
    assert request(at=LATER + timedelta(days=3)).payee == new


def test_what_was_approved_for_the_old_account_goes_nowhere(bank):
    payout = request()
    payee(Bank("6222000011112222", "新户", "工行"))

    payout = sent(payout)

    assert payout.status == "DECLINED"
    assert there() == (PRICE, 0)
    assert bank.journal("/bank/payouts") == []


def test_what_is_with_the_bank_already_is_asked_of_the_old_account_again(bank):
    payout = request()
    bank.faults("/bank/payouts", "error_after")
    tasks.send_payout(payout_id=payout.pk)
    payee(Bank("6222000011112222", "新户", "工行"))

    assert sent(payout).status == "DONE"
    assert there() == (0, 0)


def test_without_a_checked_account_nothing_is_paid(sandbox):
    account()
    earned()
    payees.ask(merchant=MERCHANT, bank=CARD, actor=CLERK, at=NOON)

    with pytest.raises(services.PayeeMissing):
        request()

    assert there() == (PRICE, 0)


def test_only_a_platforms_account_pays(sandbox):
    account()
    earned()
    payee()
    ReceivingAccount.objects.update(merchant=MERCHANT)

    with pytest.raises(services.NoPayingAccount):
        request()

    ReceivingAccount.objects.update(merchant="")
    assert queries.paying_account() is not None
    assert there() == (PRICE, 0)


# --- in the statement


def test_its_booking_is_known_again_by_number_while_the_answer_is_still_missing(bank):
    payout = request()
    bank.faults("/bank/payouts", "error_after")
    tasks.send_payout(payout_id=payout.pk)
    arrive(booking(-PRICE, remark=f"商家结算 {payout.number}", serial="OUT1"))

    sent(payout)

    line = StatementLine.objects.get(serial="OUT1")
    assert (line.verdict, line.is_elsewhere) == ("IGNORED", False)
    assert books.balance(f"bank:{ACCOUNT}") == books.balance(f"elsewhere:{ACCOUNT}") == 0


def test_its_booking_without_a_word_of_ours_is_known_again_by_its_serial(bank):
    payout = sent(request())

    arrive(booking(-PRICE, serial=payout.serial))

    assert not StatementLine.objects.get(serial=payout.serial).is_elsewhere
    assert books.balance(f"bank:{ACCOUNT}") == 0


def test_a_booking_that_came_before_the_answer_has_left_the_bank_already(bank):
    payout = request()
    bank.faults("/bank/payouts", "error_after")
    tasks.send_payout(payout_id=payout.pk)
    serial = _serial_at_the_bank(payout)
    arrive(booking(-PRICE, serial=serial))
    assert books.balance(f"elsewhere:{ACCOUNT}") == -PRICE

    assert sent(payout).status == "DONE"

    assert books.balance(f"bank:{ACCOUNT}") == books.balance(f"elsewhere:{ACCOUNT}") == 0


def _serial_at_the_bank(payout):
    told = transfer.bank("sandbox").payout(payout.number)
    assert told is not None
    return told.serial


def test_a_day_whose_statement_lacks_it_says_which_and_is_even_when_it_comes(bank):
    """The bank printed a statement of the day before the payout was booked."""
    day = NOON.date()
    own = scene.own_account()
    row = booking(PRICE, booked_at=NOON + timedelta(minutes=5), serial=_arrived())
    imported(ccb_csv([row]), at=LATER)
    payout = request(60_000)
    sending.send(payout=fresh(payout), at=NOON + timedelta(hours=1))
    payout = fresh(payout)

    services_of_days.close_days(account=own, since=day, at=LATER)
    (found,) = DayClose.objects.get(day=day).differences
    assert (found["why"], found["number"], found["fen"]) == ("IN_TRANSIT", payout.number, 60_000)

    out = booking(-60_000, booked_at=NOON + timedelta(hours=2), serial=payout.serial)
    imported(ccb_csv([row, out]), at=LATER)
    services_of_days.close_days(account=own, since=day, at=LATER)

    closed = DayClose.objects.get(day=day)
    assert (closed.bank_fen, closed.ledger_fen, closed.status) == (40_000, 40_000, "EVEN")


def _arrived():
    return StatementLine.objects.get(amount_fen=PRICE).serial
