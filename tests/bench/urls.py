from django.urls import path

from config import urls as product
from tests.bench import views

urlpatterns = [
    path("limits/bare", views.bare),
    path("limits/cached", views.cached),
    path("limits/values", views.values),
    path("limits/built", views.built),
    path("limits/order", views.order),
    path("limits/wallet", views.wallet),
    *product.urlpatterns,
]
handler404 = product.handler404
handler500 = product.handler500
