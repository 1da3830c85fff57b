from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet, Sum

from config.kit.viewer import Viewer
from payments.ledger.models import Account, Entry
from payments.wallet.rules import WORDS, named, wallet_of, withdrawing_of


def owner_of(user_id: int) -> str:
    """The public number of a user, which names his accounts."""
    return str(get_user_model().objects.values_list("number", flat=True).get(pk=user_id))


def balance(number: str) -> tuple[int, int]:
    """Fen that a user may spend, and fen that his withdrawals have frozen; one query."""
    codes = wallet_of(number), withdrawing_of(number)
    found = dict(Account.objects.filter(code__in=codes).values_list("code", "balance_fen"))
    return found.get(codes[0], 0), found.get(codes[1], 0)


def entries(owner: Viewer) -> QuerySet[Entry]:
    """Every movement of his wallet."""
    return Entry.objects.filter(account__code=wallet_of(owner.number)).select_related("posting")


def shown_entries(owner: Viewer, page: Sequence[Entry]) -> list[dict[str, Any]]:
    """Newest first, without a gap, with the balance after each; one query."""
    if not page:
        return []
    until = entries(owner).filter(pk__lte=page[0].pk).aggregate(fen=Sum("amount_fen"))["fen"]
    told = []
    for entry in page:
        kind, reference = entry.posting.kind, entry.posting.reference
        told.append(
            {
                "at": entry.posting.at,
                "kind": WORDS.get(kind, kind),
                "amount_fen": -entry.amount_fen,
                "reference": named(kind, reference),
                "balance_after_fen": -until,
            }
        )
        until -= entry.amount_fen
    return told
