"""What staff do: ship, match by hand and undo, give back, check each other, pay merchants out."""

from django.utils.timezone import now
from hypothesis import strategies as st

from payments.cashier import refunds
from payments.cashier.models import Payment, Refund
from payments.deposits import services as deposits
from payments.deposits.models import DepositMove
from payments.payouts import bounces as payout_bounces
from payments.payouts import services as payouts
from payments.payouts.models import Payout
from payments.transfers import bounces, desk, queries, returns
from payments.transfers.models import LineReturn, StatementLine
from payments.wallet import withdrawals
from payments.wallet.models import Withdrawal
from payments.wechat_pay import giving_back
from payments.wechat_pay.models import WeChatRefund
from shop.fulfilment import services as fulfilment
from shop.orders import clock, freezing
from shop.orders.models import Order
from tests.money.stage import CLERK, OTHER, Stage, latest, quietly, step, which

LINES = StatementLine.objects.select_related("receiving_account")
SHOPS = st.integers(0, 1)


class Staff(Stage):
    # --- orders

    @step(12, n=which, is_whole=st.booleans(), no_logistics=st.booleans())
    def ship(self, n: int, is_whole: bool, no_logistics: bool) -> None:
        if order := latest(Order.objects.filter(status="PAID"), n):
            with quietly():
                fulfilment.ship(
                    order=order,
                    lines=None if is_whole else [1],
                    carrier="" if no_logistics else "顺丰速运",
                    tracking_no="" if no_logistics else "SF1234567890",
                    no_logistics=no_logistics,
                    evidence="",
                    actor="",
                    at=now(),
                )

    @step(1, n=which, is_over=st.booleans())
    def open_or_close_a_case(self, n: int, is_over: bool) -> None:
        if order := latest(Order.objects.filter(status__in=["SHIPPED", "RECEIVED"]), n):
            does = clock.resume if is_over else clock.stop
            does(order_ids=[order.pk], why="CASE", at=now())

    @step(2, n=which)
    def unfreeze(self, n: int) -> None:
        if order := latest(Order.objects.frozen(), n):
            with quietly():
                freezing.unfreeze(order=order, reason="商家承担", actor=CLERK, at=now())

    # --- bank lines

    @step(3, n=which, m=which, thirds=st.sampled_from([1, 3]))
    def assign(self, n: int, m: int, thirds: int) -> None:
        """What waits, or a third of it, is for a payment of the one who sent it."""
        waiting = LINES.filter(verdict__in=["UNMATCHED", "RETURNING"], amount_fen__gt=0)
        if not (line := latest(waiting, n)) or line.payer_account not in self.cards:
            return
        payer = self.buyers[self.cards.index(line.payer_account)]
        fen = queries.left_fen(line) * thirds // 3
        if (payment := latest(Payment.objects.filter(payer=payer), m)) and fen > 0:
            shares, everything = {payment.number: fen}, Payment.objects.all()
            with quietly():
                desk.assign(line=line, shares=shares, payments=everything, actor=CLERK, at=now())

    @step(2, n=which)
    def undo(self, n: int) -> None:
        if line := latest(LINES.filter(amount_fen__gt=0), n):
            with quietly():
                desk.undo(line=line, actor=CLERK, at=now())

    @step(1, n=which)
    def ignore(self, n: int) -> None:
        if line := latest(LINES.filter(verdict="UNMATCHED"), n):
            with quietly():
                desk.ignore(line=line, reason="不是货款", actor=CLERK, at=now())

    @step(2, n=which, halves=st.sampled_from([1, 2]))
    def give_a_line_back(self, n: int, halves: int) -> None:
        if line := latest(LINES.filter(verdict="UNMATCHED"), n):
            fen = queries.left_fen(line) * halves // 2
            with quietly():
                returns.give_back(line=line, amount_fen=fen, actor=CLERK, at=now())

    @step(2, n=which, approve=st.booleans())
    def check_a_return(self, n: int, approve: bool) -> None:
        if asked := latest(LineReturn.objects.filter(status="ASKED"), n):
            with quietly():
                returns.check(asked=asked, approve=approve, actor=OTHER, at=now())

    @step(3, n=which)
    def say_what_bounced(self, n: int) -> None:
        """A payout has come back: which it was, a person reads in the remark."""
        conflicts = LINES.filter(verdict="CONFLICT").order_by("pk")
        waiting = [one for one in conflicts if queries.is_waiting_bounce(one)]
        if not waiting:
            return
        line = waiting[n % len(waiting)]
        number = line.remark.rpartition(" ")[2].partition("-")[0]  # of the refund, not its part
        said = {"reason": "附言有单号", "actor": CLERK, "at": now(), "fee_fen": 0}
        with quietly():
            if payout := Payout.objects.filter(number=number).first():
                payout_bounces.link(payout=payout, line=line, **said)
                return
            bounces.link(
                line=line,
                payout=number,
                returned=LineReturn.objects.all(),
                refunded=Refund.objects.all(),
                withdrawn=Withdrawal.objects.all(),
                **said,
            )

    # --- giving back, and out

    @step(4, n=which)
    def approve_a_refund(self, n: int) -> None:
        if refund := latest(Refund.objects.filter(status__in=["OWED", "FAILED"]), n):
            for person in (CLERK, OTHER):  # above the limit the second one is needed
                with quietly():
                    refunds.approve(refund=refund, actor=person, at=now())

    @step(2, n=which)
    def send_to_a_card(self, n: int) -> None:
        """The account that paid is gone: WeChat asks for another card of the buyer's."""
        if refund := latest(WeChatRefund.objects.filter(status="ABNORMAL"), n):
            with quietly():
                self.to_card(refund)

    def to_card(self, refund: WeChatRefund) -> None:
        card = {"bank_type": "ICBC_DEBIT", "card_no": "6222020200112233", "name": "王小美"}
        giving_back.to_card(refund=refund, at=now(), **card)

    @step(2, n=which, approve=st.booleans())
    def check_a_withdrawal(self, n: int, approve: bool) -> None:
        if asked := latest(Withdrawal.objects.filter(status="CHECKING"), n):
            with quietly():
                if approve:
                    withdrawals.approve(withdrawal=asked, actor=CLERK, at=now())
                else:
                    withdrawals.decline(withdrawal=asked, actor=CLERK, reason="可疑", at=now())

    @step(4, m=SHOPS, yuan=st.sampled_from([1, 60, 150]))
    def pay_out(self, m: int, yuan: int) -> None:
        with quietly():
            number = self.merchants[m].number
            payouts.request(merchant=number, amount_fen=yuan * 100, actor=CLERK, at=now())

    @step(2, n=which, approve=st.booleans())
    def check_a_payout(self, n: int, approve: bool) -> None:
        if payout := latest(Payout.objects.filter(status="ASKED"), n):
            with quietly():
                payouts.check(payout=payout, approve=approve, actor=OTHER, at=now())

    @step(2, m=SHOPS, act=st.sampled_from(["top_up", "punish", "ask_back"]))
    def deposit(self, m: int, act: str) -> None:
        said = {"merchant": self.merchants[m].number, "amount_fen": 20_00, "actor": CLERK}
        if act != "top_up":
            said["reason"] = "售假"
        if act == "punish":
            said["evidence"] = "订单 D1 的鉴定书"
        with quietly():
            getattr(deposits, act)(**said, at=now())

    @step(2, n=which, approve=st.booleans())
    def check_a_deposit(self, n: int, approve: bool) -> None:
        if asked := latest(DepositMove.objects.filter(status="ASKED"), n):
            with quietly():
                deposits.check(asked=asked, approve=approve, actor=OTHER, at=now())
