from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config.kit.middleware import refusal


def home(request: HttpRequest) -> HttpResponse:
    return redirect("admin:index")


urlpatterns = [
    path("", home),
    path("admin", home),
    path("admin/finance/", include("payments.overview.pages")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/v1/", include("members.urls")),
    path("api/v1/", include("shop.urls")),
    path("api/v1/", include("livestream.urls")),
    path("api/v1/", include("payments.urls")),
    path("", include("payments.alipay.pages")),
]


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal(request, 404)


def handler500(request: HttpRequest) -> HttpResponse:
    return refusal(request, 500)
