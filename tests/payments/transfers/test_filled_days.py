"""A day that the bank did not give is closed by what a clerk uploads, if that has it whole."""

import io
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction

from payments.receiving import days
from payments.receiving.models import MissingDay, ReceivingAccount
from payments.transfers import filling, pulling, services, tasks
from payments.transfers.models import Statement
from tests.members.people import make_user
from tests.payments.transfers.bank import ACCOUNT, NOON, booking, ccb_csv
from tests.payments.transfers.bank import account as make_account

pytestmark = pytest.mark.django_db
DAY = date(2026, 6, 18)  # of NOON
NEXT_TWO = NOON.replace(hour=18)  # 02:00 of the 19th in Shanghai


@pytest.fixture
def clerk():
    return make_user()


def missed(account, *lost):
    for day in lost or (DAY,):
        days.miss(account=account, day=day, reason="银行没有给出可信的答复", at=NOON)


def upload(clerk, *booked, at=NEXT_TWO, own=ACCOUNT):
    """A statement with a booking at each of these moments, taken and imported."""
    content = ccb_csv([booking(100, booked_at=moment) for moment in booked or (NOON,)], own=own)
    statement = services.upload(
        file=io.BytesIO(content),
        filename="明细.csv",
        account_no=own,
        tenants=None,
        uploaded_by_id=clerk and clerk.pk,
        at=at,
    )
    tasks.import_statement(statement_id=statement.pk)
    statement.refresh_from_db()
    assert statement.status == "DONE"
    return statement


def is_open():
    return list(MissingDay.objects.filter(fetched_at=None).values_list("day", flat=True))


def test_an_upload_closes_the_day_and_says_whose_it_was(account, clerk):
    missed(account)

    statement = upload(clerk)

    (day,) = MissingDay.objects.all()
    assert (day.closed_by, day.statement) == (clerk.number, statement.number)
    assert day.fetched_at is not None
    assert days.missing(account=account, at=NEXT_TWO) == []


def test_days_between_the_first_and_the_last_booking_are_in_it(account, clerk):
    around = [DAY + timedelta(days=n) for n in range(-2, 3)]
    missed(account, *around)

    upload(clerk, NOON - timedelta(days=1), NOON + timedelta(days=1), at=NOON + timedelta(days=9))

    assert is_open() == [around[0], around[-1]]


@pytest.mark.parametrize(
    ("at", "is_closed"), [(NEXT_TWO - timedelta(seconds=1), False), (NEXT_TWO, True)]
)
def test_what_was_uploaded_before_the_day_was_over_closes_nothing(account, clerk, at, is_closed):
    missed(account)

    upload(clerk, at=at)

    assert (is_open() == []) is is_closed


def test_another_accounts_statement_and_the_banks_own_of_today_close_nothing(account, clerk):
    make_account("755900000999", units=0)
    missed(account)

    upload(clerk, own="755900000999")
    upload(None)

    assert is_open() == [DAY]


def test_a_statement_that_is_not_in_yet_or_refused_closes_nothing(account, clerk):
    missed(account)
    statement = upload(clerk)
    MissingDay.objects.update(fetched_at=None, closed_by="", statement="")
    running, refused = {"status": "RUNNING", "imported_at": None}, {"status": "REFUSED"}
    for other in (running, refused):
        Statement.objects.filter(pk=statement.pk).update(reason="余额不连续", **other)

        assert filling.fill(account=account, at=NOON) == 0

    assert is_open() == [DAY]


def test_the_first_of_two_uploads_is_the_one_that_closed_it_once(account, clerk):
    missed(account)
    first = upload(clerk)

    upload(make_user(), NOON, NOON)

    assert filling.fill(account=account, at=NEXT_TWO) == 0
    (day,) = MissingDay.objects.all()
    assert (day.closed_by, day.statement) == (clerk.number, first.number)


def test_a_day_that_was_uploaded_before_the_bank_was_asked_in_vain_is_not_missing(
    sandbox, account, clerk
):
    sandbox.open_account(ACCOUNT)
    sandbox.faults("/bank/files", "error_before")
    statement = upload(clerk)

    pulling.pull_day(account=account, day=DAY, at=NEXT_TWO)

    (day,) = MissingDay.objects.all()
    assert (day.closed_by, day.statement) == (clerk.number, statement.number)
    assert days.missing(account=account, at=NEXT_TWO) == []


def test_a_fetched_file_that_is_refused_opens_no_day_that_a_clerk_has_uploaded(account, clerk):
    ReceivingAccount.objects.update(pulled_until=DAY)
    statement = upload(clerk)
    broken = io.BytesIO(ccb_csv([booking(1), booking(2)]).replace(b",0.03,", b",0.04,"))
    fetched = services.keep(
        file=broken, filename="large", account=account, uploaded_by_id=None, at=NOON, day=DAY
    )

    tasks.import_statement(statement_id=fetched.pk)

    fetched.refresh_from_db()
    assert fetched.status == "REFUSED"
    assert MissingDay.objects.get().statement == statement.number
    assert is_open() == []


def test_the_database_wants_a_file_and_a_person_or_neither(account):
    missed(account)

    name = "missing_day_closed_by_a_person_with_a_file"
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        MissingDay.objects.update(closed_by="U000CLERK")
