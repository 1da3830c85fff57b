"""What the bank is asked to refuse at source: more than what is missing.

A cap is told only for the account of one payment that waits, of receiving accounts that want it,
and it is what is missing now.  Told late it is too high, which refuses nothing that is owed; too
low only for a moment after a match was undone.  A number that belongs to a buyer has none: he may
pay several orders at once.  Payers are not limited: who pays for somebody else is no mistake.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from config.kit import sql
from config.kit.outside import assert_no_transaction
from payments.channels import transfer
from payments.receiving.models import VirtualAccount

logger = logging.getLogger(__name__)

ASK_AGAIN = timedelta(minutes=1)  # longer than a call can take: two never tell one account
AT_ONCE = 200

_MISSING = """
(
    SELECT p.amount_fen - p.received_fen FROM payments_transferintent i
    JOIN payments_payment p ON p.id = i.payment_id
    WHERE i.virtual_account_id = v.id AND i.released_at IS NULL AND NOT i.is_shared
      AND p.status = 'WAITING' AND a.is_capped
)
"""
# Of what waits, and of what would be free but for its limit; the others are let be.
_UNTOLD = f"""
SELECT v.id FROM payments_payment p
JOIN payments_transferintent i ON i.payment_id = p.id AND i.released_at IS NULL
JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
JOIN payments_receivingaccount a ON a.id = v.receiving_account_id
WHERE p.status = 'WAITING' AND a.provider = ANY(%(banks)s::text[])
  AND CASE WHEN v.limit_asked_at IS NULL THEN v.cap_fen IS DISTINCT FROM {_MISSING}
      ELSE v.limit_asked_at < %(before)s END
UNION
SELECT v.id FROM payments_virtualaccount v
JOIN payments_receivingaccount a ON a.id = v.receiving_account_id
WHERE v.state = 'RESTING' AND v.rests_until <= %(at)s AND a.provider = ANY(%(banks)s::text[])
  AND CASE WHEN v.limit_asked_at IS NULL THEN v.cap_fen IS NOT NULL OR v.payer_account <> ''
      ELSE v.limit_asked_at < %(before)s END
ORDER BY 1 LIMIT %(limit)s
"""  # noqa: S608  our own words
# From here on what the bank has is not known, until it answers: written down before it is asked.
_CLAIM = f"""
UPDATE payments_virtualaccount v SET limit_asked_at = %(at)s
FROM payments_receivingaccount a
WHERE v.id = %(id)s AND a.id = v.receiving_account_id AND a.provider = ANY(%(banks)s::text[])
  AND CASE WHEN v.limit_asked_at IS NULL
      THEN v.cap_fen IS DISTINCT FROM {_MISSING} OR v.payer_account <> ''
      ELSE v.limit_asked_at < %(before)s END
RETURNING a.provider, a.account_no, v.unit, {_MISSING}
"""  # noqa: S608  our own words


def untold(*, at: datetime, limit: int = AT_ONCE) -> list[int]:
    """Virtual accounts whose limit at the bank is not, or perhaps not, what it should be."""
    banks = transfer.that_can("limits")
    if not banks:
        return []
    asked: dict[str, Any] = {
        "banks": sql.texts(banks),
        "at": at,
        "before": at - ASK_AGAIN,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_UNTOLD, asked)
        return [pk for (pk,) in cursor.fetchall()]


def tell(*, virtual_account_id: int, at: datetime) -> None:
    """Ask the bank for the limit that one account should have now.

    Not atomic on purpose: the network lies in between.  Without an answer it stays asked, is asked
    again, and is given to no other payment meanwhile.
    """
    assert_no_transaction()
    asked: dict[str, Any] = {
        "id": virtual_account_id,
        "banks": sql.texts(transfer.that_can("limits")),
        "at": at,
        "before": at - ASK_AGAIN,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        claimed = cursor.fetchone()
    if claimed is None:
        return  # as it should be, or another worker is at it
    provider, account_no, unit, cap_fen = claimed
    try:
        transfer.bank(provider).limit_unit(account_no, unit, cap_fen=cap_fen, payer_account="")
    except (transfer.BankUnknown, transfer.BankRefused) as refused:
        logger.warning("limit of %s%s: %s", account_no, unit, refused)
        return
    VirtualAccount.objects.filter(pk=virtual_account_id, limit_asked_at=at).update(
        cap_fen=cap_fen, payer_account="", limit_asked_at=None
    )
