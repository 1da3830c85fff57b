"""What to order of WeChat Pay's misfortunes; each works `times` times and is then gone.

The notice of an event (`on`: its event_type, all without)
  drop              never sent; only a query or the bill will tell
  double            twice, one after the other, the same id
  double_at_once    twice at the same moment, the same id
  double_new_id     twice, the second with an id of its own
  late              `seconds` later
  out_of_order      after the next notice
  wrong_amount      one fen more than was paid, refunded or transferred
  wrong_mchid       of another merchant
  wrong_appid       of another app
  wrong_currency    USD
  unknown_order     of a number that the shop never gave
  bad_signature     signed over other bytes
  signtest          a probe with WECHATPAY/SIGNTEST/ comes first, then the notice
  old_timestamp     signed an hour ago
  other_key         signed by a key that nobody knows
  other_regime      signed by the other of the two good keys: to be accepted

An answer (`on`: the path, a * at the end for all that begin so; every /v3/ path without)
  error_before      503, nothing done            error_after   done, but the answer is a 500
  reset             done, but the connection breaks
  slow              done, answered `seconds` later
  garbage           done, but the answer is half a JSON and unsigned
  answer_bad_signature · answer_signtest · answer_old_timestamp · answer_other_key

What happens to the money
  abnormal_refund   the next refund ends ABNORMAL      closed_refund   … CLOSED
  held_refund       … stays PROCESSING until the control says
  fees_apart        the fee of the next payment is taken out of the account FEES
  userpaying        closing finds the buyer at the password: 202 USERPAYING
  paid_during_close the buyer pays just before the close: ORDERPAID, and the notice comes
  spending_close    closing a number never asked for answers 204 and spends it: a prepay of it is
                    then refused as a changed one (seen by others in 2026; without: 404)
"""

from typing import Any

from tests.sandbox.faults import Fault, Faults

NOTICE = {
    *("drop", "double", "double_at_once", "double_new_id", "late", "out_of_order"),
    *("wrong_amount", "wrong_mchid", "wrong_appid", "wrong_currency", "unknown_order"),
    *("bad_signature", "signtest", "old_timestamp", "other_key", "other_regime"),
}
WIRE = {"error_before", "error_after", "reset", "slow", "garbage"}
ANSWER = "answer_"
FLAWS = {"bad_signature", "signtest", "old_timestamp", "other_key"}
DEED = {
    *("abnormal_refund", "closed_refund", "held_refund"),
    *("fees_apart", "userpaying", "paid_during_close", "spending_close"),
}
# What the queue calls them.
QUEUE = {"late": "slow"}


class Switches:
    """Those of the wire are the world's own faults, kept with them."""

    def __init__(self, world: Faults) -> None:
        self._world = world
        self._own = Faults()

    def order(self, kind: str, times: int = 1, seconds: float = 2.0, on: str = "") -> None:
        """Raises ValueError for a kind that there is not."""
        more: dict[str, Any] = {"times": times, "seconds": seconds}
        if kind in WIRE:
            self._world.order(Fault(on or "/v3/*", kind, **more))
        elif kind in NOTICE:
            self._own.order(Fault(f"notice/{on or '*'}", QUEUE.get(kind, kind), **more))
        elif kind in DEED:
            self._own.order(Fault(f"deed/{kind}", kind, **more))
        elif kind.removeprefix(ANSWER) in FLAWS and kind.startswith(ANSWER):
            self._own.order(Fault(on or "/v3/*", kind, **more))
        else:
            raise ValueError(f"no such switch: {kind}")

    def notice(self, event_type: str) -> Fault | None:
        return self._own.take(f"notice/{event_type}")

    def answer(self, path: str) -> str:
        """How the signature of this answer is spoilt; "" for not at all."""
        fault = self._own.take(path)
        return fault.kind.removeprefix(ANSWER) if fault else ""

    def deed(self, kind: str) -> bool:
        return self._own.take(f"deed/{kind}") is not None

    def clear(self) -> None:
        self._own.clear()
