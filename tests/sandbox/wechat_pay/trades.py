"""JSAPI payments: prepay, pay, query, close."""

import secrets
from typing import Any

from tests.sandbox.journal import Fact
from tests.sandbox.web import Answer, Refused, Request, answer
from tests.sandbox.wechat_pay import fields
from tests.sandbox.wechat_pay.books import at_shanghai, rfc3339
from tests.sandbox.wechat_pay.desk import Desk, fee, yuan
from tests.sandbox.wechat_pay.keys import MCHID
from tests.sandbox.wechat_pay.signing import pay_text

PREPAY_SECONDS = 7_200
SHORTEST_SECONDS = 60
LONGEST_SECONDS = 90 * 86_400
DEFAULT_SECONDS = 7 * 86_400
STATES = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "REFUND": "转入退款",
    "CLOSED": "订单已关闭",
}
CLOSED = Answer(204, content_type="text/plain")
RE_ENTRY = "请求重入时，参数与首次请求时不一致"


class Trades:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._books = desk.books

    # --- the protocol

    def prepay(self, request: Request) -> Answer:
        asked = fields.whole(request)
        out_no = self._check(asked)
        with self._books.lock:
            now = self._books.now()
            known = self._books.trades.get(out_no)
            if out_no in self._books.spent:
                raise Refused(400, "INVALID_REQUEST", RE_ENTRY)
            if known is None:
                expires = fields.moment(asked, "time_expire")
                change = {
                    "asked": asked,
                    "state": "NOTPAY",
                    "created_at": now,
                    "expires_at": expires or now + DEFAULT_SECONDS,
                    "refunded_fen": 0,
                    "prepay_id": self._fresh_prepay(),
                }
            else:
                _still_open(known)
                if known["asked"] != asked:
                    raise Refused(400, "INVALID_REQUEST", RE_ENTRY)
                change = {}
                if known["prepay_until"] <= now:
                    change = {"prepay_id": self._fresh_prepay()}
            # The same request again makes the two hours anew.
            self._books.record(trades={out_no: {**change, "prepay_until": now + PREPAY_SECONDS}})
            prepay_id = self._books.trades[out_no]["prepay_id"]
        return answer({"prepay_id": prepay_id})

    def query(self, request: Request, out_no: str) -> Answer:
        _own(request.query.get("mchid"))
        return answer(self._view(self._trade(out_no)))

    def query_by_id(self, request: Request, transaction_id: str) -> Answer:
        _own(request.query.get("mchid"))
        return answer(self._view(self._trade(self._books.named(transaction_id))))

    def close(self, request: Request, out_no: str) -> Answer:
        _own(fields.whole(request).get("mchid"))
        with self._books.lock:
            if out_no not in self._books.trades and self._desk.switches.deed("spending_close"):
                self._books.record(spent=[out_no])
                return CLOSED
            trade = self._trade(out_no)
            _still_open(trade)
            if self._desk.switches.deed("userpaying"):
                raise Refused(202, "USERPAYING", "用户支付中，需要输入密码")
            if self._desk.switches.deed("paid_during_close"):
                self._paid(trade, trade["asked"]["amount"]["total"])
                _still_open(trade)
            self._books.record(trades={out_no: {"state": "CLOSED", "closed_at": self._books.now()}})
        return CLOSED

    # --- what the buyer does

    def pay(
        self,
        *,
        prepay_id: str = "",
        out_trade_no: str = "",
        openid: str = "",
        amount_fen: int | None = None,
        request_payment: dict[str, str] | None = None,
    ) -> Answer:
        """The buyer pays, or is told why not; `amount_fen` makes WeChat Pay book another amount.

        `request_payment` is what the mini program gives to wx.requestPayment: it must be signed.
        """
        if request_payment is not None:
            prepay_id = self._signed(request_payment)
        with self._books.lock:
            out_no = out_trade_no or self._books.named(prepay_id)
            trade = self._books.trades.get(out_no)
            if trade is None or prepay_id not in {"", trade["prepay_id"]}:
                raise Refused(404, "ORDER_NOT_EXIST", "支付会话不存在或已更换")
            _still_open(trade)
            now = self._books.now()
            if min(trade["prepay_until"], trade["expires_at"]) <= now:
                raise Refused(422, "ORDER_EXPIRED", "订单已过期，请重新下单")
            if openid not in {"", trade["asked"]["payer"]["openid"]}:
                raise Refused(422, "OPENID_MISMATCH", "下单账号与支付账号不一致")
            total = trade["asked"]["amount"]["total"]
            self._paid(trade, total if amount_fen is None else amount_fen)
        return answer(self._view(trade), 201)

    def open(self) -> list[Fact]:
        """What can be paid now, the newest first."""
        with self._books.lock:
            now = self._books.now()
            waiting = [one for one in self._books.trades.values() if one["state"] == "NOTPAY"]
            still = [one for one in waiting if min(one["prepay_until"], one["expires_at"]) > now]
        return still[::-1]

    def shown(self) -> list[Fact]:
        """All trades as a query tells them, for tests."""
        return [self._view(trade) for trade in self._books.trades.values()]

    # --- inside, under the lock

    def _check(self, asked: dict[str, Any]) -> str:
        """The merchant's number of a prepay that is well formed."""
        _own(fields.text(asked, "mchid", 32))
        if fields.text(asked, "appid", 32) != self._desk.appid:
            raise Refused(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
        fields.text(asked, "description", 127)
        fields.text(asked, "attach", 128, required=False)
        fields.notify_url(asked, required=True)
        fields.text(fields.child(asked, "payer"), "openid", 128)
        amount = fields.child(asked, "amount")
        fields.fen(amount, "total")
        fields.currency(amount, required=False)
        expires = fields.moment(asked, "time_expire")
        out_no = fields.number(asked, "out_trade_no", fields.TRADE_NO)
        if expires is not None and out_no not in self._books.trades:
            ahead = expires - self._books.now()
            if not SHORTEST_SECONDS <= ahead <= LONGEST_SECONDS:
                raise fields.BadField(
                    "time_expire", "须在1分钟之后、90天之内", asked["time_expire"]
                )
        return out_no

    def _fresh_prepay(self) -> str:
        return f"wx{at_shanghai(self._books.now()):%Y%m%d%H%M%S}{secrets.token_hex(10)}"

    def _signed(self, given: dict[str, str]) -> str:
        """The prepay_id of a wx.requestPayment, whose paySign must be the merchant's."""
        name, _, prepay_id = given["package"].partition("=")
        text = pay_text(self._desk.appid, given)
        if name != "prepay_id" or given["signType"] != "RSA":
            raise Refused(422, "PAY_PARAM_ERROR", "调用支付JSAPI缺少参数")
        if not self._desk.merchant.signed(text, given["paySign"]):
            raise Refused(422, "PAY_SIGN_ERROR", "支付验证签名失败")
        return prepay_id

    def _trade(self, out_no: str) -> Fact:
        trade = self._books.trades.get(out_no)
        if trade is None:
            raise Refused(404, "ORDER_NOT_EXIST", "订单不存在")
        return trade

    def _paid(self, trade: Fact, paid_fen: int) -> None:
        asked, now = trade["asked"], self._books.now()
        out_no = asked["out_trade_no"]
        change = {
            "state": "SUCCESS",
            "paid_at": now,
            "paid_fen": paid_fen,
            "transaction_id": self._books.fresh("4200002", 28),
        }
        said = {"business_no": change["transaction_id"], "name": "交易", "voucher": out_no}
        flows = [self._books.flow("BASIC", paid_fen, **said, type="交易", note="")]
        if fee(paid_fen):
            cost = -fee(paid_fen)
            kind = "扣除交易手续费"
            note = f"支付交易手续费{yuan(-cost)}元"
            payer = "FEES" if self._desk.switches.deed("fees_apart") else "BASIC"
            flows.append(self._books.flow(payer, cost, **said, type=kind, note=note))
        told = self._desk.notices.made(
            "TRANSACTION.SUCCESS", asked["notify_url"], self._view(trade | change)
        )
        self._books.record(trades={out_no: change}, flows=flows, events=told)

    def _view(self, trade: Fact) -> Fact:
        """As a query and the notice say it."""
        asked = trade["asked"]
        said: Fact = {
            "appid": asked["appid"],
            "mchid": asked["mchid"],
            "out_trade_no": asked["out_trade_no"],
            "trade_state": trade["state"],
            "trade_state_desc": STATES[trade["state"]],
            "promotion_detail": [],
        }
        total = trade.get("paid_fen", asked["amount"]["total"])
        said["amount"] = {"total": total, "currency": "CNY", "payer_currency": "CNY"}
        if "paid_at" in trade:
            said |= {
                "transaction_id": trade["transaction_id"],
                "trade_type": "JSAPI",
                "bank_type": "OTHERS",
                "attach": asked.get("attach", ""),
                "success_time": rfc3339(trade["paid_at"]),
                "payer": {"openid": asked["payer"]["openid"]},
            }
            said["amount"]["payer_total"] = total
        return said


def _still_open(trade: Fact) -> None:
    if trade["state"] == "CLOSED":
        raise Refused(400, "ORDER_CLOSED", "该订单已关闭")
    if trade["state"] != "NOTPAY":
        raise Refused(400, "ORDERPAID", "该订单已支付")


def _own(mchid: object) -> None:
    if mchid != MCHID:
        raise fields.BadField("mchid", "与签名的商户号不一致", mchid)
