"""Plain functions that make believable rows, through services wherever there is one.

A test names only what matters to it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from config.kit import numbers
from members.accounts.models import User
from members.merchants.models import Merchant
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount, VirtualAccount
from shop.catalog.models import PriceRule, Product, Sku
from shop.checkout.rules import Item
from shop.fulfilment import services as fulfilment
from shop.inventory.models import Stock
from shop.orders import services as orders
from shop.orders.models import Order
from shop.orders.rules import Wish
from tests.members.people import (
    client_of,
    make_address,
    make_guide,
    make_member,
    make_merchant,
    make_staff,
    make_user,
)

__all__ = [
    "NOON",
    "client_of",
    "key",
    "make_account",
    "make_address",
    "make_guide",
    "make_member",
    "make_merchant",
    "make_sku",
    "make_staff",
    "make_user",
    "open_payment",
    "pay",
    "place",
    "ship",
]

NOON = datetime(2026, 6, 18, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
HOME = {
    "name": "王小美",
    "phone": "13800138000",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "detail": "龙井路1号",
}


def key() -> Mapping[str, str]:
    """A fresh Idempotency-Key header, as Django's test client takes it."""
    return {"HTTP_IDEMPOTENCY_KEY": str(uuid4())}


def make_sku(
    merchant: Merchant | None = None,
    *,
    title: str = "明前龙井",
    on_hand: int = 10,
    list_price_fen: int = 100_00,
    min_quantity: int = 1,
    is_private: bool = False,
    member_price_fen: int | None = None,
    breaks: Mapping[int, int] | None = None,
    status: str = "ON_SALE",
) -> Sku:
    """One product with one SKU in stock; `breaks` are prices in fen from a quantity on."""
    product = Product.objects.create(
        number=numbers.fresh("G"),
        merchant=merchant or make_merchant(),
        title=title,
        is_private=is_private,
        status=status,
        created_at=NOON,
    )
    sku = Sku.objects.create(
        number=numbers.fresh("S"),
        product=product,
        name="250g",
        list_price_fen=list_price_fen,
        min_quantity=min_quantity,
    )
    Stock.objects.create(sku=sku, on_hand=on_hand)
    if member_price_fen:
        PriceRule.objects.create(sku=sku, kind="MEMBER", price_fen=member_price_fen)
    for quantity, price_fen in (breaks or {}).items():
        PriceRule.objects.create(sku=sku, kind="BREAK", min_quantity=quantity, price_fen=price_fen)
    return sku


def place(
    buyer: User, sku: Sku, *, quantity: int = 1, at: datetime = NOON, **changes: Any
) -> Order:
    """Through the front door, so that no test stands on an impossible order."""
    wish = Wish(buyer_id=buyer.pk, items=[Item(sku.number, quantity)], consignee=HOME, **changes)
    return orders.place_one(wish=wish, at=at)[0]


def make_account(*, units: int = 20, merchant: str = "") -> ReceivingAccount:
    """A receiving account with virtual accounts in store; the same one on every call."""
    account, is_new = ReceivingAccount.objects.get_or_create(
        account_no="755900000110",
        defaults={
            "account_name": "杭州私域科技有限公司",
            "bank_name": "招商银行杭州分行",
            "provider": "sandbox",
            "merchant": merchant,
        },
    )
    if is_new:
        VirtualAccount.objects.bulk_create(
            VirtualAccount(
                number=f"{account.account_no}{unit:010d}",
                unit=f"{unit:010d}",
                receiving_account=account,
            )
            for unit in range(1, units + 1)
        )
    return account


def open_payment(order: Order, *, at: datetime = NOON) -> Payment:
    make_account()
    return cashier.open_payment(
        payer_id=order.buyer_id,
        purpose="ORDER",
        reference=order.number,
        method="BANK_TRANSFER",
        at=at,
    )


def pay(order: Order, *, fen: int | None = None, at: datetime = NOON) -> Payment:
    """A transfer of the whole (or `fen`) arrives on the payment's virtual account and matches."""
    from tests.payments.transfers.bank import transfer_in

    payment = open_payment(order, at=at)
    transfer_in(payment, fen=payment.amount_fen if fen is None else fen, at=at)
    payment.refresh_from_db()
    return payment


def ship(order: Order, *, at: datetime = NOON + timedelta(hours=1)) -> None:
    order.refresh_from_db()
    fulfilment.ship(
        order=order,
        lines=None,
        carrier="顺丰速运",
        tracking_no="SF1234567890",
        no_logistics=False,
        evidence="",
        actor="",
        at=at,
    )
