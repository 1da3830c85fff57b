"""A month of money for the page of finance: other ways to pay, payouts, what channels say."""

from datetime import datetime, timedelta

from members.accounts.models import User
from members.merchants.models import Merchant
from payments.bills.models import ChannelDay, ChannelDifference
from payments.cashier import services as cashier
from payments.cashier.rules import Arrival
from payments.deposits import services as deposits
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.payouts import files, payees, services
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import Bank
from payments.wallet.rules import wallet_of
from shop.catalog.models import Sku
from shop.orders import holding
from tests.demo import seed
from tests.factories import place, ship
from tests.payments.transfers.bank import account

DAY = timedelta(days=1)
# Orders a day paid by Alipay and out of wallets, thirty days ago first.
ALIPAY = [1, 2, 0, 1, 3, 2, 1, 0, 2, 4, 1, 2, 3, 1, 0, 2, 1, 3, 2, 2, 0, 1, 4, 2, 3, 1, 2, 3, 2, 1]
WALLET = [0, 1, 1, 0, 0, 1, 2, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 2, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1]


def make(buyers: list[User], goods: list[Sku], staff: dict[str, dict[str, str]], at: datetime):
    merchant = Merchant.objects.get(name="西湖茶业")
    # Without a bank's interface: payouts go by file, which nobody has to answer.
    account("755900000888", provider="", account_name="杭州私域科技有限公司")
    for number, fen in (("755900000888", 50_000_00), (seed.ACCOUNT, 80_000_00)):
        legs = {f"bank:{number}": fen}, {f"opening:{number}": fen}
        ledger.post([Draft("OPENING", f"scene {number}", *legs)], at=at - 40 * DAY)
    clerk, boss = (User.objects.get(username=staff[who]["username"]).number
                   for who in ("finance", "platform"))  # fmt: skip
    payee = payees.ask(
        merchant=merchant.number,
        bank=Bank("6217001122334455", "杭州西湖茶业有限公司", "建设银行杭州分行"),
        actor=clerk,
        at=at - 40 * DAY,
    )
    payees.check(payee=payee, approve=True, actor=boss, at=at - 40 * DAY)
    for buyer in buyers:
        top_up(buyer, 2_000_00, at - 31 * DAY)
    for day, (by_alipay, by_wallet) in enumerate(zip(ALIPAY, WALLET, strict=True)):
        morning = at - timedelta(days=len(ALIPAY) - 1 - day, minutes=50)
        for n in range(by_alipay + by_wallet):
            buyer, sku = buyers[(3 * day + n) % 10], goods[(day + n) % len(goods)]
            sell(buyer, sku, morning, by_wallet=n >= by_alipay, is_old=day < 26)
        if day % 4 == 3 and day < 27:
            holding.release_due(at=morning + timedelta(minutes=20), limit=5000)
            pay_out(merchant.number, clerk, boss, morning + timedelta(minutes=30))
    free = books.balance(f"merchant:{merchant.number}:available")
    deposits.top_up(merchant=merchant.number, amount_fen=free // 5, actor=clerk, at=at - 2 * DAY)
    services.request(merchant=merchant.number, amount_fen=free // 3, actor=clerk, at=at - DAY)
    ask_much(merchant.number, payee, clerk, at)
    say_otherwise(at)


def top_up(buyer: User, fen: int, at: datetime) -> None:
    own = wallet_of(buyer.number)
    legs = {"clearing:alipay": fen}, {own: fen}
    ledger.post([Draft("TOPUP", f"scene {buyer.number}", *legs)], at=at)


def sell(buyer: User, sku: Sku, at: datetime, *, by_wallet: bool, is_old: bool) -> None:
    order = place(buyer, sku, at=at)
    payment = cashier.open_payment(
        payer_id=buyer.pk,
        purpose="ORDER",
        reference=order.number,
        method="WALLET" if by_wallet else "ALIPAY_LINK",
        at=at,
    )
    if not by_wallet:
        paid = Arrival(payment.pk, f"2026{payment.pk:024d}", payment.amount_fen, "clearing:alipay")
        cashier.confirm(arrivals=[paid], at=at)
    order.refresh_from_db()
    if is_old:
        ship(order, at=at + timedelta(minutes=5))
        holding.receive(
            order_numbers=[order.number], actor=buyer.number, at=at + timedelta(minutes=9)
        )


def pay_out(merchant: str, clerk: str, boss: str, at: datetime) -> None:
    """Most of what is free, by a file, which the bank has paid."""
    fen = books.balance(f"merchant:{merchant}:available") * 7 // 10
    payout = services.request(merchant=merchant, amount_fen=fen, actor=clerk, at=at)
    if payout.status == "ASKED":
        services.check(payout=payout, approve=True, actor=boss, at=at)
    files.export(account=payout.account, actor=boss, at=at)
    payout.refresh_from_db()
    files.confirm(payout=payout, serial=f"NB{payout.pk:08d}", actor=clerk, at=at)


def ask_much(merchant: str, payee: Payee, clerk: str, at: datetime) -> None:
    """Two that a person has to look at: one new, one that the bank refused."""
    free = books.balance(f"merchant:{merchant}:available")
    wrong = services.request(merchant=merchant, amount_fen=free // 6, actor=clerk, at=at - 5 * DAY)
    files.export(account=wrong.account, actor="UBOSS", at=at - 5 * DAY)
    for one in Payout.objects.filter(status="SENDING", pk=wrong.pk):
        files.refuse(payout=one, reason="户名不符", actor=clerk, at=at - 4 * DAY)
    services.request(merchant=merchant, amount_fen=free // 4, actor=clerk, at=at)


def say_otherwise(at: datetime) -> None:
    """WeChat Pay's bill of some days has what we do not."""
    for days, kind, fen in ((1, "MISSING_HERE", 50_00), (3, "FEE", 12), (12, "AMOUNT", 8_00)):
        day = ChannelDay.objects.create(
            channel="WECHAT",
            day=(at - days * DAY).date(),
            status="DIFFERS",
            trades=12,
            trades_fen=3_280_00,
            tried_at=at,
            fetched_at=at,
        )
        ChannelDifference.objects.create(
            channel_day=day,
            subject="TRADE",
            kind=kind,
            our_number=f"P{days}",
            their_number=f"42000{days}",
            our_fen=0,
            their_fen=fen,
            found_at=at - days * DAY,
            seen_at=at,
        )
