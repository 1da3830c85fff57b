from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from config.kit.db import joined
from payments.ledger import services as ledger
from payments.ledger.rules import Draft


@dataclass(frozen=True)
class Release:
    """What a finished order sets free for its merchant, in fen."""

    reference: str
    merchant: str
    fen: int


@joined
def release(releases: Sequence[Release], *, at: datetime) -> None:
    """Held money becomes the merchant's (S002.49: never before receipt is confirmed)."""
    ledger.post(
        [
            Draft(
                kind="RELEASE",
                reference=one.reference,
                debits={f"held:{one.merchant}": one.fen},
                credits={f"merchant:{one.merchant}:available": one.fen},
            )
            for one in releases
            if one.fen
        ],
        at=at,
    )
