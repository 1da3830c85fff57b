"""A day's statement is fetched by several workers, and imported by one of them."""

import io
import time
from datetime import timedelta

import pytest
from django.utils.timezone import localtime, now

from payments.receiving.models import ReceivingAccount
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
    ReceivingAccount.objects.update(account_no="755900000999")  # none of ours is in the file

    with pytest.raises(services.NotOurAccount):
        pulling.pull_day(account=own, day=localtime(now()).date() - timedelta(days=1), at=now())

    assert ReceivingAccount.objects.get().pulled_until is None
    assert not Statement.objects.exists()
