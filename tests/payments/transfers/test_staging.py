"""The table in which rows wait is empty nearly always: the planner must not believe that."""

from collections.abc import Iterator

import pytest
from django.db import connection

from payments.transfers import staging
from tests.payments.transfers.bank import ACCOUNT, booking

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 3_000


@pytest.fixture
def believed_empty() -> Iterator[None]:
    """As VACUUM ANALYZE leaves it between two files, when it could not give its pages back."""
    for _ in staging.stage("EARLIER", ACCOUNT, [booking(100) for _ in range(ROWS)]):
        pass
    staging.clear("EARLIER")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE, TRUNCATE false) payments_stagedline")
    yield
    staging.clear("BATCH")


def plans() -> list[str]:
    """How twins are told apart, while rows are staged."""
    seen = []

    def look(execute, sql, params, many, context):
        if sql == staging._TELL_TWINS_APART:
            seen.append(explained(params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        for _ in staging.stage("BATCH", ACCOUNT, [booking(100) for _ in range(ROWS)]):
            pass
    return seen


def explained(params) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {staging._TELL_TWINS_APART}", params)
        return "\n".join(line for (line,) in cursor.fetchall())


def test_twins_are_found_without_looking_through_all_for_each(believed_empty):
    [plan] = plans()

    assert "Nested Loop" not in plan


def test_left_to_itself_it_would(believed_empty, monkeypatch):
    monkeypatch.setattr(staging, "ANALYSED", ROWS + 1)
    plans()

    assert "Nested Loop" in explained({"batch": "BATCH"})
