from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils.timezone import now

from config.kit.money import yuan
from payments.channels.wechat_keys import described
from payments.wechat_pay.models import PlatformCertificate

METHOD = "WECHAT"
SUCCESSOR = timedelta(days=5)  # before the last certificate ends there has to be another
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
    yield from _certificates()


def certificates(at: datetime) -> list[str]:
    """What was renewed and has not ended, as PEM, the newest last."""
    kept = PlatformCertificate.objects.filter(ends_at__gt=at)
    return list(kept.order_by("ends_at", "pk").values_list("pem", flat=True))


def _certificates() -> Iterator[str]:
    """Where certificates are all that proves WeChat's word, one must be good for days to come."""
    told = settings.WECHAT_PAY
    if not told or told["public_keys"]:
        return
    ends = [described(pem).ends_at for pem in told["certificates"]]
    ends += PlatformCertificate.objects.values_list("ends_at", flat=True)
    if max(ends) < now() + SUCCESSOR:
        yield f"微信支付平台证书 {max(ends):%Y-%m-%d} 到期，还没有取得新证书"
