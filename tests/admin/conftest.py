from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from members.accounts.models import User
from payments.transfers.models import StatementLine
from tests.admin import stage
from tests.admin.pages import fresh, opened


@pytest.fixture(scope="module")
def sides(django_db_setup: None, django_db_blocker: object) -> Iterator[list[stage.Side]]:
    """Two merchants, made once a module; what a test does to them is undone after it."""
    around = transaction.atomic()
    around._from_testcase = True  # to the code under test it is no transaction, as a test's own
    with django_db_blocker.unblock(), around:  # type: ignore[attr-defined]
        yield [stage.make_side("甲号", "755900000221"), stage.make_side("乙号", "755900000332")]
        transaction.set_rollback(True)


@pytest.fixture
def first(sides: list[stage.Side], db: None) -> stage.Side:
    return stage.fresh(sides[0])


@pytest.fixture
def second(sides: list[stage.Side], db: None) -> stage.Side:
    """The other merchant, whose rows and names must never be seen."""
    return stage.fresh(sides[1])


@pytest.fixture
def platform(db: None) -> User:
    return stage.platform()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    yield
    cache.clear()


# --- of the workbench


@pytest.fixture
def clerk(first: stage.Side) -> Client:
    return opened(first.people["FINANCE"])


@pytest.fixture
def lost(first: stage.Side) -> StatementLine:
    """77.00 from somebody unknown, without any code, for which nobody has an idea."""
    line = first.rows["payments.StatementLine"]
    StatementLine.objects.filter(pk=line.pk).update(verdict="UNMATCHED", rule="", candidates=[])
    return fresh(line)
