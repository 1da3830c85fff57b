"""B7: the bank pushes single transfers while buyers order."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from payments.receiving.models import TransferIntent
from tests.bench import load, orders, products
from tests.bench.beside import Asks, Pace, asked_meanwhile, bare_views, pushes
from tests.bench.filling import Batch, open_batch
from tests.bench.house import House
from tests.bench.measure import Figure, Report, Row, Series, figure_at_pace, in_turn, loaded
from tests.bench.seed import Shop, settle_down
from tests.sandbox import keys

PACE = Pace(connections=4, per_second=10)
SECONDS = 10.0
MOST = int(2 * SECONDS * PACE.per_second)  # more than are sent


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """Ten transfers a second, each of which turns an order PAID, beside B3 at full speed."""
    products.keep_page()
    ordering = partial(_beside_orders, house, shop.buyers, orders.common_skus())
    found = in_turn(
        {
            "bare view": lambda: figure_at_pace(ordering(bare_views), PACE.per_second),
            "push": partial(_pushed, ordering),
        },
        rounds,
    )
    limit = found["bare view"]
    return Report(
        [
            Row(
                "B7 pushed transfer to PAID, beside B3",
                "pushes",
                found["push"],
                Series(f"L1 beside B3, p99 {limit.p99:.0f} ms", limit.figures),
                most_p99_ms=1_000,
            )
        ]
    )


def _pushed(ordering: Callable[..., list[float]]) -> Figure:
    """The answer comes after the commit; whether it was true is looked up afterwards."""
    batch = open_batch(MOST, provider="sandbox")
    bookings = list(_bookings(batch))
    settle_down()
    times = ordering(pushes, bookings, str(_bank_key()))
    paid = batch.paid()
    assert paid == len(times), f"{paid} orders are paid after {len(times)} pushes"
    return figure_at_pace(times, PACE.per_second)


def _beside_orders(
    house: House, buyers: Sequence[load.Buyer], skus: Sequence[str], asks: Asks, *given: Any
) -> list[float]:
    """Milliseconds of every answer, sorted."""
    crowd = {"connections": orders.CONNECTIONS, "seconds": SECONDS}
    with asked_meanwhile(house, PACE, asks, *given) as times:
        loaded(house, load.orders, buyers, skus, **crowd)
    (found,) = times.values()
    return found


def _bookings(batch: Batch) -> Iterator[dict[str, Any]]:
    """What the bank has to say: one for each open payment."""
    rows = TransferIntent.objects.filter(payment__number__startswith=batch.prefix("P"))
    found = rows.order_by("pk").values_list(
        "virtual_account__number", "payment__amount_fen", "code"
    )
    for i, (virtual_account, fen, code) in enumerate(found):
        yield {
            "event_id": f"E{batch.number:04d}{i:08d}",
            "account_no": batch.account_no,
            "virtual_account": virtual_account,
            "serial": f"{batch.number:04d}{i:010d}",
            "booked_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "amount_fen": fen,
            "direction": "C",
            "currency": "CNY",
            "payer_name": "王小明",
            "payer_account": f"62220202{i:010d}",
            "payer_bank": "工商银行杭州分行",
            "remark": "货款" if virtual_account else f"货款 {code}",
            "reverses": None,
        }


def _bank_key() -> Path:
    return keys.ensure(Path(os.environ["BANK_SANDBOX_PUBLIC_KEY"]).parent).bank_private
