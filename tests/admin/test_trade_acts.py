"""What staff do with orders, goods and live lots; what is refused changes nothing."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils.timezone import now

from livestream.models import Lot
from payments.cashier.models import Refund
from payments.ledger import services as ledger
from payments.transfers.models import StatementLine
from shop.catalog.models import PriceRule, Product, Sku
from shop.inventory.models import Stock, StockEvent
from shop.orders.models import Order
from tests.admin.pages import act, choose, fingerprint, fresh, nothing, opened, url
from tests.admin.stage import Side
from tests.payments.transfers.bank import arrive, booking

pytestmark = pytest.mark.django_db


# --- orders -------------------------------------------------------------------------------------


def test_an_order_is_sent_with_its_tracking_number(first):
    left = [str(line.line) for line in first.rows["shop.Order"].lines.all()]
    sent = {"lines": left, "carrier": "顺丰速运", "tracking_no": "SF100"}
    page = act(first, "OPERATOR", "shop.Order", "ship", sent)

    order = fresh(first.rows["shop.Order"])
    assert order.status == "SHIPPED"
    assert order.shipments.get().tracking_no == "SF100"
    assert order.shipments.get().actor == first.people["OPERATOR"].number
    assert "发货：已完成" in page.content.decode()
    assert "甲号OPERATOR" in page.content.decode()  # the event names the person
    assert LogEntry.objects.filter(object_id=order.pk, user=first.people["OPERATOR"]).exists()


@pytest.mark.parametrize(
    "answers",
    [
        {"carrier": "顺丰速运"},
        {"carrier": "顺丰速运", "tracking_no": "1", "no_logistics": "on"},
        {"carrier": "顺丰速运", "tracking_no": "1", "lines": ["9"]},
        {"carrier": "顺丰速运", "tracking_no": "1", "lines": []},
    ],
)
def test_a_parcel_that_makes_no_sense_is_not_sent(first, answers):
    before = fingerprint()
    page = act(first, "OPERATOR", "shop.Order", "ship", {"lines": ["1"], **answers})

    assert page.status_code == 200
    assert not page.redirect_chain
    assert fingerprint() == before


def test_what_the_service_refuses_is_said_and_nothing_changes(first):
    before = fingerprint()
    answers = {"lines": ["1"], "carrier": "顺丰速运", "tracking_no": "SF1"}
    unpaid = first.rows["unpaid"]
    page = act(first, "OPERATOR", "shop.Order", "ship", answers, row=unpaid)
    again = act(first, "OPERATOR", "shop.Order", "cancel", row=first.rows["sent"])

    assert "订单不是待发货状态" in page.content.decode()
    assert "已有商品发货，不能取消" in again.content.decode()
    assert fingerprint() == before


def test_a_cancelled_order_is_refunded_at_once(first):
    act(first, "OWNER", "shop.Order", "cancel")

    order = fresh(first.rows["shop.Order"])
    assert (order.status, order.close_reason) == ("CLOSED", "REFUNDED")
    assert Refund.objects.filter(payment__reference=order.number, status="APPROVED").exists()
    assert ledger.audit() == []


def take_back(side: Side) -> Order:
    """The bank reverses the money of the order that is to be sent."""
    order = side.rows["shop.Order"]
    paid = StatementLine.objects.get(allocations__payment__reference=order.number)
    reversal = booking(
        -paid.amount_fen,
        is_reversal=True,
        reverses=paid.serial,
        payer_name=paid.payer_name,
        payer_account=paid.payer_account,
    )
    arrive(reversal, account_no=paid.receiving_account.account_no, at=now())
    return fresh(order)


def test_a_frozen_order_says_so_and_is_unfrozen_with_a_reason(first):
    order = take_back(first)
    change = url("shop.Order", "change", order.pk)
    said = "订单已冻结：付款被银行冲正"
    assert order.freeze_reason == "REVERSED"
    assert said in opened(first.people["OPERATOR"]).get(change).content.decode()

    before = fingerprint()
    act(first, "OPERATOR", "shop.Order", "unfreeze")
    act(first, "FINANCE", "shop.Order", "unfreeze", {"reason": "已线下补款"})
    assert fingerprint() == before

    page = act(first, "OPERATOR", "shop.Order", "unfreeze", {"reason": "已线下补款"})
    order = fresh(order)
    event = order.events.get(kind="UNFROZEN")
    assert (order.frozen_at, order.freeze_reason) == (None, "")
    assert (event.actor, event.facts) == (
        first.people["OPERATOR"].number,
        {"reason": "已线下补款"},
    )
    assert LogEntry.objects.latest("pk").get_change_message() == "解冻订单：已线下补款"
    assert said not in page.content.decode()
    assert ledger.audit() == []


def test_an_order_that_is_not_frozen_is_not_unfrozen(first):
    before = fingerprint()
    act(first, "OPERATOR", "shop.Order", "unfreeze", {"reason": "误操作"})

    assert fingerprint() == before


def card(client, title):
    cards = client.get("/admin/").context["cards"]
    return next((one for one in cards if one["title"] == title), None)


def listed(client, href):
    """Numbers on the page that a card leads to."""
    return {row.number for row in client.get(href).context["cl"].result_list}


@pytest.mark.parametrize("role", ["OPERATOR", "FINANCE"])
@pytest.mark.parametrize("why", ["REVERSED", "LOSS"])
def test_the_first_page_counts_frozen_orders_and_leads_to_them(first, second, role, why):
    clerk, others = opened(first.people[role]), opened(second.people[role])
    assert card(clerk, "冻结订单") is None

    order = take_back(first)
    Order.objects.filter(pk=order.pk).update(freeze_reason=why)

    shown = card(clerk, "冻结订单")
    assert shown["value"] == 1
    assert listed(clerk, shown["href"]) == {order.number}
    assert card(others, "冻结订单") is None


def test_the_refunds_that_wait_are_those_that_the_card_leads_to(first):
    for status in ("OWED", "FAILED", "APPROVED", "VOID"):
        Refund.objects.create(
            number=f"R{status}", payment=first.rows["payments.Payment"], amount_fen=1,
            reason="EXCESS", status=status, owed_at=now(),
        )  # fmt: skip
    clerk = opened(first.people["FINANCE"])

    shown = card(clerk, "待审退款")

    found = listed(clerk, shown["href"])
    waiting = Refund.objects.filter(status__in=["OWED", "FAILED"],
                                    payment__merchant=first.merchant.number)  # fmt: skip
    assert found == set(waiting.values_list("number", flat=True))
    assert shown["value"] == len(found)
    assert {"ROWED", "RFAILED"} <= found


def test_a_look_changes_nothing(first):
    """Acts happen on POST only: a link in a mail must not cancel an order."""
    before = fingerprint()
    client = opened(first.people["OWNER"])
    for name in ("ship", "cancel"):
        client.get(url("shop.Order", name, first.pk("shop.Order")))

    assert fingerprint() == before


def test_only_overdue_orders_are_closed_and_the_payments_of_others_stay_open(first):
    late, in_time = first.rows["unpaid"], first.rows["shop.Order"]
    waiting = first.rows["payments.Payment"]
    page = choose(first, "OPERATOR", "shop.Order", "close_overdue", late, in_time)

    assert "2 单未到付款期限、已付款或在等银行流水" in page.content.decode()
    assert fresh(late).status == "UNPAID"
    assert fresh(waiting).status == "WAITING"

    Order.objects.filter(pk=late.pk).update(pay_before=now() - timedelta(minutes=1))
    choose(first, "OPERATOR", "shop.Order", "close_overdue", late, in_time)
    assert fresh(late).status == "CLOSED"
    assert fresh(in_time).status == "PAID"


def test_chosen_rows_of_another_merchant_are_not_touched(first, second):
    late = now() - timedelta(minutes=1)
    Order.objects.filter(pk=second.pk("unpaid")).update(pay_before=late)
    before = fingerprint()
    choose(first, "OPERATOR", "shop.Order", "close_overdue", second.rows["unpaid"])
    choose(first, "FINANCE", "payments.Refund", "approve_chosen", second.rows["payments.Refund"])
    choose(first, "OPERATOR", "shop.Product", "stop_chosen", second.rows["shop.Product"])

    assert fingerprint() == before


# --- goods --------------------------------------------------------------------------------------


def test_a_product_is_taken_off_and_put_on_again(first):
    product = first.rows["shop.Product"]
    act(first, "OPERATOR", "shop.Product", "stop")
    assert fresh(product).status == "OFF"
    choose(first, "OPERATOR", "shop.Product", "sell_chosen", product)
    assert fresh(product).status == "ON_SALE"


def test_a_product_without_anything_to_sell_is_not_put_on_sale(first):
    client = opened(first.people["OPERATOR"])
    added = {"merchant": first.merchant.pk, "title": "新茶", "description": "", "category": ""}
    client.post(url("shop.Product", "add"), added)
    product = Product.objects.get(title="新茶")
    page = act(first, "OPERATOR", "shop.Product", "sell", row=product)

    assert product.status == "DRAFT"
    assert product.number.startswith("G")
    assert "还没有可售的规格" in page.content.decode()
    assert fresh(product).status == "DRAFT"


def test_a_form_saves_only_what_may_be_typed(first, second):
    product = first.rows["shop.Product"]
    before = Product.objects.filter(pk=product.pk).values().get()
    client = opened(first.people["OPERATOR"])
    typed = {
        "title": "雨前龙井", "description": "新到", "category": "", "is_private": "on",
        "status": "OFF", "merchant": second.merchant.pk, "number": "GHACKED",
        **nothing("skus"),
    }  # fmt: skip
    answer = client.post(url("shop.Product", "change", product.pk), typed)

    assert answer.status_code == 302
    after = Product.objects.filter(pk=product.pk).values().get()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"title", "description", "is_private", "words"}
    assert LogEntry.objects.filter(object_id=product.pk, action_flag=2).exists()


def test_a_product_is_not_added_for_another_merchant(first, second):
    before = fingerprint()
    client = opened(first.people["OPERATOR"])
    added = {"merchant": second.merchant.pk, "title": "新茶"}
    answer = client.post(url("shop.Product", "add"), added)

    assert answer.status_code == 200
    assert fingerprint() == before


def test_prices_are_typed_in_yuan(first):
    sku = first.rows["shop.Sku"]
    rules = list(PriceRule.objects.filter(sku=sku).order_by("pk"))
    client = opened(first.people["OPERATOR"])
    form = {
        "name": "500g", "is_active": "on", "list_price_fen": "199.90", "min_quantity": "2",
        **nothing("price_rules", "stock_events"),
        "price_rules-TOTAL_FORMS": "3", "price_rules-INITIAL_FORMS": "2",
    }  # fmt: skip
    for n, rule in enumerate(rules):
        form |= {
            f"price_rules-{n}-id": rule.pk,
            f"price_rules-{n}-sku": sku.pk,
            f"price_rules-{n}-kind": rule.kind,
            f"price_rules-{n}-level": rule.level_id or "",
            f"price_rules-{n}-min_quantity": rule.min_quantity,
            f"price_rules-{n}-price_fen": "77.70",
        }
    form |= {
        "price_rules-1-DELETE": "on",
        "price_rules-2-sku": sku.pk,
        "price_rules-2-kind": "BREAK",
        "price_rules-2-level": "",
        "price_rules-2-min_quantity": "10",
        "price_rules-2-price_fen": "150",
    }
    answer = client.post(url("shop.Sku", "change", sku.pk), form)

    assert answer.status_code == 302, answer.content.decode()
    kept = Sku.objects.get(pk=sku.pk)
    assert (kept.name, kept.list_price_fen, kept.min_quantity) == ("500g", 199_90, 2)
    prices = PriceRule.objects.filter(sku=sku).values_list("kind", "min_quantity", "price_fen")
    assert set(prices) == {("MEMBER", 1, 77_70), ("BREAK", 10, 150_00)}


def test_a_price_rule_cannot_name_another_merchants_level(first, second):
    before = fingerprint()
    sku = first.rows["shop.Sku"]
    client = opened(first.people["OPERATOR"])
    form = {
        "name": sku.name, "is_active": "on", "list_price_fen": "100.00", "min_quantity": "1",
        **nothing("price_rules", "stock_events"), "price_rules-TOTAL_FORMS": "1",
        "price_rules-0-sku": sku.pk, "price_rules-0-kind": "LEVEL",
        "price_rules-0-level": second.pk("members.Level"),
        "price_rules-0-min_quantity": "1", "price_rules-0-price_fen": "1.00",
    }  # fmt: skip
    answer = client.post(url("shop.Sku", "change", sku.pk), form)

    assert answer.status_code == 200
    assert fingerprint() == before


def test_a_new_sku_has_a_stock_that_can_be_filled(first):
    client = opened(first.people["OPERATOR"])
    product = first.rows["shop.Product"]
    added = {"product": product.pk, "name": "1kg", "list_price_fen": "388", "min_quantity": "1"}
    client.post(url("shop.Sku", "add"), added)
    sku = Sku.objects.get(name="1kg")
    act(first, "OPERATOR", "shop.Sku", "adjust", {"change": "12", "reason": "首批入库"}, row=sku)

    assert sku.list_price_fen == 388_00
    assert Stock.objects.get(sku=sku).on_hand == 12
    assert StockEvent.objects.get(sku=sku).actor == first.people["OPERATOR"].number


def test_promised_pieces_cannot_be_counted_away(first):
    before = fingerprint()
    page = act(first, "OPERATOR", "shop.Sku", "adjust", {"change": "-1000", "reason": "盘亏"})

    assert "不能少于已占用的数量" in page.content.decode()
    assert fingerprint() == before


# --- live ---------------------------------------------------------------------------------------


def test_a_lot_is_put_up_and_closed_from_the_desk(first):
    session = first.rows["livestream.Session"]
    lot = {"sku": first.rows["shop.Sku"].number, "price_fen": "66.60", "quota": "2",
           "per_buyer_limit": "1"}  # fmt: skip
    act(first, "OPERATOR", "livestream.Session", "add_lot", lot)
    added = Lot.objects.filter(session=session).latest("pk")
    act(first, "OPERATOR", "livestream.Lot", "drop", row=added)
    assert (added.price_fen, fresh(added).status) == (66_60, "DROPPED")
    act(first, "OPERATOR", "livestream.Lot", "close", row=added)
    assert fresh(added).status == "CLOSED"
    again = act(first, "OPERATOR", "livestream.Lot", "drop", row=added)
    assert "状态已变化" in again.content.decode()


def test_another_merchants_goods_are_not_put_up(first, second):
    before = fingerprint()
    lot = {"sku": second.rows["shop.Sku"].number, "price_fen": "1", "quota": "1",
           "per_buyer_limit": "1"}  # fmt: skip
    page = act(first, "OPERATOR", "livestream.Session", "add_lot", lot)

    assert "内容不存在" in page.content.decode()
    assert fingerprint() == before
