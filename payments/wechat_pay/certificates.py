"""WeChat Pay's platform certificates are renewed by itself, where that regime is configured.

A new one is offered days before it signs.  It is taken from an answer that is signed by one that we
have, and sealed with our own APIv3 key; all others stay good until they expire.  Where every one
that we have has expired, nothing can be proven any more: a person puts a new file there.
Source: https://pay.weixin.qq.com/doc/v3/merchant/4012551764
"""

import logging
from datetime import datetime

from django.conf import settings

from config.kit.outside import assert_no_transaction
from payments.channels import wechat
from payments.channels.wechat_keys import described
from payments.wechat_pay.models import PlatformCertificate

logger = logging.getLogger(__name__)


def is_on() -> bool:
    return bool(settings.WECHAT_PAY and settings.WECHAT_PAY["certificates"])


def renew(*, at: datetime) -> list[str]:
    """Ask for the certificates and keep what is new; its serials.  Safe twice.

    Raises ChannelSilent, also where any of them is not what it says; then none is kept.
    ChannelRefused: there are none any more.
    """
    assert_no_transaction()
    new = []
    for pem in wechat.wechat_pay().certificates():
        one = described(pem)
        if one.ends_at <= at:
            continue
        row, is_new = PlatformCertificate.objects.get_or_create(
            serial=one.serial,
            defaults={
                "pem": pem,
                "begins_at": one.begins_at,
                "ends_at": one.ends_at,
                "heard_at": at,
            },
        )
        if row.pem != pem:
            logger.error("WeChat Pay: certificate %s is not the one that it was", one.serial)
        elif is_new:
            new.append(one.serial)
    return new
