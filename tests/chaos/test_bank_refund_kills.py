"""`kill -9` while a refund is on its way to the bank: it leaves once.

Which of these tests is which cell of the whole: see killing.py.
"""

import pytest

from payments.cashier import tasks as cashier_tasks
from payments.ledger import queries as books
from payments.ledger.models import Posting
from tests.chaos.killing import HELD_BACK, deaf, killed, killed_before_the_commit, told
from tests.payments.transfers.bank import ACCOUNT, expected, transfer_in
from tests.payments.transfers.conftest import (  # noqa: F401
    _no_shop,
    account,
    sandbox,
    sandbox_process,
)
from tests.payments.transfers.test_refunds import PRICE, cancelled, paid_out

pytestmark = pytest.mark.django_db(transaction=True)

# Without a shop, as the test itself.
SEND = """
settings.PAYABLES = {"ORDER": "tests.payments.payable"}
from payments.cashier.tasks import send_refund
send_refund(refund_id=int(sys.argv[1]))
"""


@pytest.fixture
def refund(sandbox, account):  # noqa: F811
    sandbox.open_account(ACCOUNT, 10_000_000)
    payment = expected(PRICE)
    transfer_in(payment, fen=PRICE)
    return cancelled(payment)


def given(bank, base_url=""):
    changed = {"base_url": base_url} if base_url else {}
    return told(BANK_PROVIDERS={"sandbox": bank.provider() | changed})


def leaves_once(refund):
    cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert (refund.status, books.balance(f"bank:{ACCOUNT}")) == ("DONE", 0)
    return Posting.objects.filter(kind="REFUND_PAID").count() == 1


def test_killed_before_the_bank_had_it(refund, sandbox):  # noqa: F811
    with deaf() as (url, callers):
        killed(SEND, refund.pk, given(sandbox, url), when=lambda: callers)
    refund.refresh_from_db()
    assert (refund.status, paid_out(sandbox)) == ("SENDING", [])

    assert leaves_once(refund)


def test_killed_when_the_bank_had_paid(refund, sandbox):  # noqa: F811
    sandbox.faults("/bank/payouts", "slow", seconds=HELD_BACK)
    killed(SEND, refund.pk, given(sandbox), when=lambda: paid_out(sandbox))
    refund.refresh_from_db()
    assert (refund.status, books.balance(f"bank:{ACCOUNT}")) == ("SENDING", PRICE)

    assert leaves_once(refund)
    assert len({one["out_no"] for one in paid_out(sandbox)}) == 1


def test_killed_when_the_bank_had_answered(refund, sandbox):  # noqa: F811
    killed_before_the_commit(SEND, refund.pk, given(sandbox))
    refund.refresh_from_db()
    assert (refund.status, books.balance(f"bank:{ACCOUNT}")) == ("SENDING", PRICE)

    assert leaves_once(refund)
    assert len({one["out_no"] for one in paid_out(sandbox)}) == 1
