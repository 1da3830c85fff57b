from collections.abc import Iterator

from django.db import connection

# What must hold between an account, the payments that it names, and who pays them.
_FINDINGS = """
SELECT v.number, p.number, CASE
    WHEN v.state = 'FREE' THEN '空闲，却仍指向'
    WHEN v.receiving_account_id <> i.receiving_account_id THEN '在另一收款账户，却指向'
    WHEN i.is_shared AND v.member_id IS DISTINCT FROM p.payer_id THEN '不是这位买家的，却指向'
    ELSE '只属于一位买家，却单独指向'
END
FROM payments_transferintent i
JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
JOIN payments_payment p ON p.id = i.payment_id
WHERE i.released_at IS NULL AND (
    v.state = 'FREE' OR v.receiving_account_id <> i.receiving_account_id
    OR (CASE WHEN i.is_shared THEN p.payer_id END) IS DISTINCT FROM v.member_id
)
LIMIT 20
"""


def findings() -> Iterator[str]:
    """Virtual accounts against the payments that they name."""
    with connection.cursor() as cursor:
        cursor.execute(_FINDINGS)
        for account, payment, what in cursor.fetchall():
            yield f"专属账号 {account} {what}支付单 {payment}"
