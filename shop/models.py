"""The tables of this app, for Django; nobody else imports this list."""

from shop.catalog.models import Category, PriceRule, Product, Sku
from shop.fulfilment.models import Shipment
from shop.inventory.models import Stock, StockEvent
from shop.offers.models import Offer
from shop.orders.models import HeldLine, Order, OrderEvent, OrderLine
from shop.wechat_shipping.models import ShippingEvent, ShippingReport, WeChatPush

__all__ = [
    "Category",
    "HeldLine",
    "Offer",
    "Order",
    "OrderEvent",
    "OrderLine",
    "PriceRule",
    "Product",
    "Shipment",
    "ShippingEvent",
    "ShippingReport",
    "Sku",
    "Stock",
    "StockEvent",
    "WeChatPush",
]
