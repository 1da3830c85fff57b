"""The network between two transactions: WeChat is told, or asked, and what it said is written."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson
import redis
from django.conf import settings

from config.kit import wechat
from config.kit.outside import assert_no_transaction
from config.kit.redis import connection
from config.kit.wechat import WeChatBusy, WeChatMisconfigured, WeChatRejected, WeChatUnknown
from shop.wechat_shipping import rules, services
from shop.wechat_shipping.models import ShippingReport
from shop.wechat_shipping.services import Claim

logger = logging.getLogger(__name__)

DAY = 86_400
NOT_SET_UP = "微信接口的配置有误（AppID、密钥、IP 白名单或权限），请联系技术人员"
NO_ANSWER = "微信没有应答，稍后自动重试"
NOT_KNOWN_YET = "微信还没有收录这笔支付，稍后自动重试"


def report(*, claim: Claim, at: datetime) -> None:
    """Tell WeChat.  Not atomic on purpose: the network lies between; safe to repeat."""
    assert_no_transaction()
    try:
        body = _body(claim)
        if body is None:
            services.put_back(claim=claim)
        elif isinstance(body, str):
            services.refused(claim=claim, why=body, at=at)
        else:
            wechat.client().upload_shipping_info(_asked(claim, body))
            services.took(claim=claim, body=body, at=at)
    except WeChatBusy as busy:
        pause = timedelta(seconds=busy.retry_after)
        services.silent(claim=claim, why=NO_ANSWER, asked=pause, at=at)
    except WeChatMisconfigured:
        logger.exception("shipping information cannot be reported")
        services.silent(claim=claim, why=NOT_SET_UP, asked=timedelta(0), at=at)
    except WeChatRejected as no:
        _rejected(claim, no, at)


def _body(claim: Claim) -> dict[str, object] | str | None:
    """What is told; a text says why it cannot be."""
    names = rules.carriers(claim.sent)
    known = companies() if names else {}
    codes = {name: rules.code_of(name, known) for name in names}
    if strangers := sorted(name for name in names if not codes[name]):
        return f"微信不认识承运商“{'”、“'.join(strangers)}”，请用“更正运单”改为微信的叫法"
    return rules.told(claim.sent, codes)


def _asked(claim: Claim, body: Mapping[str, object]) -> dict[str, object]:
    return {
        "order_key": {"order_number_type": 2, "transaction_id": claim.transaction_id},
        **body,
        # Of two words WeChat takes the newer one only, whichever comes first.
        "upload_time": claim.at.isoformat(timespec="milliseconds"),
        "payer": {"openid": claim.openid},
    }


def _rejected(claim: Claim, no: WeChatRejected, at: datetime) -> None:
    if no.errcode == rules.UNKNOWN_PAYMENT:
        services.silent(claim=claim, why=NOT_KNOWN_YET, asked=timedelta(0), at=at)
        return
    why = rules.REFUSALS.get(no.errcode, f"微信拒绝：{no.errmsg}")
    services.refused(claim=claim, why=f"{why}（{no.errcode}）", at=at)
    if no.errcode == rules.COMPLETE:
        # Somebody else told it, or an answer was lost: what WeChat has decides.
        compare(report=ShippingReport.objects.get(pk=claim.report_id), at=at)


def compare(*, report: ShippingReport, at: datetime) -> bool:
    """Ask WeChat what it knows.  False: no answer, or it knows no such payment."""
    assert_no_transaction()
    try:
        known = wechat.client().shipping_order(report.trade.transaction_id or "")
    except WeChatBusy:
        return False
    except (WeChatMisconfigured, WeChatRejected):
        logger.exception("shipping information of %s cannot be compared", report)
        return False
    if known is None:
        return False
    services.hear(report=report, known=rules.theirs(known), at=at)
    return True


def ask_receipt(
    *, report: ShippingReport, delivered_at: datetime, actor: str, at: datetime
) -> None:
    """The carrier has delivered: WeChat asks the buyer to confirm, once an order.

    Not atomic on purpose.  Where no answer comes it counts as asked: a buyer is not asked twice.
    Raises ReceiptAsked, ReceiptNotAsked, WeChatBusy.
    """
    assert_no_transaction()
    services.mark_receipt_asked(report=report, actor=actor, at=at)
    number = report.trade.transaction_id or ""
    try:
        wechat.client().notify_confirm_receive(number, int(delivered_at.timestamp()))
    except WeChatUnknown:
        logger.warning("whether the buyer of %s was asked is not known", report)
    except WeChatBusy:
        services.receipt_not_asked(report=report, why=NO_ANSWER, at=at)
        raise
    except (WeChatMisconfigured, WeChatRejected) as no:
        services.receipt_not_asked(report=report, why=str(no)[:200], at=at)
        raise services.ReceiptNotAsked(said=str(no)) from no


def companies() -> dict[str, str]:
    """WeChat's codes by the carriers' names, asked for once a day."""
    key = f"siyu:wechat:{settings.WECHAT_APPID}:carriers"
    try:
        kept = connection().get(key)
    except redis.RedisError:
        return wechat.client().delivery_companies()
    if isinstance(kept, bytes):
        return dict(orjson.loads(kept))
    fresh = wechat.client().delivery_companies()
    try:
        connection().set(key, orjson.dumps(fresh), ex=DAY)
    except redis.RedisError:
        logger.warning("wechat: the list of carriers could not be kept")
    return fresh
