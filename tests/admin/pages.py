"""How the tests open the admin's pages, and what they compare."""

from django.apps import apps
from django.test import Client
from django.urls import reverse

from members.accounts.models import User
from tests.admin.stage import Side


def url(label: str, page: str, *args: object) -> str:
    opts = apps.get_model(label)._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=args)


def opened(person: User | None) -> Client:
    client = Client()
    if person is not None:
        client.force_login(person, "django.contrib.auth.backends.ModelBackend")
    return client


def status(client: Client, address: str) -> int:
    return int(client.get(address).status_code)


def act(side: Side, post: str, label: str, name: str, answers=None, *, row=None):
    """The page of an act, sent by the person at that post; the page that follows."""
    pk = (row or side.rows[label]).pk
    client = opened(side.people[post])
    return client.post(url(label, name, pk), answers or {}, follow=True)


def choose(side: Side, post: str, label: str, name: str, *rows):
    client = opened(side.people[post])
    asked = {"action": name, "_selected_action": [row.pk for row in rows]}
    return client.post(url(label, "changelist"), asked, follow=True)


def fresh(row):
    return type(row)._default_manager.get(pk=row.pk)


def nothing(*prefixes: str) -> dict[str, str]:
    """The management forms of inlines in which nothing is typed."""
    return {
        f"{prefix}-{name}": "0"
        for prefix in prefixes
        for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")
    }


def fingerprint() -> dict[str, list[dict[str, object]]]:
    """Every row of ours, but for what a look leaves behind."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.app_label in {"payments", "members", "shop", "livestream"}
        and model._meta.label != "members.User"  # last_login
    }
