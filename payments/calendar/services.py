from datetime import date

from payments.calendar.models import BankDay


def declare(*, day: date, kind: str, name: str) -> BankDay:
    """What a day is from now on; deadlines that were promised stay."""
    row, _ = BankDay.objects.update_or_create(day=day, defaults={"kind": kind, "name": name})
    return row
