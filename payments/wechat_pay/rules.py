"""What a word of WeChat's about one of our trades means."""

from typing import NamedTuple

from django.db import models

from payments.channels.wechat import Trade


class Status(models.TextChoices):
    OPEN = "OPEN", "待支付"
    PAID = "PAID", "已支付"
    CLOSED = "CLOSED", "已关闭"


class RefundState(models.TextChoices):
    """As WeChat calls them."""

    PROCESSING = "PROCESSING", "退款中"
    SUCCESS = "SUCCESS", "已退款"
    ABNORMAL = "ABNORMAL", "退款异常"  # the buyer's card is gone: a person names another one
    CLOSED = "CLOSED", "已关闭"


TRANSITIONS = {
    Status.OPEN: frozenset({Status.PAID, Status.CLOSED}),
    # WeChat's word that it was paid outweighs its word that it was closed.
    Status.CLOSED: frozenset({Status.PAID}),
    Status.PAID: frozenset[Status](),
}


class Asked(NamedTuple):
    """One of our trades as we know it, to hold WeChat's word against."""

    out_trade_no: str
    amount_fen: int
    mchid: str
    appid: str


def differs(ours: Asked, theirs: Trade) -> str:
    """Why a paid trade of theirs is not what we asked for; empty when it is."""
    if theirs.mchid != ours.mchid:
        return f"商户号 {theirs.mchid} 不是本店的 {ours.mchid}"
    if theirs.appid != ours.appid:
        return f"小程序 {theirs.appid} 不是本店的 {ours.appid}"
    if theirs.currency != "CNY":
        return f"币种为 {theirs.currency}"
    if theirs.fen != ours.amount_fen:
        return f"金额 {theirs.fen} 分，应为 {ours.amount_fen} 分"
    return ""
