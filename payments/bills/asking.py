"""What a bill knows more of than we do is asked about, one by one, and never without end."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import connection

AT_ONCE = 200


def ask_each(
    unheard: Iterable[tuple[str, Callable[[int, datetime], None]]],
    batch: str,
    *,
    at: datetime,
    most: int,
) -> bool:
    """Each statement answers the next ids of a batch, above the last one: those are asked about.

    False: there are more than `most`.  Raises what asking raises.
    """
    asked = 0
    for statement, hear in unheard:
        last = 0
        while ids := _ids(statement, batch, last):
            for pk in ids:
                if asked == most:
                    return False
                hear(pk, at)
                asked += 1
            last = ids[-1]
    return True


def _ids(statement: str, batch: str, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [batch, after, AT_ONCE])
        return [pk for (pk,) in cursor.fetchall()]
