from django.urls import path

from members.accounts import api as accounts
from members.guarantee import api as guarantee
from members.guides import api as guides
from members.memberships import api as memberships

urlpatterns = [
    path("auth/wechat", accounts.WeChatLogin.as_view()),
    path("auth/staff", accounts.StaffLogin.as_view()),
    path("auth/logout", accounts.Logout.as_view()),
    path("auth/logout-all", accounts.LogoutAll.as_view()),
    path("me", accounts.Me.as_view()),
    path("me/addresses", accounts.Addresses.as_view()),
    path("me/addresses/<str:number>", accounts.AddressDetail.as_view()),
    path("merchants/<str:number>", memberships.MerchantDetail.as_view()),
    path("merchants/<str:number>/posts", memberships.Posts.as_view()),
    path("staff/merchants/<str:number>/guarantee", guarantee.MerchantGuarantee.as_view()),
    path("memberships", memberships.Memberships.as_view()),
    path("memberships/<str:merchant>/leave", memberships.Leave.as_view()),
    path("guides/me/share-codes", guides.ShareCodes.as_view()),
    path("guides/me/share-codes/<str:code>/qr.png", guides.ShareCodeImage.as_view()),
    path("guides/me/commissions", guides.Commissions.as_view()),
    path("guides/me/customers", guides.Customers.as_view()),
    path("guides/me/summary", guides.Summary.as_view()),
    path("scenes/<str:code>", guides.Scene.as_view()),
]
