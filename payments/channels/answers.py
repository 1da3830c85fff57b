"""What a payment channel's answer may be, besides what was asked for."""

from config.kit.errors import Refusal, TryAgain


class ChannelSilent(TryAgain):
    """No answer that proves anything: it may have happened.  Ask again with the same number."""

    message = "支付渠道暂时没有应答，请稍后重试"


class ChannelRefused(Exception):
    """The channel itself said no, in a signed answer; `code` is its own."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code


class BadNotice(Refusal):
    """Not from the channel, or not now; which of the two is nobody's business."""

    status = 401
    message = "签名验证失败"


class NoticeTooLarge(Refusal):
    status = 413
    message = "通知内容过大"
