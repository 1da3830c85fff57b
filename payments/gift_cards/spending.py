"""Cards pay for orders: what a wallet's payment takes of them, before the wallet itself."""

from config.kit.db import joined
from payments.gift_cards import queries


@joined
def cover(*, person_id: int, fen: int) -> list[tuple[str, int]]:
    """Redeemed cards of a person that pay up to so much, oldest first, with their fen.

    They stay locked until the transaction ends, in key order: whoever takes anything off a card
    has its row, so that what is read here is there.
    """
    rows = queries.to_spend(person_id).select_for_update(no_key=True)
    numbers = list(rows.values_list("number", flat=True))
    if not numbers:
        return []
    left = queries.balances(numbers)
    found = []
    for number in numbers:
        if part := min(left[number], fen):
            found.append((number, part))
            fen -= part
    return found
