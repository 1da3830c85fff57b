"""The platform pays all merchants who have enough, by the clock."""

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction

from config.kit.errors import Refusal
from payments.ledger.models import Account
from payments.payouts import services
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import PayeeStatus
from payments.settlement import debts

logger = logging.getLogger(__name__)


def pay_all(*, at: datetime) -> list[Payout]:
    """A payout of everything available for each merchant with at least the minimum, in fen.

    One merchant, one transaction: who cannot be paid (no bank account, a pause, spent meanwhile)
    stops no other.  A second run finds nothing left to pay.
    """
    if not settings.PAYOUT_BATCH_ABOVE_FEN:
        return []
    payable = Payee.objects.filter(status=PayeeStatus.ACTIVE, pays_from__lte=at)
    made = []
    for merchant in payable.order_by("merchant").values_list("merchant", flat=True):
        try:
            payout = _pay(merchant, at)
        except Refusal as refusal:
            logger.warning("merchant %s is not paid: %s", merchant, refusal)
        else:
            made += [payout] if payout else []
    return made


@transaction.atomic
def _pay(merchant: str, at: datetime) -> Payout | None:
    debts.square(merchant=merchant, at=at)
    account = Account.objects.filter(code=services.available(merchant)).first()
    fen = account.balance_fen if account else 0
    if fen < settings.PAYOUT_BATCH_ABOVE_FEN:
        return None
    return services.request(merchant=merchant, amount_fen=fen, actor="", at=at)
