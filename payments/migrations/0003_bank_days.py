"""Public holidays of 2026 and the days made up for them (国务院办公厅, notice of 2025-11-04)."""

from datetime import date, timedelta
from typing import Any

from django.db import migrations

# Name, first day and last day of rest, days of work.
HOLIDAYS = [
    ("元旦", date(2026, 1, 1), date(2026, 1, 3), [date(2026, 1, 4)]),
    ("春节", date(2026, 2, 15), date(2026, 2, 23), [date(2026, 2, 14), date(2026, 2, 28)]),
    ("清明节", date(2026, 4, 4), date(2026, 4, 6), []),
    ("劳动节", date(2026, 5, 1), date(2026, 5, 5), [date(2026, 5, 9)]),
    ("端午节", date(2026, 6, 19), date(2026, 6, 21), []),
    ("中秋节", date(2026, 9, 25), date(2026, 9, 27), []),
    ("国庆节", date(2026, 10, 1), date(2026, 10, 7), [date(2026, 9, 20), date(2026, 10, 10)]),
]


def rows() -> list[tuple[date, str, str]]:
    """Day, kind and name of each."""
    found = []
    for name, first, last, work in HOLIDAYS:
        rest = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        found += [(day, "REST", name) for day in rest] + [(day, "WORK", name) for day in work]
    return found


def fill(apps: Any, schema_editor: Any) -> None:
    bank_day = apps.get_model("payments", "BankDay")
    bank_day.objects.bulk_create(
        bank_day(day=day, kind=kind, name=name) for day, kind, name in rows()
    )


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_guards")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
