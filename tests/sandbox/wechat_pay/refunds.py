"""Refunds: accepted at once, ended a moment later."""

from typing import Any

from tests.sandbox.journal import Fact
from tests.sandbox.web import Answer, Refused, Request, answer
from tests.sandbox.wechat_pay import fields
from tests.sandbox.wechat_pay.books import rfc3339
from tests.sandbox.wechat_pay.desk import SETTLES_SECONDS, Desk, fee, yuan
from tests.sandbox.wechat_pay.keys import MCHID
from tests.sandbox.wechat_pay.trades import RE_ENTRY

YEAR_SECONDS = 365 * 86_400
MOST_REFUNDS = 50
ENDS = {"SUCCESS", "ABNORMAL", "CLOSED"}
EDGES = {"PROCESSING": ENDS, "ABNORMAL": {"PROCESSING", "SUCCESS", "CLOSED"}}


class Refunds:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._books = desk.books

    # --- the protocol

    def refund(self, request: Request) -> Answer:
        """The same out_refund_no is the same refund, however often it is asked for."""
        asked = fields.whole(request)
        out_no = self._check(asked)
        with self._books.lock:
            known = self._books.refunds.get(out_no)
            if known is None:
                known = self._accept(out_no, asked, self._trade(asked))
            elif known["asked"] != asked:
                raise Refused(400, "INVALID_REQUEST", RE_ENTRY)
            return answer(self._view(known))

    def query(self, request: Request, out_no: str) -> Answer:
        return answer(self._view(self._known(out_no)))

    def apply_abnormal(self, request: Request, refund_id: str) -> Answer:
        """An ABNORMAL refund goes another way: to a card of the buyer, or back to the merchant."""
        asked = fields.whole(request)
        with self._books.lock:
            refund = self._known(self._books.named(refund_id))
            if fields.number(asked, "out_refund_no", fields.REFUND_NO) != refund["out_refund_no"]:
                raise Refused(400, "INVALID_REQUEST", "商户退款单号与微信退款单号不一致")
            kind = fields.one_of(asked, "type", "USER_BANK_CARD", "MERCHANT_BANK_CARD")
            if kind == "USER_BANK_CARD":
                fields.text(asked, "bank_type", 16)
                named = request.headers.get("Wechatpay-Serial", "")
                for name in ("bank_account", "real_name"):
                    self._desk.platform.decrypt(fields.text(asked, name, 1_024), named)
            if refund["status"] != "ABNORMAL":
                raise Refused(400, "INVALID_REQUEST", "退款单状态不是退款异常")
            self._move(refund, "PROCESSING", outcome="SUCCESS")
            self.end_later(refund)
            return answer(self._view(refund))

    # --- how it ends

    def end(self, out_refund_no: str, state: str) -> None:
        """The control's word, or time's: SUCCESS, ABNORMAL or CLOSED."""
        if state not in ENDS:
            raise ValueError(f"state is one of {sorted(ENDS)}")
        with self._books.lock:
            self._move(self._known(out_refund_no), state)

    def settle(self, out_no: str) -> None:
        """What was to come of it, unless the control was faster."""
        with self._books.lock:
            refund = self._books.refunds.get(out_no, {})
            if refund.get("status") == "PROCESSING" and refund["outcome"]:
                self._move(refund, refund["outcome"])

    def end_later(self, refund: Fact) -> None:
        if refund["status"] == "PROCESSING" and refund["outcome"]:
            self._desk.later.push({"refund": refund["out_refund_no"]}, after=SETTLES_SECONDS)

    def shown(self) -> list[Fact]:
        return [self._view(refund) for refund in self._books.refunds.values()]

    # --- inside, under the lock

    def _check(self, asked: dict[str, Any]) -> str:
        fields.text(asked, "reason", 80, required=False)
        fields.notify_url(asked, required=False)
        amount = fields.child(asked, "amount")
        fields.fen(amount, "refund")
        fields.fen(amount, "total")
        fields.currency(amount, required=True)
        return fields.number(asked, "out_refund_no", fields.REFUND_NO)

    def _trade(self, asked: dict[str, Any]) -> Fact:
        by_id, by_no = asked.get("transaction_id"), asked.get("out_trade_no")
        if not by_id and not by_no:
            raise fields.BadField("transaction_id", "与out_trade_no须填一个")
        out_no = self._books.named(str(by_id)) if by_id else str(by_no)
        trade = self._books.trades.get(out_no)
        if trade is None or by_no not in {None, "", out_no}:
            raise Refused(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        if "paid_at" not in trade:
            raise Refused(400, "INVALID_REQUEST", "订单未支付")
        return trade

    def _accept(self, out_no: str, asked: dict[str, Any], trade: Fact) -> Fact:
        amount = asked["amount"]
        self._check_amount(amount, trade)
        before, refunded = trade["refunded_fen"], trade["refunded_fen"] + amount["refund"]
        fee_back = fee(trade["paid_fen"] - before) - fee(trade["paid_fen"] - refunded)
        if self._books.balances["BASIC"] < amount["refund"] - fee_back:
            raise Refused(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        row = {
            "asked": asked,
            "out_refund_no": out_no,
            "refund_id": self._books.fresh("50300", 29),
            "out_trade_no": trade["asked"]["out_trade_no"],
            "transaction_id": trade["transaction_id"],
            "paid_fen": trade["paid_fen"],
            "refund_fen": amount["refund"],
            "fee_back_fen": fee_back,
            "status": "PROCESSING",
            "outcome": self._outcome(),
            "created_at": self._books.now(),
        }
        self._books.record(
            trades={row["out_trade_no"]: {"state": "REFUND", "refunded_fen": refunded}},
            refunds={out_no: row},
            flows=[self._flow(row, -1, "退款")],
        )
        self.end_later(row)
        return self._books.refunds[out_no]

    def _check_amount(self, amount: dict[str, Any], trade: Fact) -> None:
        others = self._books.refunds_of[trade["asked"]["out_trade_no"]]
        if amount["total"] != trade["paid_fen"]:
            raise Refused(
                400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试"
            )
        if trade["refunded_fen"] == trade["paid_fen"]:
            raise Refused(400, "INVALID_REQUEST", "订单已全额退款")
        if trade["refunded_fen"] + amount["refund"] > trade["paid_fen"]:
            raise Refused(400, "INVALID_REQUEST", "申请退款金额大于订单可退金额")
        if len(others) >= MOST_REFUNDS:
            raise Refused(400, "INVALID_REQUEST", "订单部分退款次数超过50次")
        if self._books.now() - trade["paid_at"] > YEAR_SECONDS:
            raise Refused(400, "INVALID_REQUEST", "订单已经超过可退款的最大期限")

    def _outcome(self) -> str:
        """How the next refund is to end; "" stays PROCESSING until the control says."""
        deed = self._desk.switches.deed
        if deed("held_refund"):
            return ""
        if deed("abnormal_refund"):
            return "ABNORMAL"
        return "CLOSED" if deed("closed_refund") else "SUCCESS"

    def _known(self, out_no: str) -> Fact:
        refund = self._books.refunds.get(out_no)
        if refund is None:
            raise Refused(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return refund

    def _move(self, refund: Fact, state: str, **more: Any) -> None:
        if state not in EDGES.get(refund["status"], set()):
            raise Refused(409, "STATE", f"a refund that is {refund['status']} does not get {state}")
        change = {"status": state, **more}
        if state == "SUCCESS":
            change["success_at"] = self._books.now()
        trades, flows = {}, []
        if state == "CLOSED":
            trades = self._given_back(refund)
            flows = [self._flow(refund, 1, "退款退回")]
        events = []
        if state in ENDS:
            said = self._told(refund | change)
            url = refund["asked"].get("notify_url", "")
            events = self._desk.notices.made(f"REFUND.{state}", url, said)
        self._books.record(
            trades=trades,
            refunds={refund["out_refund_no"]: change},
            flows=flows,
            events=events,
        )

    def _given_back(self, refund: Fact) -> dict[str, Fact]:
        """The trade of a refund that came to nothing."""
        out_no = refund["out_trade_no"]
        others = [one for one in self._books.refunds_of[out_no] if one is not refund]
        still = any(one["status"] != "CLOSED" for one in others)
        left = self._books.trades[out_no]["refunded_fen"] - refund["refund_fen"]
        return {out_no: {"state": "REFUND" if still else "SUCCESS", "refunded_fen": left}}

    def _flow(self, refund: Fact, sign: int, kind: str) -> Fact:
        gross, back = refund["refund_fen"], refund["fee_back_fen"]
        return self._books.flow(
            "BASIC",
            sign * (gross - back),
            business_no=refund["refund_id"],
            name="退款",
            type=kind,
            note=f"退款总金额{yuan(gross)}元;含手续费{yuan(back)}元",
            voucher=refund["out_refund_no"],
        )

    def _view(self, refund: Fact) -> Fact:
        total, back = refund["paid_fen"], refund["refund_fen"]
        said = {
            "refund_id": refund["refund_id"],
            "out_refund_no": refund["out_refund_no"],
            "transaction_id": refund["transaction_id"],
            "out_trade_no": refund["out_trade_no"],
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "create_time": rfc3339(refund["created_at"]),
            "status": refund["status"],
            "funds_account": "AVAILABLE",
            "amount": {
                "total": total,
                "refund": back,
                "payer_total": total,
                "payer_refund": back,
                "settlement_total": total,
                "settlement_refund": back,
                "discount_refund": 0,
                "currency": "CNY",
                "from": [],
            },
            "promotion_detail": [],
        }
        if "success_at" in refund:
            said["success_time"] = rfc3339(refund["success_at"])
        return said

    def _told(self, refund: Fact) -> Fact:
        """What the notice says: less than a query."""
        said = self._view(refund)
        names = ("refund_id", "out_refund_no", "transaction_id", "out_trade_no")
        told = {name: said[name] for name in (*names, "user_received_account")}
        amounts = ("total", "refund", "payer_total", "payer_refund")
        told |= {"mchid": MCHID, "refund_status": refund["status"]}
        told["amount"] = {name: said["amount"][name] for name in amounts}
        if "success_time" in said:
            told["success_time"] = said["success_time"]
        return told
