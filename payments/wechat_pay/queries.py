from collections.abc import Iterator

from django.db import connection

from config.kit.money import yuan

METHOD = "WECHAT"
SOURCE = "clearing:wechat"  # what WeChat Pay has for us, until its bill says that it is ours

# Every paid trade is one arrival of its payment's, with the same amount; and the other way round.
_FINDINGS = """
SELECT t.out_trade_no, t.amount_fen, r.amount_fen
FROM (SELECT * FROM payments_wechattrade WHERE status = 'PAID') t
FULL JOIN (SELECT * FROM payments_receipt WHERE method = 'WECHAT') r
  ON r.payment_id = t.payment_id AND r.channel_txn = t.transaction_id
WHERE t.amount_fen IS DISTINCT FROM r.amount_fen LIMIT 20
"""


def findings() -> Iterator[str]:
    """Trades of WeChat Pay against the arrivals of the cashier."""
    with connection.cursor() as cursor:
        cursor.execute(_FINDINGS)
        for number, paid, received in cursor.fetchall():
            yield (
                f"微信支付交易 {number or '（无）'} 已支付 {yuan(paid or 0)} 元，"
                f"到账记录 {yuan(received or 0)} 元"
            )
