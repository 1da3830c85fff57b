from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from config.kit.errors import StaleState

Table = Mapping[Any, frozenset[Any]]


def sources(to: str, table: Table) -> list[str]:
    """The states from which the written table allows `to`."""
    return [state for state, targets in table.items() if to in targets]


def move(row: QuerySet[Any], to: str, table: Table, **changes: Any) -> None:
    """Compare-and-set one row's status, along an allowed edge only; StaleState if it was too late.

    The UPDATE itself is the lock: of two concurrent callers one changes a row, the other none.
    """
    if row.filter(status__in=sources(to, table)).update(status=to, **changes) != 1:
        raise StaleState


def known(field: str, values: list[Any]) -> Q:
    """The condition of a `…_status_known` constraint."""
    return Q(**{f"{field}__in": values})
