"""What the world does: letters come, twice or late or never; banks take money back; time passes."""

from datetime import timedelta

from celery import Task
from django.utils.timezone import now
from hypothesis import strategies as st

from payments.alipay import tasks as alipay_tasks
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import RefundPart
from payments.payouts import tasks as payout_tasks
from payments.payouts.models import Payout
from payments.receiving import tasks as receiving_tasks
from payments.transfers import tasks as transfer_tasks
from payments.transfers.models import LineReturn
from payments.wallet import tasks as wallet_tasks
from payments.wallet.models import Withdrawal
from payments.wechat_pay import tasks as wechat_tasks
from shop.fulfilment import tasks as fulfilment_tasks
from shop.orders import tasks as order_tasks
from shop.wechat_shipping import services as shipping
from tests.money.outside import signed
from tests.money.stage import Stage, step, which
from tests.payments.transfers.bank import ACCOUNT

_JOBS: list[Task] = [
    cashier_tasks.send_refunds,
    cashier_tasks.close_paid_elsewhere,
    transfer_tasks.send_returns,
    transfer_tasks.settle_reversals,
    payout_tasks.send_payouts,
    payout_tasks.pay_all,
    payout_tasks.square_debts,
    wechat_tasks.ask_open,
    alipay_tasks.ask_open,
    wallet_tasks.expire_top_ups,
    wallet_tasks.send_withdrawals,
    order_tasks.expire_unpaid,
    order_tasks.finish_received,
    fulfilment_tasks.receive_overdue,
    receiving_tasks.go_round,
    receiving_tasks.tell_limits,
    receiving_tasks.take_codes_back,
]
JOBS = {job.name: job for job in _JOBS}
BY_BANK = ["error_before", "error_after", "reset", "bad_signature", "garbage"]
BY_WECHAT = [
    *("error_before", "error_after", "reset", "garbage", "answer_bad_signature"),
    *("userpaying", "paid_during_close", "abnormal_refund"),
]
BY_ALIPAY = [
    *("error_before", "error_after", "reset_after", "unknown_before", "unknown_after"),
    *("system_error", "answer_bad_signature", "not_closable", "paid_during_close"),
    *("no_fund_change", "no_balance"),
]
NOTICES = ["double", "double_new_id", "wrong_amount", "unknown_order", "bad_signature"]
SOON, SHORT = timedelta(seconds=40), timedelta(minutes=21)
TIMES = [SOON, SOON, SHORT, timedelta(hours=25), timedelta(hours=80), timedelta(days=11)]


class World(Stage):
    # --- letters

    @step(14, n=which)
    def tell(self, n: int) -> None:
        """One that came, whichever: they overtake each other."""
        if self.out.letters:
            self.out.read(self.out.letters[n % len(self.out.letters)])

    @step(8)
    def tell_all(self) -> None:
        for letter in list(self.out.letters):
            self.out.read(letter)

    @step(1, n=which)
    def tell_again(self, n: int) -> None:
        if self.out.known:
            self.out.hand_over(self.out.known[-1 - n % len(self.out.known)])

    @step(2, n=which)
    def lose(self, n: int) -> None:
        """A notice never comes; the bank's pushes do, for it has no other way to tell us here."""
        notices = [one for one in self.out.letters if one.of != "BANK"]
        if notices:
            self.out.letters.remove(notices[n % len(notices)])

    # --- misfortunes

    @step(2, kind=st.sampled_from(BY_BANK))
    def bank_trouble(self, kind: str) -> None:
        self.out.sandbox.faults("/bank/payouts", kind)

    @step(2, kind=st.sampled_from(BY_WECHAT))
    def wechat_trouble(self, kind: str) -> None:
        self.out.switch_wechat(kind)

    @step(2, kind=st.sampled_from(BY_ALIPAY))
    def alipay_trouble(self, kind: str) -> None:
        self.out.switch_alipay(kind)

    @step(1, kind=st.sampled_from(NOTICES))
    def notice_trouble(self, kind: str) -> None:
        self.out.switch_wechat(kind)
        if kind != "double_new_id":
            self.out.switch_alipay(kind)

    # --- what banks and channels do by themselves

    @step(3, n=which)
    def reverse(self, n: int) -> None:
        """冲正, of a credit; told before or after what it takes back."""
        gone = {one["reverses"] for one in self.out.bookings}
        credits = [
            one
            for one in self.out.bookings
            if one["direction"] == "C" and one["serial"] not in gone and not one["reverses"]
            and "退汇" not in one["remark"]
        ]  # fmt: skip
        if credits:
            self.out.try_("reverse", serial=credits[-1 - n % len(credits)]["serial"])

    @step(2, n=which)
    def bounce(self, n: int) -> None:
        """退汇: what had left comes back as a new credit, with our number in the remark."""
        back = {one["remark"].rpartition(" ")[2] for one in self.out.bookings if signed(one) > 0}
        parts = RefundPart.objects.filter(status="DONE", receipt__method="BANK_TRANSFER")
        lines, payouts = (model.objects.filter(status="DONE") for model in (LineReturn, Payout))
        withdrawn = Withdrawal.objects.filter(status="DONE", to="BANK")
        ours = [
            *parts.order_by("pk").values_list("number", "channel_txn"),
            *lines.order_by("pk").values_list("number", "serial"),
            *payouts.order_by("pk").values_list("number", "serial"),
            *withdrawn.order_by("pk").values_list("number", "channel_no"),
        ]
        by_serial = {one["serial"]: one for one in self.out.bookings}
        open_ = [(number, by_serial[txn]) for number, txn in ours
                 if txn in by_serial and number not in back]  # fmt: skip
        if open_:
            number, booking = open_[n % len(open_)]
            self.out.transfer(
                ACCOUNT,
                booking["amount_fen"],
                payer_account=booking["payer_account"],
                remark=f"退汇 {number}",
            )

    @step(4, n=which, is_good=st.sampled_from([True, True, True, False]))
    def end_a_refund(self, n: int, is_good: bool) -> None:
        """WeChat has done what it accepted; or the payer's card is gone, and a person must act."""
        going = self.out.refunds_going()
        if going:
            state = "SUCCESS" if is_good else "ABNORMAL"
            number = going[n % len(going)]
            self.out.try_("wechat-pay/refund", out_refund_no=number, state=state)

    # --- time, and what it brings about

    @step(8, by=st.sampled_from(TIMES))
    def time_passes(self, by: timedelta) -> None:
        shipping.discover(at=now())  # every ten seconds; the audit misses it after an hour
        self.out.pass_time(by)

    @step(14, job=st.sampled_from(sorted(JOBS)))
    def run(self, job: str) -> None:
        """Any of the schedule, in any order, twice."""
        JOBS[job]()

    @step(8)
    def run_all(self) -> None:
        for job in JOBS.values():
            job()
