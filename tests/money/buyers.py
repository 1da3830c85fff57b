"""What buyers do: order, pay by any channel in any way, top up, withdraw, receive, give up."""

from django.utils.timezone import now
from hypothesis import strategies as st

from payments.alipay.models import AlipayTrade
from payments.cashier import queries as cashier_queries
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.receiving.models import TransferIntent
from payments.wallet import services as wallet
from payments.wallet import top_ups, withdrawals
from payments.wallet.models import Withdrawal
from shop.checkout.rules import Item
from shop.orders import holding
from shop.orders import services as orders
from shop.orders.models import Order
from shop.orders.rules import Wish
from tests.factories import HOME
from tests.money.stage import METHODS, Handed, Stage, latest, quietly, step, which, who
from tests.payments.transfers.bank import ACCOUNT

HOW_MUCH = {"exact": 0, "less": -30_00, "more": 25_00}  # fen beside what is outstanding
LINES = st.sampled_from([(1, 0), (0, 1), (1, 2)])
TRANSFERS_END = ["SUCCESS", "SUCCESS", "FAIL", "CANCELING"]


class Buyers(Stage):
    def settle_in(self) -> None:
        """Two wallets with money: nobody begins with nothing."""
        for b in (0, 1):
            self.top_up(b=b, yuan=900, method="WECHAT", is_paid=True)

    @step(
        24,
        b=who,
        m=st.integers(0, 1),
        lines=LINES,
        method=st.sampled_from(METHODS),
        thirds=st.sampled_from([0, 0, 1]),
    )
    def buy(self, b: int, m: int, lines: tuple[int, int], method: str, thirds: int) -> None:
        """An order that is paid as it should be: without it most orders would never be."""
        self.place(b, m, lines)
        self.open_payment(0, method, thirds)
        self._pay_latest()

    @step(1, b=who, m=st.integers(0, 1), lines=LINES)
    def place(self, b: int, m: int, lines: tuple[int, int]) -> None:
        items = [
            Item(sku.number, quantity)
            for sku, quantity in zip(self.skus[m], lines, strict=True)
            if quantity
        ]
        wish = Wish(buyer_id=self.buyers[b].pk, items=items, consignee=HOME)
        with quietly():
            orders.place_one(wish=wish, at=now())

    def _pay_latest(self) -> None:
        if payment := latest(Payment.objects.filter(status="WAITING"), 0):
            if payment.method == "BANK_TRANSFER":
                self.transfer(0, "exact")
            else:
                self.pay_on_the_phone(0)

    @step(7, n=which, method=st.sampled_from(METHODS), thirds=st.sampled_from([0, 0, 1]))
    def open_payment(self, n: int, method: str, thirds: int) -> None:
        """Perhaps a third of it from the wallet; the phone has what it needs, as the API gives."""
        if order := latest(Order.objects.all(), n):
            with quietly():
                payment = cashier.open_payment(
                    payer_id=order.buyer_id,
                    purpose="ORDER",
                    reference=order.number,
                    method=method,
                    wallet_fen=order.total_fen * thirds // 3,
                    at=now(),
                )
                self._prepare(payment)

    @step(2, n=which)
    def prepare_again(self, n: int) -> None:
        if payment := latest(Payment.objects.exclude(method__in=["BANK_TRANSFER", "WALLET"]), n):
            with quietly():
                self._prepare(payment)

    def _prepare(self, payment: Payment) -> None:
        if cashier.asks_channel(payment.method):
            cashier.prepare(payment=payment, at=now())
        self.hand(Payment.objects.get(pk=payment.pk))

    @step(12, n=which)
    def pay_on_the_phone(self, n: int) -> None:
        """With anything that it was ever given; the channel may not take it any more."""
        if not self.phones:
            return
        one = self.phones[-1 - n % min(6, len(self.phones))]
        payment = Payment.objects.get(pk=one.payment)
        if one.channel == "WECHAT":
            if payment.pay_before > now():  # WeChat's clock has not seen the time that passed
                self.out.try_("wechat-pay/pay", request_payment=one.given)
        elif one.channel == "ALIPAY_QR" or self.out.follow(one.given["pay_url"]):
            self._at_alipay(one, "pay")

    @step(3, n=which)
    def begin_at_alipay(self, n: int) -> None:
        """The code is scanned, the page is open, and the buyer thinks about it."""
        at_alipay = [one for one in self.phones if one.channel != "WECHAT"]
        if at_alipay:
            one = at_alipay[-1 - n % min(6, len(at_alipay))]
            if one.channel == "ALIPAY_QR" or self.out.follow(one.given["pay_url"]):
                self._at_alipay(one, "scan")

    def _at_alipay(self, one: Handed, deed: str) -> None:
        """Any of its numbers that is good still, by the time that we gave to Alipay with it."""
        trades = AlipayTrade.objects.filter(payment=one.payment, offered_until__gt=now())
        for number in trades.order_by("pk").values_list("out_trade_no", flat=True):
            self.out.try_(f"alipay/{deed}", out_trade_no=number)

    @step(8, n=which, how=st.sampled_from(["exact", "exact", "less", "more"]))
    def transfer(self, n: int, how: str) -> None:
        """To the account that was shown for a payment: it waits, is paid or closed by now."""
        payments = Payment.objects.filter(method="BANK_TRANSFER")
        if payment := latest(payments, n):
            fen = max(1, (payment.outstanding_fen or payment.amount_fen) + HOW_MUCH[how])
            intent = TransferIntent.objects.select_related("virtual_account").get(payment=payment)
            if intent.virtual_account:
                card = self.card_of(payment.payer_id)
                to = intent.virtual_account.number
                self.out.transfer(to, fen, payer_account=card, remark=intent.code)

    @step(1, b=who, yuan=st.sampled_from([40, 100, 300]))
    def transfer_without_a_word(self, b: int, yuan: int) -> None:
        self.out.transfer(ACCOUNT, yuan * 100, payer_account=self.cards[b])

    # --- their wallets

    @step(
        8,
        b=who,
        yuan=st.sampled_from([50, 200, 900]),
        method=st.sampled_from(METHODS[:4]),
        is_paid=st.sampled_from([True, True, False]),
    )
    def top_up(self, b: int, yuan: int, method: str, is_paid: bool) -> None:
        user = self.buyers[b]
        with quietly():
            payment = top_ups.open_top_up(
                user_id=user.pk,
                user_number=user.number,
                amount_fen=yuan * 100,
                method=method,
                at=now(),
            )
            self._prepare(payment)
            if is_paid:
                self._pay_latest()

    @step(5, b=who, yuan=st.sampled_from([20, 150, 1100]), to=st.sampled_from(["WECHAT", "BANK"]))
    def withdraw(self, b: int, yuan: int, to: str) -> None:
        user = self.buyers[b]
        with quietly():
            withdrawals.ask(
                user_id=user.pk,
                owner=user.number,
                amount_fen=yuan * 100,
                to=to,
                account_no=self.cards[b] if to == "BANK" else "",
                account_name="王小美",
                at=now(),
            )

    @step(3, n=which, state=st.sampled_from(TRANSFERS_END))
    def answer_a_transfer(self, n: int, state: str) -> None:
        """The payee confirms what WeChat offers him, or it comes to nothing."""
        if row := latest(Withdrawal.objects.filter(to="WECHAT", status="SENDING"), n):
            self.out.try_("wechat-pay/transfer", out_bill_no=row.number, state=state)

    @step(2, n=which)
    def take_owed_to_wallet(self, n: int) -> None:
        if refund := latest(Refund.objects.filter(status__in=["OWED", "FAILED"]), n):
            payer = refund.payment.payer
            owed = cashier_queries.owed_to(payer, refund.payment.number)
            if mine := owed.filter(pk=refund.pk).first():
                with quietly():
                    wallet.take_owed(refund=mine, owner=payer.number, at=now())

    @step(2, n=which)
    def have_owed_sent_back(self, n: int) -> None:
        if refund := latest(Refund.objects.filter(status="OWED"), n):
            with quietly():
                cashier.return_owed(refund=refund, actor=refund.payment.payer.number, at=now())

    # --- the end of an order

    @step(2, n=which)
    def cancel(self, n: int) -> None:
        """Closed at the channels first, and then asked about, as the API does."""
        if order := latest(Order.objects.all(), n):
            with quietly():
                orders.shut(order=order, at=now())
                orders.cancel(order=order, actor="", at=now())

    @step(6, n=which)
    def receive(self, n: int) -> None:
        if order := latest(Order.objects.filter(status="SHIPPED"), n):
            with quietly():
                holding.receive_one(order=order, actor="", at=now())

    @step(2, n=which, line=st.sampled_from([1, 2]))
    def receive_a_parcel(self, n: int, line: int) -> None:
        if order := latest(Order.objects.filter(status__in=["PAID", "SHIPPED"]), n):
            with quietly():
                holding.receive_one(order=order, lines=[line], actor="", at=now())
