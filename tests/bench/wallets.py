"""M3: payments out of wallets.  M4: all of them out of one."""

from functools import partial

from django.utils.timezone import now

from members.accounts.models import User
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.wallet.rules import wallet_of
from tests.bench import limits, load
from tests.bench.filling import Batch, open_batch
from tests.bench.house import House
from tests.bench.measure import Figure, Report, Row, Series, in_turn, over_http
from tests.bench.seed import BUYERS, STAFF, Shop, settle_down

CLIENTS = 8
SECONDS = 5.0
MOST = 4_000  # more than are paid in that time
PURSE = 100_000_000  # fen, in each wallet
ASKED = {BUYERS: 400, 1: 150}  # payments a second, by the number of wallets


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """Eight buyers at once pay orders from their wallets; then eight phones of one buyer."""
    _fill_wallets()
    found = in_turn(
        {
            "L3w payment behind one call": lambda: over_http(
                house, load.limit_payments, "/limits/wallet", BUYERS,
                connections=CLIENTS, seconds=SECONDS,
            ),
            "wallets": partial(_paid, house, shop, BUYERS),
            "one wallet": partial(_paid, house, shop, 1),
        },
        rounds,
    )  # fmt: skip
    limit = found["L3w payment behind one call"]
    rows = [
        Row("M3 payment by WALLET", "payments", found["wallets"], limit),
        _least("M3 payment by WALLET, at least", found["wallets"], ASKED[BUYERS]),
        _least("M4 all from one wallet, at least", found["one wallet"], ASKED[1]),
    ]
    return Report(rows)


def _least(operation: str, series: Series, asked: int) -> Row:
    return Row(operation, "payments", series, Series("asked for", [Figure(asked)]), budget=1)


def _fill_wallets() -> None:
    people = User.objects.exclude(number=STAFF).values_list("number", flat=True)
    drafts = [
        Draft("OPENING", f"bench:{number}", {"bank:BENCH": PURSE}, {wallet_of(number): PURSE})
        for number in people
    ]
    ledger.post(drafts, at=now())
    limits.fill_wallets(BUYERS, PURSE)


def _paid(house: House, shop: Shop, wallets: int) -> Figure:
    """No payment is answered that did not turn its order PAID; the books are audited at the end."""
    batch = open_batch(MOST, method="", buyers=wallets)
    settle_down()
    asked = (shop.buyers, batch.prefix("D"), MOST, "WALLET", wallets)
    figure = over_http(house, load.payments, *asked, connections=CLIENTS, seconds=SECONDS)
    _check(batch, figure)
    return figure


def _check(batch: Batch, figure: Figure) -> None:
    """When the time is over, what was asked last may be paid and not have been answered."""
    answered = round(figure.rate * SECONDS)
    paid = batch.paid()
    assert answered * 0.9 <= paid + CLIENTS, f"{paid} orders are paid after {answered} answers"
