"""Two weeks in the life of the demo's shops, so that pictures show something."""

import io
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.utils.timezone import localtime, now

from config.kit import numbers
from members.accounts.models import User
from members.merchants.models import Merchant
from payments.alipay import link
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.closing import services as closing
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.transfers import policies, returns
from payments.transfers import services as transfers
from payments.transfers.models import Statement, StatementLine
from payments.transfers.parsers import Row
from payments.transfers.rules import OPEN
from shop.catalog.models import Sku
from shop.orders import holding
from shop.orders.models import Order
from tests.browser import scene_money
from tests.demo import seed
from tests.factories import make_member, make_user, place, ship
from tests.payments.transfers.bank import arrive, booking, ccb_csv, transfer_in

NAMES = ["王小美", "陈立", "赵雅琴", "刘一鸣", "孙晓", "周文静", "吴昊", "郑爽", "何佳", "林清"]
DAY = timedelta(days=1)
# Orders paid on each of the last fourteen days, today last.
PAID = [2, 3, 1, 4, 3, 5, 2, 4, 6, 3, 5, 7, 4, 6]


def make() -> dict[str, dict[str, str]]:
    """Through services, at the times when it would have happened; answers who can log in."""
    at = now()
    staff = seed.load()["staff"]
    merchant = Merchant.objects.get(name="西湖茶业")
    # Another version of the rules is on trial beside the one in force.
    trial = {"rungs_off": ["T4"], "shadow": "2026.11"}
    policies.change(merchant=merchant.number, values=trial, at=at)
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
    take_back(buyers[1], goods[1], at)
    scene_money.make(buyers, goods, staff, at)
    close_days(account, staff["finance"]["username"], at)
    return staff


def give_link() -> str:
    """The path of the cashier page for an order that a buyer wants to pay by Alipay."""
    buyer, at = User.objects.get(nickname=NAMES[3]), now()
    order = place(buyer, Sku.objects.filter(min_quantity=1).order_by("pk")[0], at=at)
    payment = cashier.open_payment(
        payer_id=buyer.pk, purpose="ORDER", reference=order.number, method="ALIPAY_LINK", at=at
    )
    cashier.prepare(payment=payment, at=at)
    return urlsplit(link.instructions([payment])[payment.pk]["pay_url"]).path


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
        holding.receive(order_numbers=[order.number], actor=buyer.number, at=at + timedelta(days=3))


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


def take_back(buyer: User, sku: Sku, at: datetime) -> None:
    """An order is paid, and the bank then takes the money back: the order is frozen."""
    order = place(buyer, sku, at=at - timedelta(hours=4))
    payment = pay(order, buyer, at - timedelta(hours=4) + timedelta(minutes=5))
    paid = StatementLine.objects.get(allocations__payment=payment)
    arrive(
        booking(
            -paid.amount_fen,
            remark="冲正",
            is_reversal=True,
            reverses=paid.serial,
            payer_name=paid.payer_name,
            payer_account=paid.payer_account,
            booked_at=at - timedelta(hours=2),
        ),
        account_no=seed.ACCOUNT,
        at=localtime(at),
    )


# --- what the bank says -------------------------------------------------------------------------


def close_days(account: ReceivingAccount, clerk: str, at: datetime) -> None:
    """Statements of two weeks, but for one day; and one push that no statement has."""
    person = User.objects.get(username=clerk)
    lines = list(StatementLine.objects.filter(receiving_account=account).order_by("booked_at"))
    lost = next(one for one in lines if one.payer_name == "林清" and one.amount_fen == 500_00)
    since, today = localtime(lost.booked_at).date(), localtime(at).date()
    opening, before = 86_420_15, []
    for first, until in ((since - 4 * DAY, since - DAY), (since - DAY, since), (since, today)):
        booked = [one for one in lines if first <= localtime(one.booked_at).date() < until]
        rows = [_as_booked(one) for one in booked if one != lost]
        if first == since - DAY:  # nobody exported this day, and it had a fee
            opening += sum(row.amount_fen for row in rows) - 12_00
            continue
        before.append(_take(account, rows, opening, person, at))
        opening += sum(row.amount_fen for row in rows)
    for statement in before:
        transfers.import_statement(statement=statement, at=at)
    closing.close_days(account=account, since=since - 4 * DAY, at=at)
    today_so_far = [booking(1_00, remark="利息", booked_at=at - timedelta(hours=1))]
    _take(account, today_so_far, opening, person, at)
    Statement.objects.create(
        number=numbers.fresh("B"),
        receiving_account=account,
        status="REFUSED",
        reason="第 20418 行：余额 118,020.15 与上一行余额加本行金额不符，差 0.50 元",
        broken_row=20_418,
        file_sha256="0" * 64,
        filename="十月全月.csv",
        uploaded_by=person,
        uploaded_at=at - timedelta(days=1),
    )


def _as_booked(one: StatementLine) -> Row:
    return booking(
        one.amount_fen,
        remark=one.remark,
        serial=one.serial,
        payer_name=one.payer_name,
        payer_account=one.payer_account,
        payer_bank=one.payer_bank,
        virtual_account=one.virtual_account or None,
        booked_at=one.booked_at,
    )


def _take(
    account: ReceivingAccount, rows: list[Row], opening: int, clerk: User, at: datetime
) -> Statement:
    """A statement of these rows is uploaded, and not imported yet."""
    return transfers.upload(
        file=io.BytesIO(ccb_csv(rows, own=account.account_no, opening=opening)),
        filename=f"活期明细_{localtime(rows[0].booked_at):%m%d}.csv",
        account_no=account.account_no,
        tenants=None,
        uploaded_by_id=clerk.pk,
        at=at,
    )


def unknown_bank() -> bytes:
    """A table that no bank module knows, as a town's bank might export it."""
    lines = [
        "某某农村商业银行 对公活期明细",
        "单号,交易日期,收入,支出,余额,对方户名,对方账号,附言,网点",
        "N181,2026-11-02 09:12:41,238.00,,20238.00,王小美,6222020200112233,龙井 41903377,城东",
        "N182,2026-11-02 10:40:03,,35.00,20203.00,代收手续费,,账户管理费,城东",
        "N183,2026-11-03 15:06:55,1280.00,,21483.00,杭州西溪酒店,33050161,团购礼盒款,城西",
    ]
    return ("\r\n".join(lines) + "\r\n").encode("gb18030")


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
