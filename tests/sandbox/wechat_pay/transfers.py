"""商家转账: money to a person, who has to confirm it within 24 hours.

https://pay.weixin.qq.com/doc/v3/merchant/4012716434
"""

import re
import secrets
from typing import Any

from tests.sandbox.journal import Fact
from tests.sandbox.web import Answer, Refused, Request, answer
from tests.sandbox.wechat_pay import fields
from tests.sandbox.wechat_pay.books import rfc3339
from tests.sandbox.wechat_pay.desk import SETTLES_SECONDS, Desk
from tests.sandbox.wechat_pay.keys import MCHID

NAMED_FROM_FEN = 200_000  # from here on the payee's name must be given
NAMED_TO_FEN = 30  # and below this it must not
CONFIRM_SECONDS = 86_400
ENDS = {"SUCCESS", "FAIL", "CANCELLED"}
EDGES = {
    "ACCEPTED": {"PROCESSING", "WAIT_USER_CONFIRM", "FAIL", "CANCELING"},
    "PROCESSING": {"WAIT_USER_CONFIRM", "FAIL", "CANCELING"},
    "WAIT_USER_CONFIRM": {"PROCESSING", "TRANSFERING", "SUCCESS", "FAIL", "CANCELING"},
    "TRANSFERING": {"SUCCESS", "FAIL"},
    "CANCELING": {"CANCELLED"},
}
SCENE = re.compile(r"[0-9]{4}")


class Transfers:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._books = desk.books

    # --- the protocol

    def transfer(self, request: Request) -> Answer:
        """The same out_bill_no is the same transfer; a new one would be paid again."""
        asked = fields.whole(request)
        named = request.headers.get("Wechatpay-Serial", "")
        order = self._check(asked, named)
        out_no = order["out_bill_no"]
        with self._books.lock:
            self.expire()
            known = self._books.transfers.get(out_no)
            if known is None:
                known = self._accept(order)
            elif known["order"] != order:
                raise Refused(400, "INVALID_REQUEST", "商户单号已存在，请求参数与原单不一致")
            return answer(_begun(known))

    def query(self, request: Request, out_no: str) -> Answer:
        with self._books.lock:
            self.expire()
            return answer(self._view(self._known(out_no)))

    def query_by_id(self, request: Request, transfer_bill_no: str) -> Answer:
        return self.query(request, self._books.named(transfer_bill_no))

    def cancel(self, request: Request, out_no: str) -> Answer:
        with self._books.lock:
            self.expire()
            transfer = self._known(out_no)
            if transfer["state"] not in {"CANCELING", "CANCELLED"}:
                self._move(transfer, "CANCELING")
                self.end_later(transfer)
            names = ("out_bill_no", "transfer_bill_no", "state", "update_time")
            said = self._view(transfer)
            return answer({name: said[name] for name in names})

    # --- how it ends

    def end(self, out_bill_no: str, state: str, fail_reason: str = "") -> None:
        """What the payee or WeChat Pay decides, said by the control."""
        with self._books.lock:
            self.expire()
            self._move(self._known(out_bill_no), state, fail_reason or "PAYEE_ACCOUNT_ABNORMAL")

    def settle(self, out_no: str) -> None:
        with self._books.lock:
            transfer = self._books.transfers.get(out_no, {})
            if transfer.get("state") == "CANCELING":
                self._move(transfer, "CANCELLED")

    def end_later(self, transfer: Fact) -> None:
        if transfer["state"] == "CANCELING":
            number = transfer["order"]["out_bill_no"]
            self._desk.later.push({"transfer": number}, after=SETTLES_SECONDS)

    def expire(self) -> None:
        """What nobody confirmed fails, once somebody looks: with a lag, as in the real world."""
        with self._books.lock:
            limit = self._books.now() - CONFIRM_SECONDS
            for transfer in self.waiting():
                if transfer["created_at"] <= limit:
                    self._move(transfer, "FAIL", "OVERDUE_CLOSE")

    def waiting(self) -> list[Fact]:
        """What a payee can confirm."""
        transfers = self._books.transfers.values()
        return [one for one in transfers if one["state"] == "WAIT_USER_CONFIRM"]

    def shown(self) -> list[Fact]:
        return [self._view(transfer) for transfer in self._books.transfers.values()]

    # --- inside, under the lock

    def _check(self, asked: dict[str, Any], named: str) -> Fact:
        """The order in plain text: the same name is sealed anew by each request."""
        if fields.text(asked, "appid", 32) != self._desk.appid:
            raise Refused(400, "INVALID_REQUEST", "商户号与appid不匹配")
        fields.number(asked, "out_bill_no", fields.BILL_NO)
        fields.number(asked, "transfer_scene_id", SCENE)
        fields.text(asked, "openid", 64)
        fields.text(asked, "transfer_remark", 32)
        fields.text(asked, "user_recv_perception", 32, required=False)
        fields.notify_url(asked, required=False)
        _check_reports(asked.get("transfer_scene_report_infos"))
        fen = fields.fen(asked, "transfer_amount")
        sealed = fields.text(asked, "user_name", 1_024, required=False)
        if fen >= NAMED_FROM_FEN and not sealed:
            raise Refused(400, "INVALID_REQUEST", "转账金额大于等于2000元时，收款用户姓名必填")
        if fen < NAMED_TO_FEN and sealed:
            raise Refused(400, "INVALID_REQUEST", "转账金额小于0.3元时，不允许填写收款用户姓名")
        name = self._desk.platform.decrypt(sealed, named) if sealed else ""
        return asked | {"user_name": name}

    def _accept(self, order: Fact) -> Fact:
        held = sum(
            one["order"]["transfer_amount"]
            for one in self._books.transfers.values()
            if one["state"] not in ENDS
        )
        if self._books.balances["OPERATION"] - held < order["transfer_amount"]:
            raise Refused(403, "NOT_ENOUGH", "运营账户余额不足")
        now = self._books.now()
        row = {
            "order": order,
            "transfer_bill_no": self._books.fresh("133000", 32),
            "state": "WAIT_USER_CONFIRM",
            "package_info": secrets.token_urlsafe(72),
            "fail_reason": "",
            "created_at": now,
            "updated_at": now,
        }
        self._books.record(transfers={order["out_bill_no"]: row})
        return self._books.transfers[order["out_bill_no"]]

    def _known(self, out_no: str) -> Fact:
        transfer = self._books.transfers.get(out_no)
        if transfer is None:
            raise Refused(404, "NOT_FOUND", "记录不存在")
        return transfer

    def _move(self, transfer: Fact, state: str, fail_reason: str = "") -> None:
        was, order = transfer["state"], transfer["order"]
        if state not in EDGES.get(was, set()):
            raise Refused(400, "INVALID_REQUEST", f"当前单据状态为{was}，不可变为{state}")
        change = {"state": state, "updated_at": self._books.now()}
        if state == "FAIL":
            change["fail_reason"] = fail_reason
        flows, events = [], []
        if state == "SUCCESS":
            flow = self._books.flow(
                "OPERATION",
                -order["transfer_amount"],
                business_no=transfer["transfer_bill_no"],
                name="商家转账",
                type="商家转账",
                note=order["transfer_remark"],
                voucher=order["out_bill_no"],
            )
            flows.append(flow)
        if state in ENDS:
            said = self._told(transfer | change)
            url = order.get("notify_url", "")
            events = self._desk.notices.made("MCHTRANSFER.BILL.FINISHED", url, said)
        self._books.record(transfers={order["out_bill_no"]: change}, flows=flows, events=events)

    def _view(self, transfer: Fact) -> Fact:
        order = transfer["order"]
        said = {
            "mch_id": MCHID,
            "out_bill_no": order["out_bill_no"],
            "transfer_bill_no": transfer["transfer_bill_no"],
            "appid": order["appid"],
            "state": transfer["state"],
            "transfer_amount": order["transfer_amount"],
            "transfer_remark": order["transfer_remark"],
            "openid": order["openid"],
            "create_time": rfc3339(transfer["created_at"]),
            "update_time": rfc3339(transfer["updated_at"]),
        }
        if transfer["fail_reason"]:
            said["fail_reason"] = transfer["fail_reason"]
        if order["user_name"]:
            said["user_name"] = self._desk.merchant.encrypt(order["user_name"])
        return said

    def _told(self, transfer: Fact) -> Fact:
        names = {"appid", "transfer_remark", "user_name"}
        return {name: said for name, said in self._view(transfer).items() if name not in names}


def _begun(transfer: Fact) -> Fact:
    said = {
        "out_bill_no": transfer["order"]["out_bill_no"],
        "transfer_bill_no": transfer["transfer_bill_no"],
        "create_time": rfc3339(transfer["created_at"]),
        "state": transfer["state"],
    }
    if transfer["state"] == "WAIT_USER_CONFIRM":
        said["package_info"] = transfer["package_info"]
    return said


def _check_reports(reports: object) -> None:
    if not isinstance(reports, list) or not reports:
        raise fields.BadField("transfer_scene_report_infos", "须按转账场景填写报备信息", reports)
    for report in reports:
        if not isinstance(report, dict):
            raise fields.BadField("transfer_scene_report_infos", "应为对象的列表", report)
        fields.text(report, "info_type", 15)
        fields.text(report, "info_content", 32)
