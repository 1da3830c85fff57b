"""The admin classes of this app, for Django; nobody else imports this list."""

from shop.catalog.admin import CategoryAdmin, ProductAdmin
from shop.fulfilment.admin import OrderDesk, ShipmentAdmin
from shop.inventory.admin import SkuAdmin
from shop.offers.admin import OfferAdmin
from shop.orders.admin_held import HeldLineAdmin
from shop.wechat_shipping.admin import ShippingReportAdmin, WeChatPushAdmin

__all__ = [
    "CategoryAdmin",
    "HeldLineAdmin",
    "OfferAdmin",
    "OrderDesk",
    "ProductAdmin",
    "ShipmentAdmin",
    "ShippingReportAdmin",
    "SkuAdmin",
    "WeChatPushAdmin",
]
