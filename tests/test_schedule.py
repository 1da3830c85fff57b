"""Every periodic job may run twice, and on two machines: a second run changes nothing."""

from importlib import import_module

import pytest
from django.apps import apps

from config.schedule import SCHEDULE
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from tests.concurrency.together import together
from tests.world import make_world

pytestmark = pytest.mark.django_db(transaction=True)
JOBS = sorted({entry["task"] for entry in SCHEDULE.values()})


def job(name):
    module, _, task = name.rpartition(".")
    return getattr(import_module(module), task)


def rows():
    """How many rows there are of everything, and what moved money."""
    counted = {
        model._meta.label: model.objects.count()
        for model in apps.get_models()
        if model._meta.app_label in {"payments", "members", "shop", "livestream"}
    }
    return counted, list(Posting.objects.values_list("kind", "reference").order_by("pk"))


@pytest.mark.parametrize("name", JOBS)
def test_twice_is_once(name, sandbox):
    make_world()
    job(name)()
    once = rows()

    job(name)()

    assert rows() == once
    assert ledger.audit() == []


@pytest.mark.parametrize("name", JOBS)
def test_two_machines_do_not_meet(name, sandbox):
    make_world()

    assert together(2, lambda _: job(name)()) == {"ok": 2}
    assert ledger.audit() == []
