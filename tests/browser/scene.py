"""Two weeks in the life of the demo's shops, so that pictures show something."""

from datetime import datetime, timedelta

from django.utils.timezone import localtime, now

from members.accounts.models import User
from members.merchants.models import Merchant
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.receiving.models import ReceivingAccount, VirtualAccount
from shop.catalog.models import Sku
from shop.orders import services as orders
from shop.orders.models import Order
from tests.demo import seed
from tests.factories import make_member, make_user, place, ship
from tests.payments.transfers.bank import arrive, booking, transfer_in

NAMES = ["王小美", "陈立", "赵雅琴", "刘一鸣", "孙晓", "周文静", "吴昊", "郑爽", "何佳", "林清"]
# Orders paid on each of the last fourteen days, today last.
PAID = [2, 3, 1, 4, 3, 5, 2, 4, 6, 3, 5, 7, 4, 6]


def make() -> dict[str, dict[str, str]]:
    """Through services, at the times when it would have happened; answers who can log in."""
    at = now()
    staff = seed.load()["staff"]
    merchant = Merchant.objects.get(name="西湖茶业")
    account = ReceivingAccount.objects.get(account_no=seed.ACCOUNT)
    VirtualAccount.objects.bulk_create(
        VirtualAccount(
            number=f"{account.account_no}{n:010d}", unit=f"{n:010d}", receiving_account=account
        )
        for n in range(1, 101)
    )
    buyers = [make_member(merchant, user=make_user(name)) for name in NAMES]
    goods = list(Sku.objects.filter(product__merchant=merchant, min_quantity=1).order_by("pk"))
    for day, count in enumerate(PAID):
        for n in range(count):
            morning = at - timedelta(days=len(PAID) - 1 - day, minutes=30 + 7 * n)
            serve(buyers[(day + n) % 10], goods[(day * 3 + n) % len(goods)], morning, day, n)
    owe(buyers[0], goods[0], at)
    waiting = [
        wait(buyers[n], goods[n % len(goods)], at - timedelta(hours=n + 1)) for n in (1, 2, 3)
    ]
    leave_to_people(waiting, at)
    return staff


def serve(buyer: User, sku: Sku, at: datetime, day: int, n: int) -> None:
    """An order that is paid; the older ones are sent, and some of those received."""
    order = place(buyer, sku, quantity=1 + (day + n) % 3, at=at)
    pay(order, buyer, at + timedelta(minutes=5))
    if day < 12:
        ship(order, at=at + timedelta(hours=2))
    if day < 8:
        orders.receive(order_numbers=[order.number], actor=buyer.number, at=at + timedelta(days=3))


def pay(order: Order, buyer: User, at: datetime, *, more_fen: int = 0) -> Payment:
    payment = cashier.open_payment(
        payer_id=buyer.pk,
        purpose="ORDER",
        reference=order.number,
        method="BANK_TRANSFER",
        at=at,
    )
    fen = payment.amount_fen + more_fen
    transfer_in(payment, fen=fen, at=at, payer_name=buyer.nickname, payer_account=card(buyer))
    return payment


def card(buyer: User) -> str:
    return f"62220212{buyer.pk:011d}"


def owe(buyer: User, sku: Sku, at: datetime) -> None:
    """Somebody paid too much: finance decides."""
    pay(place(buyer, sku, at=at), buyer, at, more_fen=20_00)
    assert Refund.objects.filter(status="OWED").exists()


def wait(buyer: User, sku: Sku, at: datetime) -> Payment:
    order = place(buyer, sku, at=at)
    return cashier.open_payment(
        payer_id=buyer.pk, purpose="ORDER", reference=order.number, method="BANK_TRANSFER", at=at
    )


def leave_to_people(waiting: list[Payment], at: datetime) -> None:
    """Lines as they come in real life: a name but no code, two codes, a code and less money."""
    first, second, third = waiting
    code, other = (payment.transfer_intent.code for payment in (first, second))
    arrive(
        booking(
            first.amount_fen - 3_00,
            remark=f"茶叶货款 {code}",
            payer_name="陈立的妻子",
            payer_account="6217001180001234567",
            booked_at=at - timedelta(days=3, hours=5),
        ),
        booking(
            second.amount_fen,
            remark=f"{code} 和 {other} 一起付",
            payer_name="赵雅琴",
            payer_account="6228480012345678",
            booked_at=at - timedelta(days=4, hours=3),
        ),
        booking(
            third.amount_fen,
            remark="买茶",
            payer_name="刘一鸣",
            payer_account="6230580000099887766",
            booked_at=at - timedelta(hours=6),
        ),
        booking(
            1_288_00,
            remark="往来款",
            payer_name="杭州某某贸易有限公司",
            payer_account="571900012310901",
            booked_at=at - timedelta(days=2),
        ),
        account_no=seed.ACCOUNT,
        at=localtime(at),
    )
