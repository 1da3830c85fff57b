"""What the bank is asked to refuse at source: more than what is missing, and another payer.

Both are told only for the account of one payment that waits, of receiving accounts that want it.
The cap is what is missing now: told late it is too high, which refuses nothing that is owed; too
low only for a moment after a match was undone.  The payer is the one account that this buyer has
always paid from (`TransferIntent.payer_account`), until he says that he pays from another: who
pays for somebody else is no mistake.  A number that belongs to a buyer has no limit: he may pay
several orders at once.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from config.kit import sql
from config.kit.outside import assert_no_transaction
from payments.channels import transfer
from payments.receiving.models import VirtualAccount

logger = logging.getLogger(__name__)

# Longer than the bank hears a message of ours: one that was held up on the way must not be heard
# after a later one was answered, or a limit that was lifted would be there again.
ASK_AGAIN = timedelta(seconds=transfer.FRESH_SECONDS + 60)
AT_ONCE = 200

# Of a payment `p`, its intent `i` and the receiving account `a`.
_CAP = "CASE WHEN a.is_capped AND NOT i.is_shared THEN p.amount_fen - p.received_fen END"
_PAYER = "CASE WHEN a.is_payer_bound THEN i.payer_account ELSE '' END"
# Of what waits, and of what would be free but for its limit; the others are let be.
_UNTOLD = f"""
SELECT v.id FROM payments_payment p
JOIN payments_transferintent i ON i.payment_id = p.id AND i.released_at IS NULL
JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
JOIN payments_receivingaccount a ON a.id = v.receiving_account_id
WHERE p.status = 'WAITING' AND a.provider = ANY(%(banks)s::text[])
  AND CASE WHEN v.limit_asked_at IS NULL
      THEN v.cap_fen IS DISTINCT FROM {_CAP} OR v.payer_account <> {_PAYER}
      ELSE v.limit_asked_at < %(before)s END
UNION
SELECT v.id FROM payments_virtualaccount v
JOIN payments_receivingaccount a ON a.id = v.receiving_account_id
WHERE v.state = 'RESTING' AND v.rests_until <= %(at)s AND a.provider = ANY(%(banks)s::text[])
  AND CASE WHEN v.limit_asked_at IS NULL THEN v.cap_fen IS NOT NULL OR v.payer_account <> ''
      ELSE v.limit_asked_at < %(before)s END
ORDER BY 1 LIMIT %(limit)s
"""  # noqa: S608  our own words
# A number that belongs to a buyer is of several payments, and is let be.
_OF_ITS_PAYMENT = """
FROM payments_transferintent i JOIN payments_payment p ON p.id = i.payment_id
WHERE i.virtual_account_id = v.id AND i.released_at IS NULL AND NOT i.is_shared
  AND p.status = 'WAITING'
"""
_ITS_CAP = f"(SELECT {_CAP} {_OF_ITS_PAYMENT})"
_ITS_PAYER = f"coalesce((SELECT {_PAYER} {_OF_ITS_PAYMENT}), '')"
# Before _CLAIM and not within: while it waits, the account may go from one payment to another.
_LOCK = "SELECT FROM payments_virtualaccount WHERE id = %s FOR NO KEY UPDATE"
# From here on what the bank has is not known, until it answers: written down before it is asked.
# It may refuse all but the payer from when it is asked, and until it says that it does not.
_CLAIM = f"""
UPDATE payments_virtualaccount v
SET limit_asked_at = %(at)s, payer_account = coalesce(nullif({_ITS_PAYER}, ''), v.payer_account)
FROM payments_receivingaccount a
WHERE v.id = %(id)s AND a.id = v.receiving_account_id AND a.provider = ANY(%(banks)s::text[])
  AND CASE WHEN v.limit_asked_at IS NULL
      THEN v.cap_fen IS DISTINCT FROM {_ITS_CAP} OR v.payer_account <> {_ITS_PAYER}
      ELSE v.limit_asked_at < %(before)s END
RETURNING a.provider, a.account_no, v.unit, {_ITS_CAP}, {_ITS_PAYER}
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
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, [virtual_account_id])
        cursor.execute(_CLAIM, asked)
        claimed = cursor.fetchone()
    if claimed is None:
        return  # as it should be, or another worker is at it
    provider, account_no, unit, cap_fen, payer = claimed
    bank = transfer.bank(provider)
    try:
        bank.limit_unit(account_no, unit, cap_fen=cap_fen, payer_account=payer)
    except (transfer.BankUnknown, transfer.BankRefused) as refused:
        logger.warning("limit of %s%s: %s", account_no, unit, refused)
        return
    VirtualAccount.objects.filter(pk=virtual_account_id, limit_asked_at=at).update(
        cap_fen=cap_fen, payer_account=payer, limit_asked_at=None
    )
