from django.urls import path

from payments.alipay import api as alipay
from payments.cashier import api as cashier
from payments.closing import api as closing
from payments.deposits import api as deposits
from payments.gift_cards import api as gift_cards
from payments.payouts import api as payouts
from payments.transfers import api as transfers
from payments.transfers import api_push as pushes
from payments.transfers import api_reversals as reversals
from payments.wallet import api as wallet
from payments.wechat_pay import api as wechat_pay

urlpatterns = [
    path("payments", cashier.Payments.as_view()),
    path("payments/methods", cashier.PaymentMethods.as_view()),
    path("payments/<str:number>", cashier.PaymentDetail.as_view()),
    path("payments/<str:number>/refunds/<str:refund>/return", cashier.OwedReturn.as_view()),
    *transfers.urlpatterns,
    *reversals.urlpatterns,
    *pushes.urlpatterns,
    *closing.urlpatterns,
    *payouts.urlpatterns,
    *deposits.urlpatterns,
    *wallet.urlpatterns,
    *gift_cards.urlpatterns,
    *wechat_pay.urlpatterns,
    *alipay.urlpatterns,
]
