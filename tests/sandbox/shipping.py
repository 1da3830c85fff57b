"""发货信息管理: WeChat wants to know what was sent for every order that WeChat Pay took money for.

    待发货 1 → 已发货 2 → 确认收货 3 → 交易完成 4;  已退款 5

Field names and errcodes as
https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/business-capabilities/order-shipping/order-shipping.html
Where that page says nothing, the strict reading: parcels of a split delivery add up by their
numbers until the last one; after that another list is the one correction; `upload_time` goes
forward.

Control  POST /__sandbox__/shipping/…
  confirm  {transaction_id}            the buyer has it (3)
  settle   {transaction_id, method?}   the money is the merchant's (4); 1 by itself, 2 by hand
  remind   {transaction_id}            "48 hours, and nothing was sent"
  push     {event, …}                  any event of that name with those fields
  verify   {url, echostr}              the question at the saving of the address: {status, said}
  ingest   {seconds}                   how long a payment is unknown here after it was made
  managed  {is_managed}                whether this mini program is under the management at all
  GET orders · GET pushes
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.sandbox.deliveries import Deliveries, Due, is_here
from tests.sandbox.faults import WECHAT_PUSH, Fault, Faults
from tests.sandbox.journal import Fact, Journal
from tests.sandbox.web import Answer, Errcode, Refused, Request, answer
from tests.sandbox.wechat import WeChat
from tests.sandbox.wechat_mail import Mail
from tests.sandbox.wechat_pay.books import Books
from tests.sandbox.wechat_pay.keys import MCHID

ORDER = "/wxa/sec/order"
COMPANIES = "/cgi-bin/express/delivery/open_msg/get_delivery_list"
WAITING, SHIPPED, CONFIRMED, DONE, REFUNDED = 1, 2, 3, 4, 5
EXPRESS, CITY, VIRTUAL, PICKUP = 1, 2, 3, 4
UNIFIED, SPLIT = 1, 2
MOST_PARCELS, MOST_SIGNS = 15, 120
SETTLES_AFTER = 10 * 86_400
COMPANY_NAMES = {
    "SF": "顺丰速运",
    "ZTO": "中通快递",
    "YTO": "圆通速递",
    "STO": "申通快递",
    "YD": "韵达速递",
    "JTSD": "极兔速递",
    "JD": "京东快递",
    "EMS": "EMS",
    "YZPY": "邮政快递包裹",
    "DBL": "德邦快递",
}
OK = {"errcode": 0, "errmsg": "ok"}
Road = Callable[[Request], Answer]


class Shipping:
    """What was told of each payment; the payments themselves are WeChat Pay's."""

    def __init__(
        self,
        journal: Journal,
        wechat: WeChat,
        books: Books,
        faults: Faults,
        *,
        appid: str,
        delays: Sequence[float],
    ) -> None:
        self._journal, self._wechat, self._books, self._appid = journal, wechat, books, appid
        self.shop_url = ""
        self._mail = Mail(appid)
        self._queue = Deliveries(
            "wechat-pushes",
            deliver=self._deliver,
            fault_of=lambda event: faults.take(WECHAT_PUSH),
            on_taken=lambda event: None,
            delays=delays,
        )
        self.start, self.stop = self._queue.start, self._queue.stop
        self.waiting = self._queue.waiting
        self.clear()
        journal.on("shipping", self._apply)

    def clear(self) -> None:
        self._queue.clear()
        self.tried: list[Fact] = []
        self._told: dict[str, Fact] = {}  # by transaction_id
        self._ingest_seconds = 0.0
        self._is_managed = True

    def roads(self) -> Mapping[tuple[str, str], Road]:
        known: dict[str, Callable[[Fact], Fact]] = {
            f"{ORDER}/upload_shipping_info": self._upload,
            f"{ORDER}/get_order": self._order,
            f"{ORDER}/get_order_list": self._orders,
            f"{ORDER}/notify_confirm_receive": self._notify,
            f"{ORDER}/is_trade_managed": self._managed,
            f"{ORDER}/is_trade_management_confirmation_completed": self._completed,
            COMPANIES: self._companies,
        }
        return {("POST", path): self._road(does) for path, does in known.items()}

    def _road(self, does: Callable[[Fact], Fact]) -> Road:
        def road(request: Request) -> Answer:
            self._wechat.check_token(request)
            asked = request.json()
            if not isinstance(asked, dict):
                raise Errcode(47001, "data format error")
            with self._journal.lock:
                return answer({**OK, **does(asked)})

        return road

    # --- the protocol, under the lock

    def _upload(self, asked: Fact) -> Fact:
        trade = self._trade(_child(asked, "order_key"))
        if _child(asked, "payer").get("openid") != trade["asked"]["payer"]["openid"]:
            raise Errcode(10060031, "支付单不属于此 openid")
        at = _moment(asked.get("upload_time"))
        parcels = _checked(asked)
        told = self._told_of(trade)
        if self._state(trade) == REFUNDED:
            raise Errcode(10060004, "支付单处于不可发货的状态")
        if self._state(trade) in {CONFIRMED, DONE}:
            raise Errcode(10060002, "支付单已完成发货，无法继续发货")
        change = _merged(told, asked, parcels, at)
        if told.get("finish_shipping") and change["finish_shipping_count"] > 2:
            raise Errcode(10060003, "支付单已使用重新发货机会")
        if told and at <= told["uploaded_at"]:
            raise Errcode(268485216, "上传时间非法，请检查后重试")
        if change["finish_shipping"] and not told.get("finish_shipping"):
            change["shipped_time"] = int(self._journal.now())
        self._record(trade, change)
        if change["finish_shipping"]:
            self._tell_settlement(trade)
        return {}

    def _order(self, asked: Fact) -> Fact:
        key = {**asked, "order_number_type": 2 if asked.get("transaction_id") else 1}
        key.update(mchid=asked.get("merchant_id"), out_trade_no=asked.get("merchant_trade_no"))
        return {"order": self._view(self._trade(key))}

    def _orders(self, asked: Fact) -> Fact:
        wanted = asked.get("order_state")
        found = [self._view(trade) for trade in self._books.trades.values() if "paid_at" in trade]
        rows = [one for one in found if wanted in {None, one["order_state"]}]
        return {"order_list": rows[:100], "has_more": len(rows) > 100, "last_index": ""}

    def _notify(self, asked: Fact) -> Fact:
        key = {"order_number_type": 2, "transaction_id": asked.get("transaction_id")}
        trade = self._trade(key)
        told = self._told_of(trade)
        if self._state(trade) != SHIPPED or told["logistics_type"] != EXPRESS:
            raise Errcode(10060004, "支付单处于不可提醒的状态")
        if told.get("notified"):
            raise Errcode(10060014, "已提醒过确认收货")
        self._record(trade, {"notified": True})
        return {}

    def _managed(self, asked: Fact) -> Fact:
        self._own(asked)
        return {"is_trade_managed": self._is_managed}

    def _completed(self, asked: Fact) -> Fact:
        self._own(asked)
        return {"completed": self._is_managed}

    def _companies(self, asked: Fact) -> Fact:
        rows = [{"delivery_id": one, "delivery_name": name} for one, name in COMPANY_NAMES.items()]
        return {"delivery_list": rows, "count": len(rows)}

    def _own(self, asked: Fact) -> None:
        if asked.get("appid") != self._appid:
            raise Errcode(40013, "invalid appid")

    # --- the world

    def control(self, request: Request) -> Answer:
        asked = request.json() or {}
        does: Callable[..., Any] | None = {
            "confirm": self.confirm,
            "settle": self.settle,
            "remind": self.remind,
            "push": self.push,
            "verify": self._mail.ask,
            "ingest": lambda seconds: setattr(self, "_ingest_seconds", seconds),
            "managed": lambda is_managed: setattr(self, "_is_managed", is_managed),
        }.get(request.path.rpartition("/")[2])
        if does is None:
            raise Refused(404, "NOT_FOUND", "see tests/sandbox/shipping.py")
        try:
            return answer(does(**asked) or {"ok": True})
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(400, "BAD_CONTROL", repr(error)) from error

    def look(self, request: Request) -> Answer:
        with self._journal.lock:
            if request.path.endswith("/orders"):
                paid = [one for one in self._books.trades.values() if "paid_at" in one]
                return answer([self._view(trade) for trade in paid])
            if request.path.endswith("/pushes"):
                return answer({"waiting": self._queue.waiting(), "tried": self.tried})
        raise Refused(404, "NOT_FOUND", "orders or pushes")

    def confirm(self, transaction_id: str) -> None:
        with self._journal.lock:
            trade = self._by_id(transaction_id)
            now = int(self._journal.now())
            self._record(trade, {"confirmed_at": now, "method": 2})

    def settle(self, transaction_id: str, method: int = 1) -> None:
        with self._journal.lock:
            trade, now = self._by_id(transaction_id), int(self._journal.now())
            told = self._told_of(trade)
            self._record(
                trade,
                {
                    "confirmed_at": told.get("confirmed_at", now),
                    "method": told.get("method", method),
                    "settled_at": now,
                },
            )
            self._tell_settlement(trade)

    def remind(self, transaction_id: str) -> None:
        with self._journal.lock:
            trade = self._by_id(transaction_id)
            self._push("trade_manage_remind_shipping", self._named(trade) | {"msg": "请尽快发货"})

    def push(self, event: str, **fields: Any) -> None:
        self._push(event, fields)

    # --- inside

    def _apply(self, fact: Fact) -> None:
        self._told.setdefault(fact["transaction_id"], {}).update(fact["change"])

    def _record(self, trade: Fact, change: Fact) -> None:
        self._journal.record("shipping", transaction_id=trade["transaction_id"], change=change)

    def _told_of(self, trade: Fact) -> Fact:
        return self._told.get(trade["transaction_id"], {})

    def _by_id(self, transaction_id: str) -> Fact:
        return self._books.trades[self._books.named(transaction_id)]

    def _trade(self, key: Fact) -> Fact:
        kind = key.get("order_number_type")
        if kind not in {1, 2}:
            raise Errcode(268485194, "订单单号类型非法")
        if kind == 1 and key.get("mchid") != MCHID:
            raise Errcode(268485195, "商户号为空或非法")
        number = str(key.get("out_trade_no" if kind == 1 else "transaction_id") or "")
        if not number:
            raise Errcode(268485196 if kind == 1 else 268485197, "单号为空")
        trade = self._books.trades.get(number if kind == 1 else self._books.named(number), {})
        known_at = trade.get("paid_at", float("inf")) + self._ingest_seconds
        if known_at > self._journal.now() + 1:
            raise Errcode(10060001, "支付单不存在")
        return trade

    def _state(self, trade: Fact) -> int:
        told = self._told_of(trade)
        if trade["refunded_fen"] >= trade["paid_fen"]:
            return REFUNDED
        if "settled_at" in told:
            return DONE
        if "confirmed_at" in told:
            return CONFIRMED
        return SHIPPED if told.get("finish_shipping") else WAITING

    def _named(self, trade: Fact) -> Fact:
        return {
            "transaction_id": trade["transaction_id"],
            "merchant_id": MCHID,
            "sub_merchant_id": "",
            "merchant_trade_no": trade["asked"]["out_trade_no"],
            "pay_time": int(trade["paid_at"]),
        }

    def _view(self, trade: Fact) -> Fact:
        told = self._told_of(trade)
        names = ("delivery_mode", "logistics_type", "finish_shipping", "finish_shipping_count")
        shipping = {name: told[name] for name in names if name in told}
        return self._named(trade) | {
            "description": trade["asked"]["description"],
            "paid_amount": trade["paid_fen"],
            "openid": trade["asked"]["payer"]["openid"],
            "trade_create_time": int(trade["paid_at"]),
            "order_state": self._state(trade),
            "in_complaint": False,
            "shipping": shipping | {"shipping_list": told.get("shipping_list", [])},
        }

    def _tell_settlement(self, trade: Fact) -> None:
        told, said = self._told_of(trade), self._named(trade)
        shipped = told.get("shipped_time", int(self._journal.now()))
        said |= {"shipped_time": shipped}
        if "settled_at" in told:
            said["confirm_receive_method"] = told["method"]
            said["confirm_receive_time"] = told["confirmed_at"]
            said["settlement_time"] = told["settled_at"]
        else:
            said["estimated_settlement_time"] = shipped + SETTLES_AFTER
        self._push("trade_manage_order_settlement", said)

    def _push(self, event: str, fields: Fact) -> None:
        if self.shop_url:
            now = int(self._journal.now())
            self._queue.push(self._mail.event(event, now) | fields)

    def _deliver(self, due: Due, fault: Fault | None) -> bool | None:
        if not self.shop_url or not is_here(self.shop_url):
            return None
        kind = fault.kind if fault else ""
        if kind == "error_before":
            return False
        sent = [self._mail.post(self.shop_url, due.event, kind)]
        if kind == "duplicate":
            sent.append(self._mail.post(self.shop_url, due.event))
        tried = {"event": due.event["Event"], "attempt": due.attempt, "fault": kind}
        self.tried += [tried | {"status": status, "answer": said} for status, said in sent]
        taken = all(status == 200 and said in {"", "success"} for status, said in sent)
        return taken and kind != "error_after"


# --- what an upload must look like ----------------------------------------------------------------


def _child(asked: Fact, name: str) -> Fact:
    value = asked.get(name)
    return value if isinstance(value, dict) else {}


def _moment(text: object) -> float:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise Errcode(268485216, "上传时间非法，请检查后重试") from None
    if at.tzinfo is None:
        raise Errcode(268485216, "上传时间非法，请检查后重试")
    return at.timestamp()


def _checked(asked: Fact) -> list[Fact]:
    """The parcels of an upload that is well formed."""
    parcels, mode, kind = (
        asked.get(name) for name in ("shipping_list", "delivery_mode", "logistics_type")
    )
    if kind not in {EXPRESS, CITY, VIRTUAL, PICKUP}:
        raise Errcode(10060014, "参数错误: logistics_type")
    if mode not in {UNIFIED, SPLIT}:
        raise Errcode(268485224, "发货模式非法")
    if not isinstance(parcels, list) or not parcels or len(parcels) > MOST_PARCELS:
        raise Errcode(10060024, "物流信息列表数量非法")
    if mode == UNIFIED and len(parcels) != 1:
        raise Errcode(268485228, "统一发货模式下，物流信息列表长度必须为1")
    if mode == SPLIT and kind != EXPRESS:
        raise Errcode(10060006, "只有物流类型为快递时才能分拆发货")
    if mode == SPLIT and not isinstance(asked.get("is_all_delivered"), bool):
        raise Errcode(10060007, "分拆发货时必须填写 is_all_delivered")
    return [_parcel(parcel, kind) for parcel in parcels]


def _parcel(parcel: Fact, kind: int) -> Fact:
    text = parcel.get("item_desc")
    if not isinstance(text, str) or not text:
        raise Errcode(10060005, "商品信息为空")
    if len(text) > MOST_SIGNS:
        raise Errcode(10060025, "商品信息过长")
    return {"goods_desc": text, **(_by_carrier(parcel) if kind == EXPRESS else {})}


def _by_carrier(parcel: Fact) -> Fact:
    number, company = parcel.get("tracking_no"), parcel.get("express_company")
    if not number or not isinstance(number, str):
        raise Errcode(268485226, "物流单号为空")
    if not company:
        raise Errcode(268485227, "物流公司编码为空")
    if company not in COMPANY_NAMES:
        raise Errcode(10060014, "参数错误: express_company")
    contact = _child(parcel, "contact")
    known = [one for one in contact.values() if isinstance(one, str) and one[-4:].isdigit()]
    if company == "SF" and not known:
        raise Errcode(10060008, "顺丰须填写寄件人或收件人联系方式")
    if any("*" not in one for one in known):
        raise Errcode(10060009, "联系方式须采用掩码")
    return {"tracking_no": number, "express_company": company, "contact": contact}


def _merged(told: Fact, asked: Fact, parcels: list[Fact], at: float) -> Fact:
    """What is known after this upload; 10060023 where it says nothing new."""
    mode, is_split = asked["delivery_mode"], asked["delivery_mode"] == SPLIT
    is_all = asked["is_all_delivered"] if is_split else True
    was_finished = bool(told.get("finish_shipping"))
    if is_split and not was_finished and told.get("delivery_mode", SPLIT) == SPLIT:
        earlier = {one["tracking_no"]: one for one in told.get("shipping_list", [])}
        parcels = list({**earlier, **{one["tracking_no"]: one for one in parcels}}.values())
    facts = {
        "delivery_mode": mode,
        "logistics_type": asked["logistics_type"],
        "finish_shipping": is_all or was_finished,
        "shipping_list": parcels,
    }
    if all(told.get(name) == value for name, value in facts.items()):
        raise Errcode(10060023, "发货信息未更新")
    count = told.get("finish_shipping_count", 0) + (1 if is_all else 0)
    if was_finished and not is_all:
        count += 1  # another list, although all had been sent: the chance is used
    return {**facts, "finish_shipping_count": count, "uploaded_at": at}
