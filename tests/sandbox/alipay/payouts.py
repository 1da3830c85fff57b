"""单笔转账 (alipay.fund.trans.uni.transfer): money from the seller to a person, once a number."""

import secrets
from typing import Any

from tests.sandbox.alipay import wire
from tests.sandbox.alipay.faults import Faults
from tests.sandbox.alipay.wire import Biz, Failed, Inner, bad, clock, yuan
from tests.sandbox.journal import Fact, Journal

TRANSFER, QUERY = "alipay.fund.trans.uni.transfer", "alipay.fund.trans.common.query"
LEAST_FEN = 10
NOBODY = "nobody"  # identities that begin so belong to nobody
ENDS = {
    "DEALING": {"SUCCESS", "FAIL", "REFUND"},
    "SUCCESS": {"REFUND"},
    "FAIL": set(),
    "REFUND": set(),
}


class Payouts:
    """State in memory; every payout and what became of it is a fact of the journal."""

    def __init__(self, journal: Journal, faults: Faults) -> None:
        self._journal = journal
        self._faults = faults
        self.clear()
        journal.on("alipay_payout", self._note)
        journal.on("alipay_payout_end", self._end)

    def clear(self) -> None:
        self.payouts: dict[str, Fact] = {}
        self.moves: list[tuple[int, int, Fact]] = []  # moment, signed fen, payout

    def transfer(self, biz: Biz, common: Biz) -> Inner:
        order = _order(biz)
        number = order["out_biz_no"]
        with self._journal.lock:
            done = self.payouts.get(number)
            if done is not None and done["order"] != order:
                raise Failed("PAYMENT_INFO_INCONSISTENCY", "两次请求商户单号一样，但是参数不一致")
            if done is None:
                self._check(order)
                status = (
                    "DEALING" if self._faults.take({"dealing"}, number, TRANSFER) else "SUCCESS"
                )
                self._record(order, status)
            done = self.payouts[number]
        return {
            "out_biz_no": number,
            "order_id": done["order_id"],
            "pay_fund_order_id": done["fund_order_id"],
            "status": done["status"],
            "trans_date": clock(done["at"]),
        }

    def query(self, biz: Biz, common: Biz) -> Inner:
        wanted = wire.word(biz, "order_id", required=False)
        number = wire.word(biz, "out_biz_no", required=not wanted)
        if number and not (biz.get("product_code") and biz.get("biz_scene")):
            raise Failed("INVALID_PARAMETER", "传out_biz_no时product_code和biz_scene必传")
        done = self.payouts.get(number)
        if wanted:
            same = (one for one in self.payouts.values() if one["order_id"] == wanted)
            done = next(same, None)
        if done is None:
            raise Failed("ORDER_NOT_EXIST", "转账订单不存在")
        said: Inner = {
            "out_biz_no": done["order"]["out_biz_no"],
            "order_id": done["order_id"],
            "pay_fund_order_id": done["fund_order_id"],
            "trans_amount": yuan(done["order"]["amount_fen"]),
            "order_fee": "0.00",
            "status": done["status"],
        }
        if done["status"] == "SUCCESS":
            said["pay_date"] = clock(done["at"])
        if done["status"] in {"FAIL", "REFUND"}:
            said |= {"error_code": "PAYEE_ACC_OCUPIED", "fail_reason": "收款账户异常"}
        return said

    def settle(self, out_biz_no: str, status: str) -> None:
        """What becomes of a payout: DEALING ends as any, SUCCESS may still come back as REFUND."""
        with self._journal.lock:
            before = self.payouts[out_biz_no]["status"]
            if status not in ENDS[before]:
                raise ValueError(f"{before} may become {sorted(ENDS[before])}")
            at = int(self._journal.now())
            self._journal.record("alipay_payout_end", out_biz_no=out_biz_no, status=status, at=at)

    def _check(self, order: dict[str, Any]) -> None:
        if self._faults.take({"no_balance"}, order["out_biz_no"], TRANSFER):
            raise Failed("PAYER_BALANCE_NOT_ENOUGH", "付款方余额不足")
        if order["amount_fen"] < LEAST_FEN:
            raise Failed("EXCEED_LIMIT_SM_MIN_AMOUNT", "转账金额不能低于0.1元")
        if order["identity"].startswith(NOBODY):
            raise Failed("PAYEE_NOT_EXIST", "收款账号不存在")

    def _record(self, order: dict[str, Any], status: str) -> None:
        at = int(self._journal.now())
        day = clock(at)[:10].replace("-", "")
        self._journal.record(
            "alipay_payout",
            order=order,
            status=status,
            at=at,
            order_id=f"{day}0007{secrets.randbelow(10**16):016d}",
            fund_order_id=f"{day}2000{secrets.randbelow(10**16):016d}",
        )

    def _note(self, fact: Fact) -> None:
        self.payouts[fact["order"]["out_biz_no"]] = fact
        if fact["status"] == "SUCCESS":
            self.moves.append((fact["at"], -fact["order"]["amount_fen"], fact))

    def _end(self, fact: Fact) -> None:
        payout = self.payouts[fact["out_biz_no"]]
        amount, came_back = payout["order"]["amount_fen"], payout["status"] == "SUCCESS"
        payout["status"] = fact["status"]
        if fact["status"] == "SUCCESS" or came_back:
            self.moves.append((fact["at"], amount if came_back else -amount, payout))


def _order(biz: Biz) -> dict[str, Any]:
    for name, value in (
        ("product_code", "TRANS_ACCOUNT_NO_PWD"),
        ("biz_scene", "DIRECT_TRANSFER"),
    ):
        if biz.get(name) != value:
            raise Failed("INVALID_PARAMETER", f"参数有误：{name}")
    payee = biz.get("payee_info")
    if not isinstance(payee, dict):
        raise bad("payee_info")
    by = wire.word(payee, "identity_type")
    if by not in {"ALIPAY_USER_ID", "ALIPAY_LOGON_ID", "ALIPAY_OPEN_ID"}:
        raise bad("identity_type")
    return {
        "out_biz_no": wire.number(biz, "out_biz_no"),
        "amount_fen": wire.fen(biz, "trans_amount"),
        "identity_type": by,
        "identity": wire.word(payee, "identity"),
        "name": wire.word(payee, "name", 128, required=by == "ALIPAY_LOGON_ID"),
        "title": wire.word(biz, "order_title", 128, required=False),
        "remark": wire.word(biz, "remark", 200, required=False),
    }
