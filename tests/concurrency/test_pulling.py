"""A day's statement is fetched by several workers, and imported by one of them."""

import io
import time

import pytest
from django.utils.timezone import localtime, now

from payments.receiving import days
from payments.receiving.models import MissingDay, ReceivingAccount
from payments.transfers import pulling, services
from payments.transfers.models import Statement
from tests.concurrency.stalled import stalled
from tests.concurrency.together import together
from tests.payments.transfers.bank import ACCOUNT, account
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own(sandbox):
    sandbox.open_account(ACCOUNT)
    return account()


def one_more(sandbox, i):
    """A booking before each fetch, so that no two files are the same."""
    time.sleep(0.1 * i)
    sandbox.transfer(ACCOUNT, 100 + i)


def test_a_day_fetched_at_once_is_imported_once(sandbox, own):
    day = localtime(now()).date()

    def pull(i):
        one_more(sandbox, i)
        pulling.pull_day(account=own, day=day, at=now())

    # Each has his file before the first can set the mark.
    assert stalled(ReceivingAccount.objects.all(), 4, pull, seconds=1.5) == {"ok": 4}
    assert Statement.objects.count() == 1
    assert ReceivingAccount.objects.get().pulled_until == day


def test_without_the_mark_each_worker_imports_his_own_file(sandbox, own):
    """If this ever fails, the test above proves nothing."""
    day = localtime(now()).date()

    def careless(i):
        one_more(sandbox, i)
        file = pulling.transfer.bank("sandbox").statement(ACCOUNT, day)
        if not ReceivingAccount.objects.filter(pulled_until=day).exists():
            time.sleep(1)
            services.upload(
                file=io.BytesIO(file.content),
                filename=file.filename,
                account_no=ACCOUNT,
                tenants=None,
                uploaded_by_id=None,
                at=now(),
            )
            ReceivingAccount.objects.update(pulled_until=day)

    together(4, careless)

    assert Statement.objects.count() > 1


def test_a_file_that_is_refused_leaves_no_mark(sandbox, own):
    """The day is fetched again in an hour, until it can be read."""
    day = localtime(now()).date()
    sandbox.transfer(ACCOUNT, 100)
    ReceivingAccount.objects.update(account_no="755900000999")  # none of ours is in the file

    pulling.pull_day(account=own, day=day, at=now())

    assert MissingDay.objects.get().fetched_at is None
    assert not Statement.objects.exists()


def test_a_missing_day_fetched_at_once_is_imported_once(sandbox, own):
    day = localtime(now()).date()
    sandbox.faults("/bank/files", "garbage")
    pulling.pull_day(account=own, day=day, at=now())

    def pull(i):
        one_more(sandbox, i)
        pulling.pull_day(account=own, day=day, at=now())

    assert stalled(MissingDay.objects.all(), 4, pull, seconds=1.5) == {"ok": 4}
    assert Statement.objects.count() == 1
    assert MissingDay.objects.get().fetched_at is not None


def test_a_missing_day_that_is_fetched_and_uploaded_at_once_is_had_once(sandbox, own):
    day = localtime(now()).date()
    sandbox.faults("/bank/files", "garbage")
    pulling.pull_day(account=own, day=day, at=now())
    sandbox.transfer(ACCOUNT, 100)

    def have(i):
        if i:
            pulling.pull_day(account=own, day=day, at=now())
        else:
            days.close(account=own, day=day, statement="B1", by="U1", at=now())

    assert stalled(MissingDay.objects.all(), 2, have, seconds=1.5) == {"ok": 2}
    (had,) = MissingDay.objects.all()
    assert had.fetched_at is not None
    assert Statement.objects.count() == (0 if had.closed_by else 1)


def test_who_fails_while_another_fetches_the_day_does_not_make_it_missing(sandbox, own):
    day = localtime(now()).date()
    sandbox.faults("/bank/files", "garbage", times=2)

    assert together(4, lambda i: pulling.pull_day(account=own, day=day, at=now())) == {"ok": 4}

    fetched = Statement.objects.count()
    assert fetched <= 1
    assert MissingDay.objects.filter(fetched_at=None).count() == 1 - fetched
