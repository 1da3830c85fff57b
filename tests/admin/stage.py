"""Two merchants with one row of everything each; all names of the second begin with 乙号."""

import io
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.utils.timezone import now

from config.kit import numbers
from livestream import claims, tasks
from livestream import services as live
from members.accounts.models import User
from members.guarantee import services as guarantee
from members.guides import services as guides
from members.memberships import services as memberships
from members.memberships.models import Level
from members.merchants.models import Merchant
from payments.bills.models import ChannelDay, ChannelDifference
from payments.carrier.models import CarrierAccount, CarrierBatch, CarrierMove
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.closing.models import DayClose
from payments.deposits import services as deposits
from payments.deposits.models import DepositMove
from payments.ledger import services as ledger
from payments.ledger.models import Account, Entry, Posting
from payments.ledger.rules import Draft
from payments.payouts import payees
from payments.payouts.models import Payout
from payments.payouts.rules import Bank
from payments.settlement import services as settlement
from payments.transfers import by_hand
from payments.transfers import services as transfers
from payments.transfers.models import LineReturn, Statement, StatementLine
from payments.transfers.models_by_hand import ByHand
from shop.catalog.models import Category, PriceRule, Sku
from shop.inventory import services as inventory
from shop.orders import services as orders
from shop.orders.models import Order
from tests.factories import (
    key,
    make_address,
    make_guide,
    make_member,
    make_merchant,
    make_sku,
    make_staff,
    make_user,
    place,
    ship,
)
from tests.payments.offered import offer
from tests.payments.transfers.bank import account, arrive, booking, ccb_csv, transfer_in

PASSWORD = "long-enough-for-staff"


@dataclass
class Side:
    """One merchant's people and rows, the rows by model label."""

    merchant: Merchant
    people: dict[str, User] = field(default_factory=dict)
    rows: dict[str, Model] = field(default_factory=dict)

    def keep(self, *rows: Model) -> None:
        self.rows |= {row._meta.label: row for row in rows}

    def pk(self, label: str) -> Any:
        return self.rows[label].pk


def fresh(side: Side) -> Side:
    """The same rows as the database has them now: what was read before a test is stale."""
    people = {name: User.objects.get(pk=one.pk) for name, one in side.people.items()}
    rows = {name: type(row)._default_manager.get(pk=row.pk) for name, row in side.rows.items()}
    return Side(Merchant.objects.get(pk=side.merchant.pk), people, rows)


def platform() -> User:
    return make_user(
        "平台小管", username="platform", password=PASSWORD, is_staff=True, is_superuser=True
    )


def make_side(name: str, account_no: str, at: datetime | None = None) -> Side:
    """Everything a merchant may have, made through services; `name` begins every word."""
    at = at or now() - timedelta(hours=3)
    side = Side(make_merchant(f"{name}茶庄", join_policy="APPROVAL"))
    merchant = side.merchant
    for role in ("OWNER", "OPERATOR", "FINANCE"):
        person = make_user(
            f"{name}{role}", username=f"{account_no}{role}".lower(), password=PASSWORD
        )
        side.people[role] = make_staff(merchant, role, user=person)
    _members(side, name, at)
    _goods(side, name, at)
    _trade(side, name, account_no, at)
    _money(side, account_no, at)
    _live(side, name, at)
    return side


def _members(side: Side, name: str, at: datetime) -> None:
    merchant = side.merchant
    level = Level.objects.create(merchant=merchant, rank=1, name=f"{name}金卡")
    buyer = make_member(merchant, user=make_user(f"{name}买家", phone=_phone()))
    side.people["BUYER"] = buyer
    membership, _ = memberships.admit(user=make_user(f"{name}新人"), merchant=merchant, at=at)
    memberships.set_level(membership=membership, level=level, actor=side.people["OWNER"], at=at)
    post = memberships.publish(merchant=merchant, title=f"{name}动态", body="上新", at=at)
    guide = make_guide(merchant, user=make_user(f"{name}导购"))
    code = guides.share(
        user=guide.user, merchant=merchant.number, kind="MERCHANT", target=merchant.number, at=at
    )
    guides.follow(customer=buyer, code=code.code, at=at)
    side.keep(merchant, level, membership, post, guide, code, buyer)
    side.keep(guarantee.apply(merchant=merchant, actor="U1", at=at))
    side.keep(buyer.bonds.get(), guide.bond_events.get())


def _phone() -> str:
    return f"139{User.objects.count():08d}"


def _goods(side: Side, name: str, at: datetime) -> None:
    sku = make_sku(side.merchant, title=f"{name}龙井", on_hand=100, member_price_fen=88_00)
    category, _ = Category.objects.get_or_create(code="tea", defaults={"name": "茶叶"})
    PriceRule.objects.create(
        sku=sku, kind="LEVEL", level=Level.objects.get(merchant=side.merchant), price_fen=80_00
    )
    inventory.adjust(
        sku_id=sku.pk, change=5, actor=side.people["OPERATOR"].number, reason="入库", at=at
    )
    side.keep(sku, sku.product, category)


def _trade(side: Side, name: str, account_no: str, at: datetime) -> None:
    """Four orders: waiting for money, to be sent, sent, and cancelled with its money back."""
    account(account_no, merchant=side.merchant.number, account_name=f"{name}茶业公司")
    side.keep(account(account_no))
    sku, buyer = side.rows["shop.Sku"], side.people["BUYER"]
    merchant_no = side.merchant.number
    assert isinstance(sku, Sku)
    unpaid, to_send, sent, off = (place(buyer, sku, quantity=n, at=at) for n in (1, 2, 1, 1))
    for order in (to_send, sent, off):
        payment = open_payment(order, at)
        transfer_in(payment, fen=payment.amount_fen, at=at, payer_name=f"{name}付款人")
        order.refresh_from_db()
    ship(sent, at=at + timedelta(minutes=10))
    orders.cancel(order=off, actor="", at=at + timedelta(minutes=20))
    waiting = open_payment(unpaid, at)
    side.keep(to_send, waiting, waiting.transfer_intent, waiting.transfer_intent.virtual_account)
    side.keep(sent.held_lines.get())
    rate = settlement.set_rate(
        merchant=merchant_no, ppm=6_000, note=f"{name}合同", actor="U1", at=at
    )
    side.keep(rate)
    paid_back = Payment.objects.get(reference=off.number)
    side.keep(sent.shipments.get(), paid_back.refunds.get(), paid_back.receipts.get())
    side.keep(to_send.guide.commissions.first())  # type: ignore[union-attr]
    side.rows |= {"unpaid": unpaid, "sent": sent}


def open_payment(order: Order, at: datetime) -> Payment:
    return cashier.open_payment(
        payer_id=order.buyer_id,
        purpose="ORDER",
        reference=order.number,
        method="BANK_TRANSFER",
        at=at,
    )


def _money(side: Side, account_no: str, at: datetime) -> None:
    """A line that nobody can place, one with a candidate, and one from a statement."""
    payment = side.rows["payments.Payment"]
    assert isinstance(payment, Payment)
    code = payment.transfer_intent.code
    name = side.merchant.name[:2]
    stranger = {"payer_name": f"{name}陌生人", "payer_account": "6217000099998888"}
    lost, hinted = arrive(
        booking(77_00, remark="货款", payer_name=f"{name}路人", booked_at=at),
        booking(66_00, remark=f"茶叶 {code}", booked_at=at, **stranger),
        account_no=account_no,
        at=at,
    )
    row = booking(12_00, remark="文件里的一笔", payer_name=f"{name}客户", booked_at=at)
    statement = transfers.upload(
        file=io.BytesIO(ccb_csv([row], own=account_no)),
        filename=f"{name}流水.csv",
        account_no=account_no,
        tenants=None,
        uploaded_by_id=side.people["FINANCE"].pk,
        at=at,
    )
    transfers.import_statement(statement=statement, at=at)
    side.keep(lost, Statement.objects.get(pk=statement.pk))
    side.rows["hinted"] = hinted
    side.keep(
        DayClose.objects.create(
            receiving_account=lost.receiving_account,
            day=at.date(),
            bank_fen=0,
            ledger_fen=0,
            suspense_fen=0,
            lines_fen=0,
            status="EVEN",
            made_at=at,
        )
    )
    side.keep(_paid_by_hand(side, account_no, at))
    _paid_out(side, account_no, at)
    side.keep(offer("BANK_TRANSFER", merchant=side.merchant.number, at=at))
    channel_day = ChannelDay.objects.create(
        channel="WECHAT",
        day=at.date() - timedelta(days=ChannelDay.objects.count() + 1),
        status="SETTLED",
        trades=1,
        trades_fen=5_000,
        tried_at=at,
        fetched_at=at,
    )
    difference = ChannelDifference.objects.create(
        channel_day=channel_day,
        subject="TRADE",
        kind="MISSING_HERE",
        our_number="SOMEBODY-ELSE-1",
        their_number="4200002026",
        our_fen=0,
        their_fen=5_000,
        found_at=at,
        seen_at=at,
        closed_at=at,
        closed_by=side.people["FINANCE"].number,
        reason="已核实",
    )
    side.keep(channel_day, difference)
    held = Account.objects.get(code=f"held:{side.merchant.number}")
    entry = Entry.objects.filter(account=held).earliest("pk")
    side.keep(held, entry, Posting.objects.get(pk=entry.posting_id))
    _told(side, held.code, entry, at)


def _told(side: Side, code: str, entry: Entry, at: datetime) -> None:
    """The carrier has heard of one posting of its."""
    batch = CarrierBatch.objects.create(
        number=numbers.fresh("K"),
        status="BOOKED",
        moves=1,
        made_at=at,
        asked_at=at,
        booked_at=at,
        booked_on=at.date(),
    )
    move = CarrierMove.objects.create(posting_id=entry.posting_id, batch=batch, n=1)
    account = CarrierAccount.objects.create(code=code, told_fen=-entry.amount_fen)
    side.keep(batch, move, account)


def _paid_out(side: Side, account_no: str, at: datetime) -> None:
    """A changed bank account and a payout, both asked for by FINANCE and checked by nobody."""
    asked = {"actor": side.people["FINANCE"].number, "at": at}
    bank = Bank(f"6217{account_no}", f"{side.merchant.name[:2]}茶业公司", "建设银行")
    payee = payees.ask(merchant=side.merchant.number, bank=bank, **asked)
    payout = Payout.objects.create(
        number=numbers.fresh("J"),
        merchant=side.merchant.number,
        payee=payee,
        account=account(account_no),
        road="BANK",
        amount_fen=20_000_00,
        status="ASKED",
        asked_by=asked["actor"],
        asked_at=at,
    )
    held = {"clearing:TEST": 20_000_00}, {f"paying_out:{side.merchant.number}": 20_000_00}
    ledger.post([Draft("PAYOUT_HELD", payout.number, *held)], at=at)
    side.keep(payee, payout, _deposit(side, at))


def _deposit(side: Side, at: datetime) -> DepositMove:
    """FINANCE wants a part of the merchant's deposit back."""
    own = f"merchant:{side.merchant.number}:available"
    given = Draft("TEST", f"deposit {own}", {"clearing:TEST": 300_00}, {own: 300_00})
    ledger.post([given], at=at)
    asked = {"merchant": side.merchant.number, "actor": side.people["FINANCE"].number, "at": at}
    deposits.top_up(amount_fen=300_00, **asked)
    return deposits.ask_back(amount_fen=100_00, reason="不再经营", **asked)


def _paid_by_hand(side: Side, account_no: str, at: datetime) -> ByHand:
    """FINANCE has sent a line back in net banking; nobody has confirmed it."""
    payer = {"payer_name": f"{side.merchant.name[:2]}退款人", "payer_account": "6217000099990000"}
    line, out = arrive(
        booking(5_00, remark="付错了", booked_at=at, **payer),
        booking(-5_00, remark="退回", booked_at=at, **payer),
        account_no=account_no,
        at=at,
    )
    said = by_hand.Said(
        payout=line.number,
        booked=out.serial,
        lines=StatementLine.objects.all(),
        reason="没有走系统",
        actor=side.people["FINANCE"].number,
        at=at,
    )
    return by_hand.enter(
        said=said, returned=LineReturn.objects.none(), refunded=Refund.objects.none()
    )


def _live(side: Side, name: str, at: datetime) -> None:
    session = live.create_session(
        merchant=side.merchant,
        host=side.people["OPERATOR"],
        title=f"{name}专场",
        starts_at=at,
        ends_at=at + timedelta(hours=9),
        at=at,
    )
    live.start(session=session, at=at)
    sku = side.rows["shop.Sku"]
    assert isinstance(sku, Sku)
    lot = live.create_lot(session=session, sku=sku.number, price_fen=50_00, quota=3)
    live.drop(lot=lot, at=at)
    lot.refresh_from_db()
    session.refresh_from_db()
    buyer = side.people["BUYER"]
    side.keep(session, lot, lot.offer)
    _claim(buyer, lot.number)
    side.keep(lot.claims.get())


def _claim(buyer: User, lot: str) -> None:
    at = now()
    live_gate_open(lot, at)
    claims.claim(
        buyer=buyer,
        lot=lot,
        quantity=1,
        address=make_address(buyer).number,
        request_id=key()["HTTP_IDEMPOTENCY_KEY"],
        at=at,
    )
    tasks.write_claims(lot=lot)


def live_gate_open(lot: str, at: datetime) -> None:
    """Inside a test's transaction nothing is told to the gate after the commit."""
    claims.rebuild(lot=lot, at=at)
