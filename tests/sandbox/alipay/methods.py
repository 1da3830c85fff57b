"""alipay.trade.*: what a signed request does, and the inner object of its answer."""

import hashlib
import json
import secrets

from tests.sandbox.alipay import wire
from tests.sandbox.alipay.faults import Faults
from tests.sandbox.alipay.notify import BUYER_ID, BUYER_LOGON, is_near
from tests.sandbox.alipay.trades import (
    CLOSED,
    PAY_SECONDS,
    PRECREATE,
    QR_SECONDS,
    SUCCESS,
    WAITING,
    WAP,
    Offer,
    Trade,
    Trades,
    wrong_status,
)
from tests.sandbox.alipay.wire import Biz, Failed, Inner, bad, clock, yuan

CANCEL_SECONDS = 86_400
REFUND = "alipay.trade.refund"
UNWELCOME = set("/=&")  # in a subject: opendocs.alipay.com says "不可使用特殊字符"
WAP_PRODUCT = "QUICK_WAP_WAY"


class Methods:
    """One method of this class for one of the gateway; each raises Failed."""

    def __init__(self, trades: Trades, faults: Faults) -> None:
        self._trades = trades
        self._faults = faults

    def precreate(self, biz: Biz, common: Biz) -> Inner:
        """A code for two hours; the trade begins when somebody scans it."""
        token = f"bax{secrets.token_hex(12)}"
        seconds = wire.duration(biz, "qr_code_timeout_express") or QR_SECONDS
        offer = self._offer(biz, common, PRECREATE, token, self._trades.now() + seconds)
        self._trades.offer(offer)
        return {
            "out_trade_no": offer.out_trade_no,
            "qr_code": f"{common['base']}/alipay/qr?code={token}",
        }

    def wap(self, biz: Biz, common: Biz) -> tuple[Offer, Trade]:
        """The cashier was opened; the same address opens the same trade."""
        if biz.get("product_code") != WAP_PRODUCT:
            raise bad(f"product_code 须为 {WAP_PRODUCT}")
        seed = json.dumps([biz, common.get("notify_url"), common.get("return_url")])
        token = f"wap{hashlib.sha256(seed.encode()).hexdigest()[:24]}"
        offer = self._offer(biz, common, WAP, token, self._trades.now() + 86_400)
        self._trades.offer(offer)
        return offer, self._trades.open(token)

    def query(self, biz: Biz, common: Biz) -> Inner:
        trade = self._find(biz)
        paid = yuan(trade.total_fen) if trade.paid_at is not None else "0.00"
        said = {
            **_names(trade),
            "trade_status": trade.status,
            "total_amount": yuan(trade.total_fen),
            "receipt_amount": paid,
            "buyer_pay_amount": paid,
            "invoice_amount": paid,
            "point_amount": "0.00",
            **_buyer(),
        }
        if trade.paid_at is not None:
            said["send_pay_date"] = clock(trade.paid_at)
            said["fund_bill_list"] = [{"fund_channel": "ALIPAYACCOUNT", "amount": paid}]
        return said

    def close(self, biz: Biz, common: Biz) -> Inner:
        trade = self._find(biz)
        self._meanwhile(trade, "alipay.trade.close")
        self._trades.close(trade)
        return _names(trade)

    def cancel(self, biz: Biz, common: Biz) -> Inner:
        """Closes what is not paid, gives back what is; a trade that is not there is no error."""
        try:
            trade = self._find(biz)
        except Failed as no:
            if no.inner["sub_code"] != "ACQ.TRADE_NOT_EXIST":
                raise
            return {"out_trade_no": biz.get("out_trade_no", ""), "retry_flag": "N"}
        self._meanwhile(trade, "alipay.trade.cancel")
        action = "close"
        if trade.status == WAITING:
            self._trades.close(trade)
        elif trade.status != CLOSED:
            self._give_back(trade)
            action = "refund"
        return {**_names(trade), "retry_flag": "N", "action": action}

    def refund(self, biz: Biz, common: Biz) -> Inner:
        trade = self._find(biz)
        amount = wire.fen(biz, "refund_amount")
        request = wire.word(biz, "out_request_no", required=False)
        if not request and amount != trade.total_fen:
            raise bad("部分退款须传 out_request_no")
        request = request or trade.offer.out_trade_no
        number = trade.offer.out_trade_no
        if trade.refund(request) is None and self._faults.take({"no_balance"}, number, REFUND):
            raise Failed("ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")
        reason = wire.word(biz, "refund_reason", 256, required=False)
        moved = self._trades.refund(trade, request, amount, reason)
        done = trade.refund(request)
        assert done is not None
        if moved and self._faults.take({"no_fund_change"}, number, REFUND):
            moved = False
        return {
            **_names(trade),
            **_buyer(),
            "fund_change": "Y" if moved else "N",
            "refund_fee": yuan(trade.refunded_fen),
            "gmt_refund_pay": clock(done.at),
        }

    def refund_query(self, biz: Biz, common: Biz) -> Inner:
        """An unknown request is no error: its answer only says nothing."""
        trade = self._find(biz)
        done = trade.refund(wire.word(biz, "out_request_no"))
        if done is None:
            return {}
        said = {
            **_names(trade),
            "out_request_no": done.request_no,
            "refund_amount": yuan(done.amount_fen),
            "total_amount": yuan(trade.total_fen),
            "refund_status": "REFUND_SUCCESS",
        }
        if done.reason:
            said["refund_reason"] = done.reason
        if "gmt_refund_pay" in (biz.get("query_options") or []):
            said["gmt_refund_pay"] = clock(done.at)
        return said

    # --- inside

    def _find(self, biz: Biz) -> Trade:
        trade_no = wire.word(biz, "trade_no", required=False)
        return self._trades.find(wire.word(biz, "out_trade_no", required=not trade_no), trade_no)

    def _offer(self, biz: Biz, common: Biz, product: str, token: str, until: int) -> Offer:
        notify = str(common.get("notify_url", ""))
        if notify and not is_near(notify):
            raise bad("沙箱只通知本机，notify_url 须为 http://127.0.0.1 且不带参数")
        back = str(common.get("return_url", ""))
        if back and not back.startswith(("http://", "https://")):
            raise bad("return_url")
        expires = wire.moment(biz, "time_expire")
        if expires is not None and expires <= self._trades.now():
            raise bad("time_expire 已过")
        subject = wire.word(biz, "subject", 256)
        if set(subject) & UNWELCOME:
            raise bad("subject 不可使用 / = &")
        return Offer(
            token=token,
            product=product,
            out_trade_no=wire.number(biz, "out_trade_no"),
            subject=subject,
            total_fen=wire.fen(biz, "total_amount"),
            notify_url=notify,
            return_url=back,
            until=until,
            expires_at=None if expires is None else int(expires),
            pay_seconds=wire.duration(biz, "timeout_express") or PAY_SECONDS,
            passback=wire.word(biz, "passback_params", 512, required=False),
        )

    def _meanwhile(self, trade: Trade, method: str) -> None:
        """What a buyer may be doing at the moment when the shop closes."""
        number = trade.offer.out_trade_no
        if trade.status != WAITING:
            return
        if self._faults.take({"not_closable"}, number, method):
            raise wrong_status()
        if self._faults.take({"paid_during_close"}, number, method):
            self._trades.pay(trade)

    def _give_back(self, trade: Trade) -> None:
        if trade.status != SUCCESS:
            raise Failed("ACQ.TRADE_HAS_FINISHED", "交易已经完结")
        if trade.refunds:
            raise Failed("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")
        if self._trades.now() >= (trade.paid_at or 0) + CANCEL_SECONDS:
            raise Failed("ACQ.TRADE_CANCEL_TIME_OUT", "超过撤销时间范围")
        self._trades.refund(trade, trade.offer.out_trade_no, trade.total_fen, "撤销")


def _names(trade: Trade) -> Inner:
    return {"trade_no": trade.trade_no, "out_trade_no": trade.offer.out_trade_no}


def _buyer() -> Inner:
    return {"buyer_user_id": BUYER_ID, "buyer_logon_id": BUYER_LOGON}
