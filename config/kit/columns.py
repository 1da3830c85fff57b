"""How staff see values and type them: yuan, Shanghai time, coloured words."""

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import DateTimeField, ForeignKey, JSONField, Model, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime, make_aware
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.contrib.filters.admin.text_filters import TextFilter
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from config.kit.money import yuan

Column = Callable[[Any], Any]
NOTHING = "—"


def titled(column: Column, title: str, order: str | None) -> Column:
    if order:
        column.__name__ = f"shown_{order}"  # unfold lays a cell out by its name
    column.short_description = title  # type: ignore[attr-defined]
    column.admin_order_field = order  # type: ignore[attr-defined]
    return column


def in_yuan(fen: int | None) -> str:
    if fen is None:
        return NOTHING
    return f"-¥{yuan(-fen)}" if fen < 0 else f"¥{yuan(fen)}"


def in_shanghai(at: datetime | None) -> str:
    """To the minute; staff never see an offset."""
    return NOTHING if at is None else f"{localtime(at):%Y-%m-%d %H:%M}"


def label(text: str, colour: str = "") -> SafeString:
    """One word on a coloured ground: info, success, warning, danger, primary or grey."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})


def money(field: str, title: str) -> Column:
    """A column in yuan for a `…_fen` field."""
    return titled(lambda row: in_yuan(getattr(row, field)), title, field)


def shown(
    model: type[Model],
    name: str,
    colours: Mapping[Any, str] | None = None,
    words: Mapping[str, str] | None = None,
) -> Column | None:
    """A column that shows a model's field as people read it; None: Django does it well enough.

    `colours` by value make labels; `words` say values (or the keys of a JSON object) in Chinese.
    """
    field = model._meta.get_field(name)
    title = str(getattr(field, "verbose_name", name))
    if name.endswith("_fen"):
        return money(name, title.replace("(分)", ""))
    as_read = _reader(field, name, colours, words)
    sortable = None if isinstance(field, JSONField) or name == "actor" else name
    return as_read and titled(as_read, title, sortable)


def _reader(
    field: Any, name: str, colours: Mapping[Any, str] | None, words: Mapping[str, str] | None
) -> Column | None:
    if name == "actor":
        return _actor
    kinds: Mapping[type, Column] = {
        DateTimeField: in_shanghai,
        JSONField: lambda value: _facts(value, words or {}),
        ForeignKey: related,
    }
    for kind, read in kinds.items():
        if isinstance(field, kind):
            return lambda row: read(getattr(row, name))
    if colours is not None or words is not None or getattr(field, "choices", None):
        return _word(name, field, colours, words or {})
    return None


def _word(
    name: str, field: Any, colours: Mapping[Any, str] | None, words: Mapping[str, str]
) -> Column:
    choices = dict(field.flatchoices)

    def column(row: Any) -> str:
        value = getattr(row, name)
        text = words.get(value) or str(choices.get(value, value))
        if not value:
            return NOTHING
        return text if colours is None else label(text, colours.get(value, ""))

    return column


def _actor(row: Any) -> str:
    """Rows name people by number; inlines know their names too (`actor_name`)."""
    if not row.actor:
        return "系统"
    return getattr(row, "actor_name", None) or str(row.actor)


def _facts(value: Any, words: Mapping[str, str]) -> str:
    if not value:
        return NOTHING
    if isinstance(value, dict):
        lines = [f"{words.get(key, key)}：{_plain(item)}" for key, item in value.items()]
    else:
        lines = [_plain(item) for item in value]
    return format_html_join(SafeString("<br>"), "{}", ((line,) for line in lines))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "，".join(f"{key} {_plain(item)}" for key, item in value.items())
    return NOTHING if value in (None, "") else str(value)


def related(row: Model | None) -> str:
    """The row's name; with a link where those who see the one may see the other."""
    if row is None:
        return NOTHING
    target = admin.site._registry.get(type(row))
    if not getattr(target, "is_for_tenants", False):
        return str(row)
    opts = row._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
    return format_html('<a href="{}" class="text-link">{}</a>', url, row)


# --- typing -------------------------------------------------------------------------------------


class YuanField(forms.DecimalField):
    """Typed in yuan, kept in fen."""

    widget = UnfoldAdminDecimalFieldWidget

    def __init__(self, **more: Any) -> None:
        more |= {"max_digits": 12, "decimal_places": 2}
        more.setdefault("min_value", Decimal("0.01"))
        super().__init__(**more)

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else int(amount * 100)

    def prepare_value(self, value: Any) -> Any:
        return yuan(value).replace(",", "") if isinstance(value, int) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


# --- filters ------------------------------------------------------------------------------------


class DayFilter(RangeDateFilter):
    """From one day to another in Shanghai, the last one included."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first = _day(self.used_parameters.get(f"{self.parameter_name}_from"))
        last = _day(self.used_parameters.get(f"{self.parameter_name}_to"))
        if first:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": first})
        if last:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": last + timedelta(days=1)})
        return queryset


def _day(typed: Any) -> datetime | None:
    try:
        day = parse_date(str(typed or ""))
    except ValueError:
        return None
    return make_aware(datetime.combine(day, time.min)) if day else None


def text_filter(name: str, label: str, path: str) -> type[TextFilter]:
    """Rows whose `path` contains what is typed.

    For names of tenants: a list to choose from would tell who else there is.
    """

    class Typed(TextFilter):
        title = label
        parameter_name = name

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            typed = (self.value() or "").strip()
            return queryset.filter(**{f"{path}__icontains": typed}) if typed else queryset

    return Typed
