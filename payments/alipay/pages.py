"""Our own cashier page (H5): whoever holds a link may look, and leave for Alipay to pay.

No cookie, no form, no script but our own file: the token in the address is all that counts, so it
goes nowhere else (no referrer), and answers are kept by nobody.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from config.kit import limits
from config.kit.errors import Refusal, StaleState
from config.kit.limits import TooManyRequests
from config.kit.money import yuan
from payments.alipay import offers, queries, services
from payments.alipay.queries import Linked
from payments.alipay.rules import Page
from payments.channels.answers import ChannelRefused

PER_LINK = (90, 60)  # looks, seconds; the page itself asks twenty times a minute
WRONG_LINKS = (20, 60)  # of one address; who has a right one is not counted there
# WeChat's browser does not open Alipay.
IN_WECHAT = "MicroMessenger"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
View = Callable[[HttpRequest, Linked, str], HttpResponse]


def _of_holder(view: View) -> Callable[[HttpRequest, str], HttpResponse]:
    """For whoever holds the token of a link; a page for everybody else, too."""

    @require_GET  # not HEAD: a robot that checks links must not press the button
    @wraps(view)
    def answer(request: HttpRequest, token: str) -> HttpResponse:
        try:
            linked = _linked(request, token)
            said = view(request, linked, token) if linked else _page(request, None, token, 404)
        except TooManyRequests as no:
            said = _page(request, None, token, no.status, notice=str(no))
            said["Retry-After"] = str(no.details["retry_after"])
        said["Content-Security-Policy"] = POLICY
        said["Cache-Control"] = "private, no-store"
        said["Referrer-Policy"] = "no-referrer"
        said["X-Robots-Tag"] = "noindex"
        return said

    return answer


def _linked(request: HttpRequest, token: str) -> Linked | None:
    if not settings.ALIPAY:
        return None
    linked = queries.linked(token, now())
    if linked is None:
        limits.allow(f"pay:wrong:{limits.address_of(request)}", *WRONG_LINKS)
        return None
    limits.allow(f"pay:{linked.payment.number}", *PER_LINK)
    return linked


def _page(
    request: HttpRequest,
    linked: Linked | None,
    token: str,
    status: int = 200,
    *,
    notice: str = "",
    is_back: bool = False,
) -> HttpResponse:
    told: dict[str, Any] = {"notice": notice, "page": "WRONG", "title": "链接无效"}
    if linked:
        payment = linked.payment
        left = max(0, int((linked.expires_at - now()).total_seconds()))
        told = {
            "notice": notice,
            "page": "CONFIRMING" if is_back and linked.page == Page.OPEN else linked.page.name,
            "title": linked.page.label,
            "payment": payment,
            "payee": queries.payee(payment.merchant),
            "amount": yuan(payment.amount_fen - payment.wallet_fen),
            "expires_at": linked.expires_at,
            "left": left,
            "clock": f"{left // 3600:02d}:{left // 60 % 60:02d}:{left % 60:02d}",
            "address": offers.page_url(token),
            "token": token,
            "is_in_wechat": IN_WECHAT in request.headers.get("User-Agent", ""),
        }
    return render(request, "payments/cashier.html", told, status=status)


@_of_holder
def cashier(request: HttpRequest, linked: Linked, token: str) -> HttpResponse:
    return _page(request, linked, token)


@_of_holder
def leave(request: HttpRequest, linked: Linked, token: str) -> HttpResponse:
    """The button: to Alipay, while there is something to pay."""
    if linked.page != Page.OPEN or IN_WECHAT in request.headers.get("User-Agent", ""):
        return HttpResponseRedirect(reverse("cashier", args=[token]))
    try:
        address = offers.leave_for_alipay(
            payment=linked.payment, return_url=f"{offers.page_url(token)}/back", at=now()
        )
    except ChannelRefused:
        return _page(request, linked, token, 409, notice="支付宝暂时不能受理，请换一种支付方式")
    except StaleState:
        return _page(request, linked, token, 409, notice="订单已不需要付款，请回到小程序查看")
    except Refusal as no:
        return _page(request, linked, token, no.status, notice=str(no))
    return HttpResponseRedirect(address)


@_of_holder
def back(request: HttpRequest, linked: Linked, token: str) -> HttpResponse:
    """From Alipay, with parameters that prove nothing: it is asked."""
    if linked.page != Page.OPEN:
        return HttpResponseRedirect(reverse("cashier", args=[token]))
    services.ask_soon(payment=linked.payment)
    return _page(request, linked, token, is_back=True)


@_of_holder
def state(request: HttpRequest, linked: Linked, token: str) -> HttpResponse:
    """What the page asks while it is open."""
    return JsonResponse({"page": linked.page.name})


urlpatterns = [
    path("pay/<str:token>", cashier, name="cashier"),
    path("pay/<str:token>/alipay", leave, name="cashier-leave"),
    path("pay/<str:token>/back", back, name="cashier-back"),
    path("pay/<str:token>/state", state, name="cashier-state"),
]
