from django.urls import path

from shop.catalog import api as catalog
from shop.checkout import api as checkout
from shop.fulfilment import api as fulfilment
from shop.orders import api as orders
from shop.orders import api_guarantee as guarantee
from shop.wechat_shipping import api as wechat_shipping

urlpatterns = [
    path("products", catalog.Products.as_view()),
    path("products/<str:number>", catalog.ProductDetail.as_view()),
    path("quotes", checkout.Quotes.as_view()),
    path("orders", orders.Orders.as_view()),
    path("orders/<str:number>", orders.OrderDetail.as_view()),
    path("orders/<str:number>/cancel", orders.OrderCancel.as_view()),
    path("orders/<str:number>/confirm-receipt", orders.OrderConfirmReceipt.as_view()),
    path("orders/<str:number>/shipments", fulfilment.Shipments.as_view()),
    path("merchants/<str:number>/guarantee", guarantee.ShopGuarantee.as_view()),
    path("staff/orders", fulfilment.StaffOrders.as_view()),
    *wechat_shipping.urlpatterns,
]
