"""Orders paid by WeChat Pay, a clerk who ships, and WeChat's 发货信息管理 in the sandbox."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from payments.cashier import queries
from payments.cashier import services as cashier
from payments.wechat_pay import services as wechat_pay
from payments.wechat_pay.models import WeChatTrade
from shop.fulfilment import services as fulfilment
from shop.fulfilment.models import Shipment
from shop.orders.models import Order
from shop.wechat_shipping import sending, services, tasks
from shop.wechat_shipping.models import ShippingReport
from tests.factories import make_member, make_merchant, make_sku, place
from tests.sandbox.shipping import ORDER
from tests.sandbox_fixtures import Sandbox

UPLOAD = f"{ORDER}/upload_shipping_info"
QUERY = f"{ORDER}/get_order"


@dataclass
class Scene:
    sandbox: Sandbox

    # --- the shop

    def paid(self, *, skus: int = 1) -> Order:
        """An order of so many lines, paid by WeChat Pay, before WeChat was told anything."""
        merchant = make_merchant()
        buyer = make_member(merchant)
        order = self._placed(merchant, buyer, skus)
        payment = cashier.open_payment(
            payer_id=buyer.pk, purpose="ORDER", reference=order.number, method="WECHAT", at=now()
        )
        cashier.prepare(payment=payment, at=now())
        [shown] = queries.shown([payment])
        self.sandbox.control("wechat-pay/pay", request_payment=shown["instructions"])
        trade = WeChatTrade.objects.select_related("payment").get(payment=payment)
        wechat_pay.ask(trade=trade, at=now())
        order.refresh_from_db()
        assert order.status == "PAID"
        return order

    def _placed(self, merchant: Any, buyer: Any, skus: int) -> Order:
        from shop.checkout.rules import Item
        from shop.orders import services as orders
        from shop.orders.rules import Wish
        from tests.factories import HOME

        if skus == 1:
            return place(buyer, make_sku(merchant), at=now())
        items = [Item(make_sku(merchant, title=f"茶{n}").number, 1) for n in range(skus)]
        wish = Wish(buyer_id=buyer.pk, items=items, consignee=HOME)
        return orders.place_one(wish=wish, at=now())[0]

    def ship(
        self,
        order: Order,
        number: str = "ZT1001",
        carrier: str = "中通快递",
        lines: list[int] | None = None,
    ) -> Shipment:
        order.refresh_from_db()
        return fulfilment.ship(
            order=order,
            lines=lines,
            carrier=carrier if number else "",
            tracking_no=number,
            no_logistics=not number,
            evidence="",
            actor="",
            at=now(),
        )

    def sweep(self) -> None:
        tasks.report()

    def report(self, order: Order) -> ShippingReport:
        return ShippingReport.objects.select_related("trade", "order").get(order=order)

    def later(self, order: Order) -> None:
        """As if the wait before the next attempt were over."""
        waiting = ShippingReport.objects.filter(order=order, next_try_at__isnull=False)
        waiting.update(next_try_at=now() - timedelta(seconds=1))
        self.sweep()

    def compare(self, order: Order, at: datetime | None = None) -> ShippingReport:
        sending.compare(report=self.report(order), at=at or now())
        return self.report(order)

    def correct(self, order: Order, number: str, carrier: str = "中通快递") -> None:
        services.correct(
            report=self.report(order),
            shipment=Shipment.objects.filter(order=order).latest("pk"),
            carrier=carrier,
            tracking_no=number,
            actor="U1",
            at=now(),
        )

    # --- the world

    def id_of(self, order: Order) -> str:
        return str(WeChatTrade.objects.get(payment__reference=order.number).transaction_id)

    def at_wechat(self, order: Order) -> dict[str, Any]:
        """What WeChat knows of the order's payment."""
        seen = self.sandbox.get("/__sandbox__/shipping/orders").json()
        [found] = [one for one in seen if one["transaction_id"] == self.id_of(order)]
        return dict(found)

    def numbers(self, order: Order) -> list[str]:
        listed = self.at_wechat(order)["shipping"]["shipping_list"]
        return [one["tracking_no"] for one in listed]

    def uploads(self) -> list[dict[str, Any]]:
        return [entry["body"] for entry in self.sandbox.journal(UPLOAD)]

    def happens(self, what: str, order: Order, **more: Any) -> None:
        self.sandbox.control(f"shipping/{what}", transaction_id=self.id_of(order), **more)
