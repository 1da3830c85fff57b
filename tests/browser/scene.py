"""Two weeks in the life of the demo's shops, so that pictures show something."""

from datetime import datetime, timedelta

from django.utils.timezone import localtime, now

from members.accounts.models import User
from members.merchants.models import Merchant
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.transfers import returns
from payments.transfers.models import StatementLine
from payments.transfers.parsers import Row
from payments.transfers.rules import OPEN
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
        wait(buyers[n], goods[n % len(goods)], at - timedelta(hours=7 * n + 1)) for n in range(1, 6)
    ]
    leave_to_people(waiting, at)
    ask_for_a_return(staff["finance"]["username"], at)
    return staff


def ask_for_a_return(clerk: str, at: datetime) -> None:
    """Above the limit, so that a second person has to look."""
    line = StatementLine.objects.get(payer_name="宁波远洋国际贸易有限公司", verdict__in=OPEN)
    returns.give_back(
        line=line,
        actor=User.objects.get(username=clerk).number,
        at=at - timedelta(minutes=40),
        reason="付错商家，对方来函要求退回",
    )


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
    first, second, third, fourth, fifth = waiting
    code, other = (payment.transfer_intent.code for payment in (first, second))
    typo = third.transfer_intent.code
    typo = f"{typo[:3]}{(int(typo[3]) + 1) % 10}{typo[4:]}"
    virtual = fourth.transfer_intent.virtual_account
    assert virtual is not None
    arrive(
        line(first.amount_fen - 3_00, f"茶叶货款 {code}", "陈立的妻子", 1, at, days=3, hours=5),
        line(
            first.amount_fen + second.amount_fen,
            f"{code} 和 {other} 一起付",
            "赵雅琴",
            2,
            at,
            days=4,
            hours=3,
        ),
        line(third.amount_fen, f"转账 网银 {typo} 买茶", "刘一鸣", 3, at, hours=6),
        line(
            fourth.amount_fen,
            f"货款{fifth.transfer_intent.code}",
            "周文静",
            4,
            at,
            days=1,
            hours=2,
            virtual_account=virtual.number,
        ),
        line(fifth.amount_fen, "龙井", "孙晓", 5, at, hours=2),
        line(1_288_00, "往来款", "杭州某某贸易有限公司", 6, at, days=2),
        line(25_600_00, "货款 合同2026-118", "宁波远洋国际贸易有限公司", 7, at, days=9, hours=1),
        line(98_00, "", "马晓燕", 8, at, days=1, hours=7),
        line(3_380_00, "12月团购礼盒款，请查收", "杭州西溪湿地酒店管理有限公司", 9, at, hours=11),
        line(88, "测试", "吴昊", 10, at, hours=1),
        line(238_00, "王小美 龙井 两罐", "王建国", 11, at, minutes=18),
        line(500_00, "退款请退回原账户", "林清", 12, at, days=5, hours=4),
        account_no=seed.ACCOUNT,
        at=localtime(at),
    )


def line(
    fen: int,
    remark: str,
    payer: str,
    n: int,
    at: datetime,
    *,
    virtual_account: str = "",
    **ago: int,
) -> Row:
    return booking(
        fen,
        remark=remark,
        payer_name=payer,
        payer_account=f"62284800{n * 12345678901:011d}"[:19],
        virtual_account=virtual_account or None,
        booked_at=at - timedelta(**ago),
    )
