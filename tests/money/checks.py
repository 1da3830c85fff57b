"""What must be true after each step, and what must be true when nothing is under way any more."""

from collections import Counter, defaultdict
from typing import Any

from django.db import connection
from django.db.models import Sum

from members.guides.models import Guide
from payments.alipay.models import AlipayTrade
from payments.cashier.models import Payment, Receipt, Refund, RefundPart
from payments.deposits.models import DepositMove
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.payouts.models import Payout
from payments.transfers import queries as transfers
from payments.transfers.models import LineReturn, StatementLine
from payments.wallet.models import TopUp, Withdrawal
from payments.wallet.rules import wallet_of, withdrawing_of
from payments.wechat_pay.models import WeChatTrade
from shop.orders.models import HeldLine, Order
from tests.money.outside import Heard, signed
from tests.money.stage import ON_HAND, Stage
from tests.payments.transfers.bank import ACCOUNT

# A merchant's own, with the side on which it makes him richer.
OWN = ("held:{}", "merchant:{}:available", "paying_out:{}", "deposit:{}", "deposit_frozen:{}")

Said = defaultdict[str, dict[str, int]]
_OURS = """
SELECT 'wechat paid', out_trade_no, amount_fen FROM payments_wechattrade WHERE status = 'PAID'
UNION ALL SELECT 'alipay paid', out_trade_no, amount_fen FROM payments_alipaytrade
    WHERE status = 'PAID'
UNION ALL SELECT 'trade', out_trade_no, amount_fen FROM payments_wechattrade
UNION ALL SELECT 'trade', out_trade_no, amount_fen FROM payments_alipaytrade
UNION ALL SELECT CASE r.method WHEN 'WECHAT' THEN 'wechat back' WHEN 'BANK_TRANSFER' THEN 'bank out'
        WHEN 'WALLET' THEN 'inside' ELSE 'alipay back' END,
        CASE r.method WHEN 'BANK_TRANSFER' THEN p.channel_txn ELSE p.number END, p.amount_fen
    FROM payments_refundpart p JOIN payments_receipt r ON r.id = p.receipt_id
    WHERE p.status = 'DONE' AND (r.method <> 'BANK_TRANSFER' OR p.channel_txn <> p.number)
UNION ALL SELECT 'wechat out', number, amount_fen FROM payments_withdrawal
    WHERE status = 'DONE' AND "to" = 'WECHAT'
UNION ALL SELECT 'bank out', channel_no, amount_fen FROM payments_withdrawal
    WHERE status = 'DONE' AND "to" = 'BANK'
UNION ALL SELECT 'bank out', serial, amount_fen FROM payments_linereturn WHERE status = 'DONE'
UNION ALL SELECT 'bank out', serial, amount_fen FROM payments_payout WHERE status = 'DONE'
UNION ALL SELECT 'asked', number, amount_fen FROM payments_refundpart
UNION ALL SELECT 'asked', number, amount_fen FROM payments_linereturn
UNION ALL SELECT 'asked', number, amount_fen FROM payments_payout
UNION ALL SELECT 'asked', number, amount_fen FROM payments_withdrawal
"""
# Pieces that are neither here nor sent; orders that go on without their money; lines overspent.
_STRANGE = """
SELECT 'stock', s.sku_id::text FROM shop_stock s
    WHERE s.on_hand + coalesce((SELECT sum(quantity) FROM shop_orderline l
        WHERE l.sku_id = s.sku_id AND l.is_shipped), 0) <> %(on_hand)s
UNION ALL SELECT 'unpaid', o.number FROM shop_order o
    WHERE o.status IN ('PAID', 'SHIPPED', 'RECEIVED') AND o.frozen_at IS NULL
      AND NOT EXISTS (SELECT FROM payments_payment p WHERE p.purpose = 'ORDER'
          AND p.reference = o.number AND p.status = 'CONFIRMED')
UNION ALL SELECT 'line', number FROM payments_statementline
    WHERE amount_fen > 0 AND allocated_fen + returned_fen + set_aside_fen > amount_fen
"""


class Checks(Stage):
    # --- after each step

    def check_now(self, heard: Heard) -> None:
        connection.check_constraints()  # the deferred ones, which a commit would ask
        assert ledger.audit() == []
        said = _said()
        self._nothing_is_invented(heard, said)
        self._nothing_left_without_our_knowing(heard, said)
        self._orders_have_what_they_say()

    def _nothing_is_invented(self, heard: Heard, said: Said) -> None:
        """We say that money came or went only where who had it says so too, to the fen."""
        assert said["wechat paid"].items() <= heard.wechat.items()
        assert said["alipay paid"].items() <= heard.alipay.items()
        assert said["wechat back"].items() <= heard.wechat_back.items()
        assert said["alipay back"].items() <= heard.alipay_back.items()
        assert said["wechat out"].items() <= heard.wechat_out.items()
        gone = {one["serial"]: one["amount_fen"] for one in self.out.bookings if signed(one) < 0}
        assert said["bank out"].items() <= gone.items()

    def _nothing_left_without_our_knowing(self, heard: Heard, said: Said) -> None:
        """Whoever was asked for money was asked under a number that we had written down."""
        by_bank = [one for one in self.out.bookings if signed(one) < 0 and not one["reverses"]]
        named = [one["remark"].rpartition(" ")[2] for one in by_bank]
        assert len(named) == len(set(named)), "a number was paid twice"
        asked = {*named, *heard.wechat_back, *heard.wechat_out, *heard.alipay_back}
        assert asked <= said["asked"].keys()
        assert {*heard.wechat, *heard.alipay} <= said["trade"].keys()

    def _orders_have_what_they_say(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_STRANGE, {"on_hand": ON_HAND})
            assert cursor.fetchall() == []

    # --- when nothing is under way any more

    def check_quiet(self) -> None:
        heard = self.out.heard()
        self.check_now(heard)
        self._books_say_what_the_world_says(heard)
        self._everything_has_ended(heard)
        self._everybody_has_his_own(heard)
        self._merchants_have_their_own()

    def _books_say_what_the_world_says(self, heard: Heard) -> None:
        assert books.balance(f"bank:{ACCOUNT}") == self.out.bank_fen()
        came, back = sum(heard.wechat.values()), sum(heard.wechat_back.values())
        assert books.balance("clearing:wechat") == came - back
        # On the credit side: what went out of our account there without being a refund.
        assert abs(books.balance("elsewhere:wechat")) == sum(heard.wechat_out.values())
        came, back = sum(heard.alipay.values()), sum(heard.alipay_back.values())
        assert books.balance("clearing:alipay") == came - back

    def _everything_has_ended(self, heard: Heard) -> None:
        """Or waits for a person, who can see for what."""
        assert under_way() == []
        assert not TopUp.objects.filter(status="OPEN").exists()
        assert not Order.objects.filter(status="UNPAID").exists()
        # Half paid is only what the bank took back; what another payment has paid may wait empty.
        half = Payment.objects.filter(status="WAITING", received_fen__gt=0)
        asks = Order.objects.filter(freeze_reason="REVERSED").values_list("number", flat=True)
        assert set(half.values_list("reference", flat=True)) <= set(asks)
        done = {
            *RefundPart.objects.filter(status="DONE").values_list("number", flat=True),
            *Withdrawal.objects.filter(status="DONE").values_list("number", flat=True),
        }
        assert {*heard.wechat_back, *heard.alipay_back, *heard.wechat_out} <= done
        paid = {
            *WeChatTrade.objects.filter(status="PAID").values_list("out_trade_no", flat=True),
            *AlipayTrade.objects.filter(status="PAID").values_list("out_trade_no", flat=True),
        }
        assert {*heard.wechat, *heard.alipay} <= paid

    def _everybody_has_his_own(self, heard: Heard) -> None:
        """What a buyer gave, less what he has back, is in his wallet, owed to him, or bought for.

        Where a bank took money back that had gone on already, the loss is in it.
        """
        gave = self._gave(heard)
        for buyer, card in zip(self.buyers, self.cards, strict=True):
            mine = Payment.objects.filter(payer=buyer)
            pots = (wallet_of(buyer.number), withdrawing_of(buyer.number))
            has = sum(books.balance(code) for code in pots)
            has += sum(_kept(row) for row in mine)
            topped_up = TopUp.objects.filter(user=buyer, status="PAID")
            has -= _fen(topped_up)  # kept for a payment, and in the wallet
            has += _owed(mine) - _lost(mine) + self._in_lines(card)
            assert gave[buyer.pk] == has, (buyer.nickname, gave[buyer.pk], has)

    def _in_lines(self, card: str) -> int:
        """Of what he sent or the bank took back, what is nobody's payment and no return (yet)."""
        lines = StatementLine.objects.filter(payer_account=card, is_posted=True)
        fen = sum(transfers.left_fen(one) + one.set_aside_fen for one in lines)
        going = LineReturn.objects.filter(line__in=lines, status__in=["ASKED", "SENDING"])
        taken = StatementLine.objects.filter(
            payer_account=card, verdict="CONFLICT", is_reversal=True, amount_fen__lt=0
        )
        return fen + _fen(going) + _fen(taken)

    def _gave(self, heard: Heard) -> Counter[int]:
        gave: Counter[int] = Counter()
        payers = dict(WeChatTrade.objects.values_list("out_trade_no", "payment__payer"))
        payers |= dict(AlipayTrade.objects.values_list("out_trade_no", "payment__payer"))
        for number, fen in {**heard.wechat, **heard.alipay}.items():
            gave[payers[number]] += fen
        parts = dict(RefundPart.objects.values_list("number", "refund__payment__payer"))
        for number, fen in {**heard.wechat_back, **heard.alipay_back}.items():
            gave[parts[number]] -= fen
        out = dict(Withdrawal.objects.values_list("number", "user"))
        for number, fen in heard.wechat_out.items():
            gave[out[number]] -= fen
        by_card = self.out.by_account()
        for buyer, card in zip(self.buyers, self.cards, strict=True):
            gave[buyer.pk] += by_card[card]
        return gave

    def _merchants_have_their_own(self) -> None:
        """What his buyers paid is his, the platform's, his guide's, or has gone to his bank."""
        for merchant in self.merchants:
            mine = Payment.objects.filter(merchant=merchant.number)
            paid = sum(_kept(row) for row in mine) - _lost(mine)
            own = sum(books.balance(code.format(merchant.number)) for code in OWN)
            owes = books.balance(f"receivable:{merchant.number}")
            lines = HeldLine.objects.filter(order__merchant=merchant, released_at__isnull=False)
            fees = lines.aggregate(fen=Sum("fee_fen", default=0))["fen"]
            penalties = _fen(
                DepositMove.objects.filter(merchant=merchant.number, kind="PENALTY", status="DONE")
            )
            sent = _fen(Payout.objects.filter(merchant=merchant.number, status="DONE"))
            guides = _commissions(merchant.pk)
            assert paid == own + fees + penalties + sent + guides - owes


def _commissions(merchant_id: int) -> int:
    guides = Guide.objects.filter(merchant=merchant_id).values_list("user__number", flat=True)
    return sum(books.balance(f"guide:{number}:commission") for number in guides)


def _kept(row: Payment) -> int:
    return row.received_fen - row.refunded_fen - row.covered_fen


def _lost(payments: Any) -> int:
    """What the bank took back of arrivals that are owed back, or were given back, all the same."""
    gone = Receipt.objects.filter(payment__in=payments, undone_at__isnull=False)
    return _fen(Refund.objects.filter(receipt__in=gone).exclude(status="VOID"))


def _owed(payments: Any) -> int:
    """What is to go back to a buyer, and has not."""
    refunds = Refund.objects.filter(payment__in=payments)
    open_ = _fen(refunds.exclude(status__in=["DONE", "VOID"]))
    gone = _fen(RefundPart.objects.filter(refund__in=refunds, status="DONE").exclude(
        refund__status__in=["DONE", "VOID"]))  # fmt: skip
    return open_ - gone


def _said() -> Said:
    """What our rows say, fen by number, in one query."""
    said: Said = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_OURS)
        for kind, number, fen in cursor.fetchall():
            said[kind][number] = int(fen)
    return said


def _fen(rows: Any) -> int:
    return int(rows.aggregate(fen=Sum("amount_fen", default=0))["fen"])


def under_way() -> list[object]:
    """What somebody out there is still to be asked about: each misfortune costs a turn."""
    going: list[object] = []
    for model in (Refund, RefundPart, LineReturn, Payout, Withdrawal):
        going += model.objects.filter(status__in=["APPROVED", "SENDING"])
    for model in (WeChatTrade, AlipayTrade):
        going += model.objects.filter(status="OPEN")
    return going


def states() -> list[object]:
    """How everything stands that can be under way."""
    rows = (Payment, Refund, RefundPart, LineReturn, Payout, Withdrawal, TopUp, Order)
    found: list[object] = [
        sorted(model.objects.values_list("pk", "status"))
        for model in (*rows, WeChatTrade, AlipayTrade)
    ]
    return [*found, HeldLine.objects.filter(released_at=None).count()]
