"""Staff look freely at what is theirs, and act only through services."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.admin.utils import flatten, unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.db.models import F, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline

from config.kit.columns import Column, YuanField, money, shown, text_filter
from config.kit.errors import Refusal
from config.kit.questions import Question, Reason, Sure
from config.kit.viewer import Viewer

__all__ = [
    "Edit", "Lines", "Look", "Question", "Reason", "Sure", "each", "money", "name_of", "viewer_of",
]  # fmt: skip


# --- who may ------------------------------------------------------------------------------------


def viewer_of(request: HttpRequest) -> Viewer:
    return cast(Viewer, request.user)


def tenants_of(request: HttpRequest, role: str) -> frozenset[str] | None:
    """Numbers of the tenants for which this person has a role; None: all (platform)."""
    user = request.user
    if not (user.is_active and getattr(user, "is_staff", False)):
        return frozenset()
    return viewer_of(request).tenants(role)


class OfTenants:
    """Whose the rows are, and who may look at them and act on them.

    `tenant_path` leads from the row to its tenant's public number; without one the rows are for
    the platform's staff, or (`is_shared`) for all.  `role` looks, `act_role` acts.
    """

    tenant_path: ClassVar[str] = ""
    role: ClassVar[str] = "STAFF"
    act_role: ClassVar[str] = "PLATFORM"
    is_shared: ClassVar[bool] = False

    @property
    def is_for_tenants(self) -> bool:
        return bool(self.tenant_path or self.is_shared)

    def may(self, request: HttpRequest, role: str) -> bool:
        """Whether this person has the role for anybody whose rows may be here."""
        tenants = tenants_of(request, role)
        return tenants is None or bool(tenants and self.is_for_tenants)

    def rows_of(self, rows: QuerySet[Any], request: HttpRequest, role: str) -> QuerySet[Any]:
        """Of these rows the ones for whose tenants this person has the role."""
        tenants = tenants_of(request, role)
        if tenants is None:
            return rows
        if not tenants or not self.is_for_tenants:
            return rows.none()
        return rows if self.is_shared else rows.filter(self.owned_by(tenants))

    def owned_by(self, tenants: frozenset[str]) -> Q:
        return Q(**{f"{self.tenant_path}__in": tenants})


# --- how rows are shown ---------------------------------------------------------------------------


class Shown:
    """Fields by name become columns as people read them.

    `colours`: by field, the colour of a value's label.  `words`: by field, Chinese for values
    that have no choices, or for the keys of a JSON object.
    """

    model: type[Model]
    colours: ClassVar[Mapping[str, Mapping[Any, str]]] = {}
    words: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def typed(self, request: HttpRequest, obj: Any) -> Sequence[str]:
        """The fields that this person may type into now; all others are shown."""
        return ()

    def column(self, name: Any) -> str | Column:
        """The same function for the same name every time: Django compares them."""
        if not isinstance(name, str) or callable(getattr(type(self), name, None)):
            return cast(Column, name)
        known: dict[str, str | Column] = self.__dict__.setdefault("_shown_columns", {})
        if name not in known:
            try:
                made = shown(self.model, name, self.colours.get(name), self.words.get(name))
            except FieldDoesNotExist:
                made = None
            known[name] = made or name
        return known[name]

    def columns(self, names: Sequence[Any], typed: Sequence[str]) -> list[Any]:
        return [
            self.columns(name, typed)
            if isinstance(name, list | tuple)
            else name
            if name in typed
            else self.column(name)
            for name in names
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        typed = self.typed(request, obj)
        return [
            (title, {**options, "fields": self.columns(options["fields"], typed)})
            for title, options in self.named_fields(request, obj)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        typed = self.typed(request, obj)
        names = [
            name
            for _, options in self.named_fields(request, obj)
            for name in flatten(options["fields"])
        ]
        return [self.column(name) for name in names if name not in typed]

    def named_fields(self, request: HttpRequest, obj: Any) -> Sequence[tuple[Any, Any]]:
        return self.fieldsets or [(None, {"fields": self.fields})]  # type: ignore[attr-defined]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        if db_field.name.endswith("_fen"):
            label = str(db_field.verbose_name).replace("(分)", "(元)")
            return YuanField(label=label, required=not db_field.blank)
        field = super().formfield_for_dbfield(db_field, request, **more)  # type: ignore[misc]
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget  # no pop-ups to add and change what is chosen
        return field


class Look(Shown, OfTenants, ModelAdmin):
    """A list and a page to read; rows of one's own tenants only.

    Acts are unfold's actions with permissions=["act"], each of which asks first (`ask`) and then
    calls one service.  `offered` says by an act's name when a row's page offers it.
    `tenant_columns` are shown only to those who see more than one tenant.
    """

    offered: ClassVar[Mapping[str, Callable[[Any], bool]]] = {}
    tenant_columns: ClassVar[Sequence[str]] = ("merchant",)
    tenant_name_path: ClassVar[str] = ""
    list_filter_submit = True
    list_fullwidth = True
    show_full_result_count = False
    list_per_page = 50
    compressed_fields = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.role)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """For actions; on which rows, `row_to_act_on` and `each` decide."""
        return self.may(request, self.act_role)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.rows_of(super().get_queryset(request), request, self.role)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        names = super().get_list_display(request)
        if not self._sees_many(request):
            names = [name for name in names if name not in self.tenant_columns]
        return self.columns(names, ())

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        filters = list(super().get_list_filter(request))
        if self.tenant_name_path and self._sees_many(request):
            filters.insert(0, text_filter("tenant", "所属", self.tenant_name_path))
        return filters

    def _sees_many(self, request: HttpRequest) -> bool:
        tenants = tenants_of(request, self.role)
        return tenants is None or len(tenants) > 1

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        """To choose from: only rows of those for whom this person may act."""
        more.setdefault("queryset", self.choices_of(db_field.remote_field.model, request))
        return super().formfield_for_foreignkey(db_field, request, **more)

    def choices_of(self, model: type[Model], request: HttpRequest) -> QuerySet[Any]:
        rows = model._default_manager.all()
        target = self.admin_site._registry.get(model)
        if not isinstance(target, OfTenants):
            return rows.none()
        return target.rows_of(rows, request, target.role if target.is_shared else self.act_role)

    # --- acting ---------------------------------------------------------------------------------

    def row_to_act_on(self, request: HttpRequest, object_id: str) -> Any:
        """None for unknown rows and those of others."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return None
        mine = self.rows_of(self.model._default_manager.filter(pk=row.pk), request, self.act_role)
        return row if mine.exists() else None

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        acts = super().get_actions_detail(request, object_id)
        row = self.row_to_act_on(request, str(object_id)) if acts else None
        return [act for act in acts if row is not None and self._is_offered(act, row)]

    def _is_offered(self, act: Any, row: Any) -> bool:
        condition = self.offered.get(act.method.original_function_name)
        return condition is None or condition(row)

    def ask_about(
        self,
        request: HttpRequest,
        object_id: str,
        question: type[Question],
        act: Callable[[Any, dict[str, Any]], Any],
        *,
        title: str,
        **page: Any,
    ) -> HttpResponse:
        """A page that asks what an act on a row needs to know, and does it.

        More for the page may be functions of the row.
        """
        row = self.row_to_act_on(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return self.ask(
            request,
            question,
            lambda answers: act(row, answers),
            row=row,
            title=title,
            back=self.url_of("change", row.pk),
            **{name: more(row) if callable(more) else more for name, more in page.items()},
        )

    def ask(
        self,
        request: HttpRequest,
        question: type[Question],
        act: Callable[[dict[str, Any]], Any],
        *,
        title: str,
        back: str,
        row: Any = None,
        template: str = "admin/ask.html",
        outside: Callable[[dict[str, Any]], Any] | None = None,
        **page: Any,
    ) -> HttpResponse:
        """Act on POST with a sound form.  What the service refuses is said, and nothing is done.

        `act` may answer the address to go to afterwards; otherwise it is `back`.  `outside` comes
        before it and outside its transaction: where others are asked over the network.
        """
        is_answered = request.method == "POST"
        form = question(
            request.POST if is_answered else None,
            request.FILES if is_answered else None,
            row=row,
            request=request,
        )
        if is_answered and form.is_valid():
            try:
                if outside:
                    outside(form.cleaned_data)
                with transaction.atomic():
                    result = act(form.cleaned_data)
                    if row is not None:
                        self.log_change(request, row, form.told(title))
            except Refusal as refusal:
                form.add_error(None, str(refusal))
            else:
                self.message_user(request, f"{title}：已完成", messages.SUCCESS)
                return HttpResponseRedirect(result if isinstance(result, str) else back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "original": row,
            "form": form,
            "facts": self.facts(row) if row is not None else [],
            "back": back,
            **page,
        }
        return TemplateResponse(request, template, context)

    def facts(self, row: Any) -> Sequence[tuple[str, Any]]:
        """What is shown beside a question about a row: names and values."""
        return [(str(self.opts.verbose_name), row)]

    def url_of(self, page: str, *args: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)


class Edit(Look):
    """Plain data that may be typed; saving goes through `keep`, which calls a service.

    `editable` fields of an existing row, `addable` fields of a new one; nothing else is saved.
    """

    editable: ClassVar[Sequence[str]] = ()
    addable: ClassVar[Sequence[str]] = ()

    def keep(self, request: HttpRequest, row: Any, values: dict[str, Any]) -> None:
        """Change these fields of a row, through a service."""
        raise NotImplementedError

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Any:
        """Make a row, through a service; answers it."""
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.addable) and self.may(request, self.act_role)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not self.editable or not self.may(request, self.act_role):
            return False
        if obj is None or viewer_of(request).is_platform:
            return True
        rows = self.model._default_manager.filter(pk=obj.pk)
        return self.rows_of(rows, request, self.act_role).exists()

    def typed(self, request: HttpRequest, obj: Any) -> Sequence[str]:
        if obj is None:
            return self.addable
        return self.editable if self.has_change_permission(request, obj) else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Who acts for one tenant alone need not choose it."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        for name in self.addable:
            if name in self.tenant_columns:
                tenant = self.model._meta.get_field(name).related_model
                only = list(self.choices_of(tenant, request)[:2])  # type: ignore[arg-type]
                if len(only) == 1:
                    initial[name] = only[0].pk
        return initial

    def named_fields(self, request: HttpRequest, obj: Any) -> Sequence[tuple[Any, Any]]:
        if obj is None:
            return [(None, {"fields": list(self.addable)})]
        return super().named_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        names = form.changed_data if change else self.addable
        values = {name: form.cleaned_data[name] for name in names if name in form.cleaned_data}
        if not change:
            made = self.add(request, values)
            obj.pk = made.pk
            obj.refresh_from_db()
        elif values:
            self.keep(request, obj, values)

    def keep_lines(self, request: HttpRequest, row: Any, formset: Any) -> None:
        """What was typed into an inline, through a service; `formset` was not saved."""

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        self.keep_lines(request, form.instance, formset)

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """A row that does not exist yet has no lines."""
        return [] if obj is None else list(super().get_inline_instances(request, obj))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            answer = super().changeform_view(request, object_id, form_url, extra_context)
        except Refusal as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.path)
        return cast(HttpResponse, answer)


class Lines(Shown, TabularInline):
    """Rows that belong to the one shown; `with_related` are joined."""

    extra = 0
    can_delete = False
    show_change_link = False
    hide_title = True
    per_page: int | None = 50
    with_related: ClassVar[Sequence[str]] = ()
    in_order: ClassVar[Sequence[str]] = ("pk",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever may see the row may see its lines

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related(*self.with_related)
        if not self.with_related:
            rows = rows.select_related(None)
        if "actor" in self.fields:
            rows = rows.annotate(actor_name=name_of("actor"))
        return cast(QuerySet[Any], rows.order_by(*self.in_order))


def name_of(number_field: str) -> Subquery:
    people = get_user_model()._default_manager.filter(number=OuterRef(number_field))
    name = Coalesce(NullIf(F("nickname"), Value("")), F("username"))
    return Subquery(people.values(name=name)[:1])


def each(
    model_admin: Look,
    request: HttpRequest,
    rows: QuerySet[Any],
    act: Callable[[Any], Any],
    done: str,
) -> None:
    """Call a service for every chosen row; a refusal is shown and stops no other row."""
    mine = model_admin.rows_of(rows, request, model_admin.act_role)
    count = 0
    for row in mine:
        try:
            with transaction.atomic():
                act(row)
                model_admin.log_change(request, row, done)
            count += 1
        except Refusal as refusal:
            model_admin.message_user(request, f"{row}：{refusal}", messages.WARNING)
    if count:
        model_admin.message_user(request, f"{done} {count} 条", messages.SUCCESS)
    elif not mine:
        model_admin.message_user(request, "没有您可以处理的记录", messages.WARNING)
