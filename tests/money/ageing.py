"""Time passes: everything that we remember is so much older, and nobody's clock is moved.

For channels refuse what is signed at another time, and rows say when things were.
"""

from datetime import timedelta
from functools import cache

from django.apps import apps
from django.db import connection
from django.db.models import DateTimeField

APPS = ("payments", "members", "shop")


@cache
def _moments() -> str:
    """One statement for all tables that know times: an UPDATE of each is what costs."""
    updates = []
    for app in APPS:
        for model in apps.get_app_config(app).get_models():
            fields = [one for one in model._meta.local_fields if isinstance(one, DateTimeField)]
            if fields:
                sets = ", ".join(f'"{one.column}" = "{one.column}" - %(by)s' for one in fields)
                table = model._meta.db_table
                updates.append(f'UPDATE "{table}" SET {sets}')  # noqa: S608  our own names
    named = ", ".join(f"t{n} AS ({update})" for n, update in enumerate(updates))
    return f"WITH {named} SELECT"


def grow_old(by: timedelta) -> None:
    """Also what is only added to: its guards are told to look away, as nothing is changed."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute(_moments(), {"by": by})
        finally:  # whoever dies of it, too
            cursor.execute("SET session_replication_role = origin")
