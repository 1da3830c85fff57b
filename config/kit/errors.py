"""Refusals: the business said no.  Rendered as problem+json by `config.kit.api`, never a crash."""

import re

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Refusal(Exception):
    """The business said no; `details` are facts for the front end, plain JSON values."""

    status = 409
    message = "操作未能完成"

    def __init__(self, message: str = "", **details: object) -> None:
        super().__init__(message or self.message)
        self.details = details

    @property
    def code(self) -> str:
        """Stable, UPPER_SNAKE: the class name (`SoldOut` is SOLD_OUT)."""
        return _WORDS.sub("_", type(self).__name__).upper()


class NotFound(Refusal):
    """Unknown and not yours are the same answer."""

    status = 404
    message = "内容不存在"


class Malformed(Refusal):
    """The request itself is wrong; sending it again will not help."""

    status = 400
    message = "请求格式有误"


class StaleState(Refusal):
    """Someone moved the row first."""

    message = "状态已变化，请刷新后重试"


class TryAgain(Refusal):
    """Something we depend on did not answer; nothing has happened."""

    status = 503
    message = "服务繁忙，请稍后重试"
