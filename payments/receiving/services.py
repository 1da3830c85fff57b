"""Virtual accounts on their round: given to a payment, resting when it is over, given again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from config.kit import sql
from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.jobs import later
from payments.cashier.models import Payment, PaymentEvent
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.receiving.rules import CODE_RESTS, CODES_SCARCE, Gives, draw_codes

# Codes looked at: when only one in a hundred is free, the last still finds one.
CODES_DRAWN = (24, 240, 2_400)
AT_ONCE = 5_000


class NoReferenceCode(Refusal):
    status = 503
    message = "核对码暂时用尽，请稍后重试"


# --- given --------------------------------------------------------------------------------------

# A free virtual account if there is one (nobody waits for one that another is just taking), and
# of the drawn codes one that was never used, else one that was taken back, in one round trip.
_GIVE = """
WITH own AS (
    UPDATE payments_virtualaccount SET state = 'ASSIGNED', rests_until = NULL
    WHERE receiving_account_id = %(account)s AND member_id = %(member)s
    RETURNING id
), free AS (
    SELECT id FROM payments_virtualaccount
    WHERE receiving_account_id = %(account)s AND state = 'FREE' AND NOT EXISTS (SELECT FROM own)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE payments_virtualaccount v SET state = 'ASSIGNED', member_id = %(member)s
    FROM free WHERE v.id = free.id
    RETURNING v.id
), given AS (SELECT id FROM own UNION ALL SELECT id FROM taken
), coded AS (
    SELECT d.code, used.is_held IS NOT NULL AS is_again
    FROM unnest(%(codes)s::text[]) WITH ORDINALITY AS d (code, turn), LATERAL (
        SELECT bool_or(i.code_released_at IS NULL) AS is_held FROM payments_transferintent i
        WHERE i.code = d.code AND i.code <> '' AND i.receiving_account_id = %(account)s
    ) used
    WHERE used.is_held IS NOT TRUE
      AND NOT EXISTS (
          SELECT FROM payments_receivingaccount a WHERE right(a.account_no, 8) = d.code
      )
      AND NOT (%(is_scarce)s AND EXISTS (SELECT FROM given))
    ORDER BY is_again, d.turn LIMIT 1
)
INSERT INTO payments_transferintent (
    payment_id, receiving_account_id, virtual_account_id, code, is_code_again, assigned_at,
    is_shared, payer_account
)
SELECT %(payment)s, %(account)s, given.id, coalesce(coded.code, ''),
       coalesce(coded.is_again, false), %(at)s,
       %(member)s::bigint IS NOT NULL AND given.id IS NOT NULL,
       CASE WHEN given.id IS NULL OR %(member)s::bigint IS NOT NULL THEN '' ELSE %(payer)s END
FROM given FULL JOIN coded ON true
ON CONFLICT (code, receiving_account_id, code_released_at) WHERE code <> '' DO NOTHING
RETURNING virtual_account_id
"""
# Before _GIVE and not within: a statement does not see what was committed after it began.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('virtual account ' || %s, %s))"


@joined
def give(
    *, payment: Payment, account: ReceivingAccount, at: datetime, payer_account: str = ""
) -> None:
    """A virtual account (the payer's own, where the account gives them to members) and a code.

    `payer_account`: of which alone the bank is to take money, on a virtual account that is this
    payment's alone.
    With an empty pool the code alone must do; where codes are scarce, a virtual account that is
    this payment's alone must.  NoReferenceCode: there is neither.
    """
    member = payment.payer_id if account.gives == Gives.MEMBER else None
    with connection.cursor() as cursor:
        if member is not None:
            # Of two payments of one member opened at once, the second finds the first's number.
            cursor.execute(_ONE_AT_A_TIME, [str(account.pk), member])
        for drawn in CODES_DRAWN:  # a second time, too, when another was just given the same code
            cursor.execute(
                _GIVE,
                {
                    "account": account.pk,
                    "member": member,
                    "payment": payment.pk,
                    "codes": draw_codes(drawn),
                    "is_scarce": member is None and account.codes_in_use >= CODES_SCARCE,
                    "payer": payer_account,
                    "at": at,
                },
            )
            if given := cursor.fetchone():
                break
        else:
            raise NoReferenceCode
    if (account.is_capped or payer_account) and given[0] is not None:
        later("payments.receiving.tasks.tell_limit", virtual_account_id=given[0])


@joined
def unbind(*, payment: Payment, actor: str, at: datetime) -> None:
    """Money of any account is welcome; the bank is asked to take it after the commit.

    Nothing happens where that was so before.
    """
    bound = TransferIntent.objects.filter(payment=payment).exclude(payer_account="")
    told = bound.values_list("virtual_account", flat=True).first()
    if bound.update(payer_account="") == 1:
        PaymentEvent.objects.create(payment=payment, kind="ANY_PAYER", at=at, actor=actor)
        later("payments.receiving.tasks.tell_limit", virtual_account_id=told)


# --- resting, and free again --------------------------------------------------------------------

_NAMES_A_WAITING_PAYMENT = """
EXISTS (
    SELECT FROM payments_transferintent i JOIN payments_payment p ON p.id = i.payment_id
    WHERE i.virtual_account_id = v.id AND i.released_at IS NULL AND p.status = 'WAITING'
)
"""
# From the few payments that wait, not from the many accounts that rest.
_WAKE = """
UPDATE payments_virtualaccount v SET state = 'ASSIGNED', rests_until = NULL
FROM (
    SELECT v.id FROM payments_payment p
    JOIN payments_transferintent i ON i.payment_id = p.id AND i.released_at IS NULL
    JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
    WHERE p.status = 'WAITING' AND v.state = 'RESTING'
    LIMIT %s FOR UPDATE OF v SKIP LOCKED
) woken
WHERE v.id = woken.id
"""
_LOCK_OVER = f"""
SELECT v.id FROM payments_virtualaccount v
WHERE v.state = 'ASSIGNED' AND NOT {_NAMES_A_WAITING_PAYMENT}
ORDER BY v.id LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608  our own words
_REST = f"""
UPDATE payments_virtualaccount v
SET state = 'RESTING', rests_until = over.at + make_interval(days => over.quarantine_days)
FROM (
    SELECT o.id, a.quarantine_days, coalesce(max(e.at), %s) AS at
    FROM payments_virtualaccount o
    JOIN payments_receivingaccount a ON a.id = o.receiving_account_id
    LEFT JOIN payments_transferintent i
           ON i.virtual_account_id = o.id AND i.released_at IS NULL
    LEFT JOIN payments_paymentevent e
           ON e.payment_id = i.payment_id AND e.kind IN ('CONFIRMED', 'CLOSED')
    WHERE o.id = ANY(%s::bigint[]) GROUP BY o.id, a.quarantine_days
) over
WHERE v.id = over.id AND NOT {_NAMES_A_WAITING_PAYMENT}
"""  # noqa: S608  our own words
_LOCK_RESTED = """
SELECT id FROM payments_virtualaccount
WHERE state = 'RESTING' AND rests_until <= %s
  AND cap_fen IS NULL AND payer_account = '' AND limit_asked_at IS NULL
ORDER BY rests_until, id LIMIT %s FOR UPDATE SKIP LOCKED
"""
# Whoever paid late may do so again: from the last money on, it rests as long as ever.
_REST_ON = """
UPDATE payments_virtualaccount v SET rests_until = late.until
FROM (
    SELECT o.id, max(r.received_at) + make_interval(days => a.quarantine_days) AS until
    FROM payments_virtualaccount o
    JOIN payments_receivingaccount a ON a.id = o.receiving_account_id
    JOIN payments_transferintent i ON i.virtual_account_id = o.id AND i.released_at IS NULL
    JOIN payments_receipt r ON r.payment_id = i.payment_id
    WHERE o.id = ANY(%s::bigint[]) GROUP BY o.id, a.quarantine_days
) late
WHERE v.id = late.id AND late.until > %s
"""
_FREE = f"""
WITH freed AS (
    UPDATE payments_virtualaccount v SET state = 'FREE', rests_until = NULL, member_id = NULL
    WHERE v.id = ANY(%(ids)s::bigint[]) AND v.rests_until <= %(at)s
      AND NOT {_NAMES_A_WAITING_PAYMENT}
    RETURNING v.id
), released AS (
    UPDATE payments_transferintent i SET released_at = %(at)s FROM freed
    WHERE i.virtual_account_id = freed.id AND i.released_at IS NULL
)
SELECT count(*) FROM freed
"""  # noqa: S608  our own words


def wake(*, limit: int = AT_ONCE) -> int:
    """Back to its payment, when that waits again because a match was undone; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, [limit])
        return int(cursor.rowcount)


@transaction.atomic
def rest(*, at: datetime, limit: int = AT_ONCE) -> int:
    """Accounts whose payments are all over rest from that end on; how many.

    Locked first and looked at again: a payment of the same member may just have been opened.
    """
    ids = _locked(_LOCK_OVER, [limit])
    with connection.cursor() as cursor:
        cursor.execute(_REST, [at, sql.ints(ids)])
        return int(cursor.rowcount)


@transaction.atomic
def release(*, at: datetime, limit: int = AT_ONCE) -> int:
    """Rested ones are free, and name their old payments no longer; how many.

    Not before the bank has lifted every limit: the next payment may be of another amount.
    """
    ids = sql.ints(_locked(_LOCK_RESTED, [at, limit]))
    with connection.cursor() as cursor:
        cursor.execute(_REST_ON, [ids, at])
        cursor.execute(_FREE, {"ids": ids, "at": at})
        return int(cursor.fetchone()[0])


# --- codes taken back ---------------------------------------------------------------------------

# Whatever happened to the payment since (paid, closed, late money, undone) holds its code.
_RELEASE_CODES = """
UPDATE payments_transferintent i SET code_released_at = %(at)s
FROM (
    SELECT i.id FROM payments_transferintent i JOIN payments_payment p ON p.id = i.payment_id
    WHERE i.code_released_at IS NULL AND i.code <> '' AND i.assigned_at <= %(before)s
      AND p.status <> 'WAITING'
      AND NOT EXISTS (
          SELECT FROM payments_paymentevent e WHERE e.payment_id = p.id AND e.at > %(before)s
      )
      AND NOT EXISTS (
          SELECT FROM payments_receipt r
          WHERE r.payment_id = p.id AND r.received_at > %(before)s
      )
    ORDER BY i.assigned_at, i.id LIMIT %(limit)s FOR UPDATE OF i, p SKIP LOCKED
) over
WHERE i.id = over.id AND i.code_released_at IS NULL
"""
_COUNT_CODES = """
UPDATE payments_receivingaccount a SET codes_in_use = held.count
FROM (
    SELECT o.id, count(i.id) FROM payments_receivingaccount o
    LEFT JOIN payments_transferintent i
           ON i.receiving_account_id = o.id AND i.code_released_at IS NULL AND i.code <> ''
    GROUP BY o.id
) held
WHERE a.id = held.id AND a.codes_in_use <> held.count
"""


@transaction.atomic
def release_codes(*, at: datetime, limit: int = AT_ONCE) -> int:
    """Codes of payments that have been over for two years may be given again; how many.

    Their payments are locked: one that is just opened again keeps its code.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE_CODES, {"at": at, "before": at - CODE_RESTS, "limit": limit})
        return int(cursor.rowcount)


def count_codes() -> None:
    """How many codes of each account are in use: what giving and staff go by."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_CODES)


def _locked(statement: str, parameters: Sequence[Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [pk for (pk,) in cursor.fetchall()]
