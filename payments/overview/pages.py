"""资金总览: one page of the admin on which finance sees all money, each number with its list."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.timezone import localtime, now

from config.kit.admin import tenants_of
from config.kit.columns import NOTHING, in_shanghai, in_yuan
from payments.cashier.queries import ENDED, owed_back_fen
from payments.cashier.rules import RefundStatus
from payments.offering.rules import TITLES, title_of
from payments.overview import charts, queries
from payments.overview.queries import Open, Tally, Tenants
from payments.overview.rules import AGES, DAYS, POTS, Course, days_until
from payments.payouts.rules import HOLDING, Status
from payments.transfers.rules import OPEN

Table = Mapping[str, Mapping[date, Tally]]
Address = Callable[[str, date, date], str]  # of what has a name, from one day to another
# A colour does not depend on what else there is.
PLACES = {pot.name: n for n, pot in enumerate(POTS)}
METHOD_PLACES = {method: n for n, method in enumerate(TITLES)}
STATE_COLOURS = {
    Status.ASKED: charts.AMBER,
    Status.APPROVED: charts.SKY,
    Status.SENDING: charts.BLUE,
    Status.DONE: charts.GREEN,
    Status.FAILED: charts.RED,
    Status.DECLINED: charts.GREY,
    Status.BOUNCED: charts.VIOLET,
}
OWED = [status for status in RefundStatus if status not in ENDED]


def may_look(request: HttpRequest) -> bool:
    """Who holds a post in finance, for at least one merchant or for the platform."""
    return tenants_of(request, "FINANCE") != frozenset()


def overview(request: HttpRequest) -> HttpResponse:
    if not may_look(request):
        raise PermissionDenied
    tenants, at = tenants_of(request, "FINANCE"), now()
    days = days_until(localtime(at).date())
    courses = [one for one in queries.courses(tenants, at) if not one.is_empty]
    received, payouts = queries.received(tenants, at), queries.payouts(tenants, at)
    open_ones = queries.differences(tenants, at)
    context = {
        **admin.site.each_context(request),
        "title": "资金总览",
        "is_fullwidth": "1",
        "at": in_shanghai(at),
        "days": DAYS,
        "is_empty": not (courses or received or payouts or open_ones),
        "parts": _parts(courses, days, tenants),
        "received": _by_method(received, days),
        "payouts": _by_state(payouts, days),
        "ages": [age.title for age in AGES],
        "differences": [_difference(one, days[-1]) for one in open_ones],
        "upload": reverse("admin:payments_statement_upload"),
    }
    return TemplateResponse(request, "admin/payments/overview.html", context)


def _parts(
    courses: Sequence[Course], days: Sequence[date], tenants: Tenants
) -> list[dict[str, Any]]:
    """For the platform what there is and whose it is; for merchants what is theirs."""
    if tenants is None:
        assets = [one for one in courses if one.pot.is_asset]
        debts = [one for one in courses if not one.pot.is_asset]
        parts = [_part("资产", assets, days, tenants), _part("负债", debts, days, tenants)]
        return [part for part in parts if part["cards"]]
    part = _part("本店的钱", courses, days, tenants)
    if fen := owed_back_fen(tenants):
        part["cards"].append(
            {
                "title": "应退买家",
                "value": in_yuan(fen),
                "change": "没有退完的退款单",
                "href": _refunds(),
            }
        )
    return [part] if part["cards"] else []


def listed(model: str, **asked: object) -> str:
    """The list of a model of this folder, as it explains a number."""
    address = reverse(f"admin:payments_{model}_changelist")
    return f"{address}?{urlencode(asked, safe=',')}" if asked else address


# --- balances -----------------------------------------------------------------------------------


def _part(
    title: str, courses: Sequence[Course], days: Sequence[date], tenants: Tenants
) -> dict[str, Any]:
    """A group of balances: cards, a chart of their course, and the same in figures."""
    lines = [(one.pot.title, charts.colour(PLACES[one.pot.name]), one.fen) for one in courses]
    return {
        "title": title,
        "cards": [
            {
                "title": one.pot.title,
                "note": one.pot.note,
                "value": in_yuan(one.now_fen),
                "change": f"{DAYS} 天 {_change(one.change_fen)}",
                "href": _explains(one, tenants),
            }
            for one in courses
        ],
        "chart": charts.lines(days, lines) if courses else "",
        "options": charts.LINES,
        "names": [one.pot.title for one in courses],
        "rows": [
            (
                f"{day:%m-%d}",
                [(in_yuan(one.fen[n]), _moved(one, day, tenants)) for one in courses],
            )
            for n, day in reversed(list(enumerate(days)))
        ],
    }


def _change(fen: int) -> str:
    return f"{'+' if fen > 0 else ''}{in_yuan(fen)}" if fen else "没有变化"


def _explains(one: Course, tenants: Tenants) -> str:
    """The accounts that make up a balance, or the rows that do."""
    if one.pot.name == "refund":
        return _refunds()
    if tenants is not None and one.pot.name == "suspense":
        return listed("statementline", verdict__in=",".join(OPEN))
    if tenants is not None and one.pot.name == "bank":
        return listed("dayclose")
    return listed("account", kind=",".join(one.pot.kinds))


def _moved(one: Course, day: date, tenants: Tenants) -> str:
    """What moved a balance on a day; receiving accounts are no merchant's to look at by entry."""
    if tenants is not None and one.pot.name in {"bank", "suspense"}:
        return listed("statementline", **_on("booked_at", day))
    return listed("entry", kind=",".join(one.pot.kinds), **_on("posting__at", day))


def _refunds() -> str:
    return listed("refund", status__in=",".join(OWED))


def _on(field: str, day: date, until: date | None = None) -> dict[str, object]:
    return {f"{field}_from": day, f"{field}_to": until or day}


# --- money that came, payouts -------------------------------------------------------------------


def _by_method(table: Table, days: Sequence[date]) -> dict[str, Any]:
    """By method, the one that brought most first."""

    def look(method: str) -> tuple[str, str]:
        return title_of(method), charts.colour(METHOD_PLACES.get(method, len(TITLES)))

    names = sorted(table, key=lambda name: (-_sum(table[name]).fen, name))

    def address(method: str, since: date, until: date) -> str:
        return listed(
            "receipt",
            method=method,
            **_on("received_at", since, until),
            undone_at__isempty=1,
        )

    return _stacked(table, names, days, look, address)


def _by_state(table: Table, days: Sequence[date]) -> dict[str, Any]:
    """By state in the order in which a payout goes through them."""

    def look(status: str) -> tuple[str, str]:
        return Status(status).label, STATE_COLOURS[Status(status)]

    def address(status: str, since: date, until: date) -> str:
        if status in HOLDING and since != until:
            return listed("payout", status__exact=status)  # however old
        return listed("payout", status__exact=status, **_on("asked_at", since, until))

    names = [status for status in Status.values if table.get(status)]
    return _stacked(table, names, days, look, address)


def _stacked(
    table: Table,
    names: Sequence[str],
    days: Sequence[date],
    look: Callable[[str], tuple[str, str]],
    address: Address,
) -> dict[str, Any]:
    """Bars a day, one upon the other by name; in all; and the same in figures.

    `look` says a name's title and colour.
    """
    looks = {name: look(name) for name in names}
    bars = [(*looks[name], [table[name].get(day, Tally()).fen for day in days]) for name in names]
    busy = [day for day in reversed(days) if any(day in table[name] for name in names)]
    return {
        "chart": charts.bars(days, bars) if names else "",
        "options": charts.BARS,
        "names": [looks[name][0] for name in names],
        "totals": [
            {"title": looks[name][0], **_told(_sum(table[name]), address(name, days[0], days[-1]))}
            for name in names
        ],
        "all": in_yuan(sum(_sum(table[name]).fen for name in names)),
        "rows": [
            (
                f"{day:%m-%d}",
                [_told(table[name].get(day, Tally()), address(name, day, day)) for name in names],
            )
            for day in busy
        ],
    }


def _sum(by_day: Mapping[date, Tally]) -> Tally:
    return sum(by_day.values(), Tally())


def _told(tally: Tally, href: str) -> dict[str, Any]:
    if not tally.count:
        return {"value": NOTHING, "count": "", "href": ""}
    return {"value": in_yuan(tally.fen), "count": f"{tally.count} 笔", "href": href}


# --- differences --------------------------------------------------------------------------------


def _difference(one: Open, today: date) -> dict[str, Any]:
    """A row: how many there are of each age, each with its list; in all, and how much."""
    cells = []
    for n, age in enumerate(AGES):
        tally = one.by_age.get(n, Tally())
        until = today - timedelta(days=age.since)
        since = None if age.until is None else today - timedelta(days=age.until)
        cells.append((tally.count, _differing(one, since, until) if tally.count else ""))
    return {
        "source": "渠道" if one.source == "CHANNEL" else "银行",
        "title": one.title,
        "cells": cells,
        "count": one.all.count,
        "fen": in_yuan(one.all.fen),
        "href": _differing(one, None, None),
    }


def _differing(one: Open, since: date | None, until: date | None) -> str:
    """A bank's are told on the days that differ; a channel's have rows of their own."""
    model, field, asked = (
        ("channeldifference", "found_at", {"closed_at__isempty": 1, "kind__exact": one.kind})
        if one.source == "CHANNEL"
        else ("dayclose", "day", {"status__exact": "DIFFERS"})
    )
    ends = {f"{field}_from": since, f"{field}_to": until}
    return listed(model, **asked, **{name: day for name, day in ends.items() if day})


urlpatterns = [path("", admin.site.admin_view(overview), name="finance_overview")]
