from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.settlement.models import FeeRate
from payments.settlement.rules import MOST_PPM

FEE = "platform:fee"


class RateInThePast(Refusal):
    status = 400
    message = "费率只能从现在或以后生效，已下的订单按下单时的费率"


class RateTooHigh(Refusal):
    status = 400
    message = "费率不能超过 30%"


class ReasonMissing(Refusal):
    status = 400
    message = "请写明依据"


@dataclass(frozen=True)
class Release:
    """What is set free for one merchant, of any number of lines, in fen.

    `reference` is kept by each of these lines.  The fee is part of `fen`; the merchant has the
    rest.
    """

    reference: str
    merchant: str
    fen: int
    fee_fen: int


@joined
def release(releases: Sequence[Release], *, at: datetime) -> None:
    """Held money becomes the merchant's, less the fee (S002.49: never before receipt)."""
    ledger.post(
        [
            Draft(
                kind="RELEASE",
                reference=one.reference,
                debits={f"held:{one.merchant}": one.fen},
                credits=_credits(one),
            )
            for one in releases
            if one.fen
        ],
        at=at,
    )


def _credits(one: Release) -> dict[str, int]:
    shares = {f"merchant:{one.merchant}:available": one.fen - one.fee_fen, FEE: one.fee_fen}
    return {code: fen for code, fen in shares.items() if fen}


def set_rate(
    *,
    merchant: str = "",
    category: str = "",
    ppm: int | None,
    note: str,
    actor: str,
    at: datetime,
    since_at: datetime | None = None,
) -> FeeRate:
    """What the platform keeps of orders placed from `since_at` (now) on.

    Raises RateInThePast, RateTooHigh, ReasonMissing; StaleState where the very moment has a rate.
    """
    if since_at is not None and since_at < at:
        raise RateInThePast
    if ppm is not None and ppm > MOST_PPM:
        raise RateTooHigh
    if not note.strip():
        raise ReasonMissing
    try:
        with transaction.atomic():
            return FeeRate.objects.create(
                merchant=merchant,
                category=category,
                ppm=ppm,
                since_at=since_at or at,
                note=note.strip(),
                actor=actor,
                made_at=at,
            )
    except IntegrityError:
        raise StaleState from None
