"""WeChat Pay's other accounts of a merchant: a fund bill each day, and no trades of their own.

OPERATION (运营账户) is what transfers to people are paid from, FEES (手续费账户) what fees may be.
What comes to them from the first account (BASIC) leaves it under `elsewhere:wechat` and comes in
under it; a withdrawal that we have booked is there too, so that it stands at zero in the end.
"""

from datetime import date, datetime
from typing import IO, Any

from django.conf import settings

from payments.bills import wechat
from payments.bills.rules import Moved
from payments.channels.wechat import wechat_pay
from payments.transfers.parsers import Stream
from payments.transfers.parsers.channels.bill import BillRow


class WeChatAccount:
    """A trade in such a bill would be a surprise: it is counted, so that the sums differ."""

    NAME = wechat.NAME
    TRADE_FORM = wechat.TRADE_FORM
    FUND_FORM = wechat.FUND_FORM
    DIFFERENCES = """
    SELECT ''::text AS subject, ''::text AS kind, ''::text AS our_number, ''::text AS their_number,
           0::bigint AS our_fen, 0::bigint AS their_fen, ''::text AS our_state,
           ''::text AS their_state WHERE false
    """

    def __init__(self, which: str) -> None:
        self.WHICH = which

    def is_on(self) -> bool:
        return self.WHICH in settings.WECHAT_PAY.get("accounts", ())

    def account_no(self) -> str:
        return wechat.account_no()

    def trade_bill(self, day: date) -> IO[bytes] | None:
        return None

    def fund_bill(self, day: date) -> IO[bytes] | None:
        return wechat_pay().fund_bill(day, self.WHICH)

    def whose(self, bill: Stream, /) -> str | None:
        return wechat.whose(bill)

    def due_fen(self, row: BillRow, /) -> int:
        return wechat.due_fen(row)

    def moved(self, row: BillRow, /) -> Moved:
        return wechat.moved(row)

    def ask(self, batch: str, *, at: datetime, most: int) -> bool:
        return True

    def mark(self, facts: dict[str, Any], /) -> None:
        """There is nothing of ours in it."""


OPERATION, FEES = WeChatAccount("OPERATION"), WeChatAccount("FEES")
