"""One of everything, all of it somebody's: for tests that ask who may see what."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.utils.timezone import now

from livestream import services as live
from members.accounts.models import User
from members.guides import services as guides
from members.merchants.models import Merchant
from payments.gift_cards import buying
from payments.gift_cards import services as gift_cards
from payments.gift_cards.models import GiftCard
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.payouts.models import Payee, Payout
from payments.transfers.models import LineReturn, Statement, StatementLine
from payments.wallet.models import Withdrawal
from payments.wallet.rules import wallet_of, withdrawing_of
from tests.factories import (
    make_account,
    make_address,
    make_guide,
    make_member,
    make_merchant,
    make_sku,
    make_staff,
    make_user,
    pay,
    place,
)


@dataclass
class World:
    merchant: Merchant
    buyer: User
    ids: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    def staff(self, role: str, merchant: Merchant | None = None) -> User:
        return make_staff(merchant or self.merchant, role)

    def fingerprint(self) -> dict[str, Any]:
        """Every row of what could be changed by somebody who must not."""
        watched = ("shop.order", "payments.payment", "payments.refund", "payments.transferintent",
                   "payments.statementline", "payments.linereturn", "payments.payee",
                   "payments.payout", "payments.giftcard", "payments.gift", "members.address",
                   "members.membership", "livestream.lot", "livestream.session")  # fmt: skip
        models = {name: apps.get_model(name) for name in watched}
        return {name: list(model.objects.order_by("pk").values()) for name, model in models.items()}


def make_world() -> World:
    at = now()
    merchant, buyer = make_merchant(), make_user("失主")
    make_member(merchant, user=buyer)
    guide = make_guide(merchant)
    hidden = make_sku(merchant, title="私密礼盒", is_private=True)
    account = make_account(merchant=merchant.number)
    order = place(buyer, hidden, at=at)
    payment = pay(order, fen=1_00, at=at)
    line = StatementLine.objects.get()
    owed_order = place(buyer, hidden, at=at)
    owed_payment = pay(owed_order, fen=owed_order.total_fen + 1, at=at)
    refund = owed_payment.refunds.get()
    statement = Statement.objects.create(
        number="BSECRETSECRET1",
        receiving_account=account,
        file_sha256="0" * 64,
        filename="秘密流水.csv",
        uploaded_by=make_staff(merchant, "FINANCE"),
        uploaded_at=at,
        status="REFUSED",
        reason="文件为空",
    )
    back = LineReturn.objects.create(
        number="TSECRETSECRET1",
        line=line,
        amount_fen=1,
        status="DECLINED",
        asked_by="U1",
        asked_at=at,
        checked_by="U2",
    )
    payee = Payee.objects.create(
        number="ESECRETSECRET1",
        merchant=merchant.number,
        account_no="6217001122334455",
        account_name="秘密茶庄",
        bank_name="建设银行",
        asked_by="U1",
        asked_at=at,
    )
    payout = Payout.objects.create(
        number="JSECRETSECRET1",
        merchant=merchant.number,
        payee=payee,
        account=account,
        road="FILE",
        amount_fen=1,
        status="ASKED",
        asked_by="U1",
        asked_at=at,
    )
    # Held of money whose way here is nobody's business.
    held = {"clearing:TEST": 1}, {f"paying_out:{merchant.number}": 1}
    ledger.post([Draft("PAYOUT_HELD", payout.number, *held)], at=at)
    withdrawal, card = _declined(buyer, at), _given(buyer, at)
    session = live.create_session(
        merchant=merchant,
        host=make_staff(merchant, "OPERATOR"),
        title="私密专场",
        starts_at=at,
        ends_at=at + timedelta(hours=2),
        at=at,
    )
    lot = live.create_lot(session=session, sku=hidden.number, price_fen=50_00, quota=2)
    share = {
        kind: guides.share(
            user=guide.user, merchant=merchant.number, kind=kind, target=target, at=at
        ).code
        for kind, target in (("PRODUCT", hidden.product.number),)
    }
    world = World(merchant, buyer)
    world.ids = {
        "address": make_address(buyer).number,
        "merchant": merchant.number,
        "joined": merchant.number,
        "share_code": share["PRODUCT"],
        "private_scene": share["PRODUCT"],
        "private_product": hidden.product.number,
        "order": order.number,
        "payment": payment.number,
        "owed_payment": owed_payment.number,
        "refund": refund.number,
        "withdrawal": withdrawal.number,
        "gift_card": card.number,
        "statement": statement.number,
        "line": line.number,
        "line_return": back.number,
        "payee": payee.number,
        "payout": payout.number,
        "provider": "sandbox",
        "private_session": session.number,
        "private_lot": lot.number,
        "claim": "TNOBODYS",
    }
    world.secrets = [
        "私密", "秘密", order.number, payment.number, line.number, statement.number,
        back.number, session.number, world.ids["address"], owed_payment.number, refund.number,
        withdrawal.number, card.number,
    ]  # fmt: skip
    return world


def _given(buyer: User, at: datetime) -> GiftCard:
    """A card out of his wallet that nobody has claimed yet."""
    filled = {"clearing:wechat": 10_00}, {wallet_of(buyer.number): 10_00}
    ledger.post([Draft("GIFT", "QSECRETSECRET1", *filled)], at=at)
    payment = buying.buy(user_id=buyer.pk, face_fen=10_00, method="WALLET", at=at)
    card = GiftCard.objects.get(number=payment.reference)
    gift_cards.give(card=card, actor=buyer.number, message="私密", at=at)
    return card


def _declined(buyer: User, at: datetime) -> Withdrawal:
    """A fen that he wanted to have out of his wallet, and did not get."""
    pots = {"wallet": wallet_of(buyer.number), "frozen": withdrawing_of(buyer.number)}
    for kind, debit, credit in (
        ("GIFT", "clearing:wechat", pots["wallet"]),
        ("WITHDRAW", pots["wallet"], pots["frozen"]),
        ("WITHDRAW_VOID", pots["frozen"], pots["wallet"]),
    ):
        ledger.post([Draft(kind, "WSECRETSECRET1", {debit: 1}, {credit: 1})], at=at)
    return Withdrawal.objects.create(
        number="WSECRETSECRET1",
        user=buyer,
        owner=buyer.number,
        amount_fen=1,
        to="WECHAT",
        openid="oSecret",
        status="DECLINED",
        asked_at=at,
        ask_at=at,
        ended_at=at,
    )
