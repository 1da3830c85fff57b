"""A merchant's money, wanted by two at once."""

import pytest
from django.db import connection, transaction

from payments.deposits import services as deposits
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Account
from payments.ledger.rules import Draft
from payments.payouts import services
from payments.payouts.models import Payout
from payments.settlement import debts
from tests.concurrency.stalled import stalled
from tests.payments.settlement.scene import (
    CLERK,
    LATER,
    MERCHANT,
    OTHER,
    PRICE,
    earned,
    payee,
    request,
    there,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
OWN = f"merchant:{MERCHANT}:available"


@pytest.fixture(autouse=True)
def _earned(_no_shop):  # noqa: F811
    earned()
    payee()
    yield
    assert ledger.audit() == []


def own_row():
    return Account.objects.filter(code=OWN)


def test_two_payouts_of_one_balance():
    endings = stalled(own_row(), 2, lambda _: request(60_000))

    assert endings == {"ok": 1, "NOT_COVERED": 1}
    assert there() == (40_000, 60_000)
    assert Payout.objects.count() == 1


def test_who_reads_the_balance_first_would_pay_twice():
    """If this ever fails, the test above proves nothing: reading alone keeps nobody out."""
    seen = []

    def careless(_):
        with transaction.atomic():
            fen = Account.objects.get(code=OWN).balance_fen
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.2)")
            seen.append(fen >= 60_000)

    stalled(own_row(), 2, careless)

    assert seen == [True, True]


def test_a_payout_beside_a_deposit_out_of_the_same_balance():
    def race(i):
        if i:
            request(60_000)
        else:
            deposits.top_up(merchant=MERCHANT, amount_fen=60_000, actor=CLERK, at=LATER)

    assert stalled(own_row(), 2, race) == {"ok": 1, "NOT_COVERED": 1}
    assert sum(there()) + books.balance(f"deposit:{MERCHANT}") == PRICE


def test_a_deduction_beside_the_deposit_asked_back():
    deposits.top_up(merchant=MERCHANT, amount_fen=PRICE, actor=CLERK, at=LATER)
    given = {"merchant": MERCHANT, "amount_fen": 60_000, "actor": CLERK, "at": LATER}

    def race(i):
        if i:
            deposits.punish(reason="售假", evidence="鉴定书", **given)
        else:
            deposits.ask_back(reason="不再经营", **given)

    rows = Account.objects.filter(code=f"deposit:{MERCHANT}")
    assert stalled(rows, 2, race) == {"ok": 1, "NOT_COVERED": 1}
    assert books.balance(f"deposit:{MERCHANT}") == 40_000


def test_approved_and_declined_at_once(settings):
    settings.PAYOUT_CHECK_ABOVE_FEN = 0
    payout = request()

    def decide(i):
        services.check(payout=payout, approve=bool(i), actor=OTHER, at=LATER)

    endings = stalled(Payout.objects.filter(pk=payout.pk), 2, decide)

    assert endings == {"ok": 1, "STALE_STATE": 1}
    is_declined = Payout.objects.get().status == "DECLINED"
    assert there() == ((PRICE, 0) if is_declined else (0, PRICE))


def test_a_debt_is_paid_once_by_two_sweeps_at_once():
    _owe(30_000)

    endings = stalled(own_row(), 2, lambda _: debts.square(merchant=MERCHANT, at=LATER) and None)

    assert endings == {"ok": 2}
    assert (there(), books.balance(f"receivable:{MERCHANT}")) == ((PRICE - 30_000, 0), (0))
    _owe(-30_000)


def test_a_payout_beside_a_sweep_pays_the_debt_once():
    _owe(30_000)

    def race(i):
        if i:
            debts.square(merchant=MERCHANT, at=LATER)
        else:
            services.request(merchant=MERCHANT, amount_fen=70_000, actor=CLERK, at=LATER)

    assert stalled(own_row(), 2, race) == {"ok": 2}
    assert (there(), books.balance(f"receivable:{MERCHANT}")) == ((0, 70_000), 0)
    _owe(-30_000)


def _owe(fen):
    """What the bank took back; below zero, what the test had made up is taken out again."""
    debt, other = f"receivable:{MERCHANT}", "clearing:TEST"
    legs = ({debt: fen}, {other: fen}) if fen > 0 else ({other: -fen}, {debt: -fen})
    ledger.post([Draft("TEST", f"owe {fen}", *legs)], at=LATER)
