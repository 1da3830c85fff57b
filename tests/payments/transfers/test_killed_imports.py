"""An import whose worker is killed with -9, wherever that is, is finished by the next: once."""

import os
import shutil
import signal
import tempfile
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from config import embedded
from payments.cashier.models import Payment
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers import intake, services, staging, tasks
from payments.transfers.leasing import Lease
from payments.transfers.models import Allocation, Statement, StatementLine
from tests.livestream.processes import await_true, environment, running
from tests.payments.transfers import replay
from tests.payments.transfers.bank import ACCOUNT, NOON, booking, ccb_csv

pytestmark = pytest.mark.django_db(transaction=True)
ORDERS, CHUNK, PIECE = 60, 20, 25  # rows of the file, a chunk, and a COPY

WORKER = f"""
import django; django.setup()
from django.conf import settings
from payments.transfers import intake, staging, tasks
settings.PAYABLES = {{"ORDER": "tests.payments.payable"}}
intake.CHUNK, staging.AT_ONCE = {CHUNK}, {PIECE}
tasks.import_waiting()
"""
OF_A_CHUNK = WORKER.replace(f"{CHUNK}, {PIECE}", f"{CHUNK}, {CHUNK}")  # a COPY


@pytest.fixture
def statement(monkeypatch):
    monkeypatch.setattr(intake, "CHUNK", CHUNK)
    return uploaded()


def uploaded():
    """A file that pays every order to the fen, taken a minute ago."""
    orders = replay.opened(seed=1, count=ORDERS)
    rows = [
        booking(
            order.outstanding_fen,
            remark=order.code,
            booked_at=NOON + timedelta(seconds=n),
            virtual_account=order.virtual_account or None,
        )
        for n, order in enumerate(orders)
    ]
    return services.upload(
        file=BytesIO(ccb_csv(rows)),
        filename="",
        account_no=ACCOUNT,
        tenants=None,
        uploaded_by_id=None,
        at=now() - timedelta(minutes=1),
    )


@contextmanager
def held(query, *params):
    """Somebody else's lock, until the block ends; whatever he wrote is undone."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(query, params)
        yield
        transaction.set_rollback(True)


def waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # we look from inside a transaction
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] > 0


@contextmanager
def killed_where_it_waits(program=WORKER):
    with running(["-c", program]) as worker:
        await_true(lambda: waits_for_a_lock() or worker.poll() is not None, 60)
        assert worker.poll() is None
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        yield


def payment_of_line(n):
    """The payment that the n-th row of the file pays."""
    return Payment.objects.order_by("pk")[n].pk


IN_STAGING = (
    "INSERT INTO payments_stagedline SELECT %s, %s, '', now(), 0, 0, false, '', '', '', '', '',"
    " '', '[]', '', '', ''"
)


def test_killed_in_staging(statement):
    with held(IN_STAGING, statement.number, 30), killed_where_it_waits():
        pass
    await_true(lambda: not waits_for_a_lock())

    # What its backend had in hand is finished without it; the whole file is not there.
    assert PIECE <= staging.left(statement.number) < ORDERS
    nothing_is_in()
    the_next_one_finishes(statement)


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_killed_between_chunks(statement, chunks):
    lock = "SELECT 1 FROM payments_payment WHERE id = %s FOR UPDATE"
    with held(lock, payment_of_line(chunks * CHUNK)), killed_where_it_waits():
        pass
    await_true(lambda: not waits_for_a_lock())

    assert StatementLine.objects.count() == chunks * CHUNK
    assert staging.left(statement.number) == ORDERS - chunks * CHUNK
    the_next_one_finishes(statement)


def test_killed_inside_a_chunk_after_its_lines_were_written(statement):
    """Lines, allocations and what the payments received are written; receipts are not."""
    with held("LOCK payments_receipt IN SHARE MODE"), killed_where_it_waits():
        pass
    await_true(lambda: not waits_for_a_lock())

    nothing_is_in()
    assert staging.left(statement.number) == ORDERS
    the_next_one_finishes(statement)


def test_the_first_rows_staged_anew_are_not_taken_for_the_last_that_were_left(statement):
    """As many are staged as were left, but others: the first, which are in already."""
    lock = "SELECT 1 FROM payments_payment WHERE id = %s FOR UPDATE"
    with held(lock, payment_of_line(CHUNK)), killed_where_it_waits():
        pass
    await_true(lambda: not waits_for_a_lock())
    staging.clear(statement.number)  # as PostgreSQL does when it was killed
    Statement.objects.update(leased_until=NOON)
    stop = held(IN_STAGING, statement.number, CHUNK + 5)  # what its backend has in hand gets in
    with stop, killed_where_it_waits(OF_A_CHUNK):
        pass
    await_true(lambda: not waits_for_a_lock())

    assert staging.left(statement.number) == ORDERS - CHUNK
    the_next_one_finishes(statement)


def test_who_lost_his_turn_does_not_finish(statement, monkeypatch):
    """Nothing is staged any more; but it is another's turn, who is about to stage all anew."""
    one_chunk = intake.take

    def asleep(**given):
        taken = one_chunk(**given)
        monkeypatch.setattr(intake, "take", one_chunk)
        Statement.objects.update(leased_until=NOON)
        assert Lease.of(Statement.objects.get())
        staging.clear(statement.number)
        return taken

    monkeypatch.setattr(intake, "take", asleep)
    services.import_statement(statement=statement, at=NOON)

    statement.refresh_from_db()
    assert (statement.status, StatementLine.objects.count()) == ("RUNNING", CHUNK)
    the_next_one_finishes(statement)


# --- the database -------------------------------------------------------------------------------

SCENE = """
import django; django.setup()
from django.conf import settings
from payments.transfers.models import Statement
from tests.payments.transfers import test_killed_imports as scene
settings.PAYABLES = {"ORDER": "tests.payments.payable"}
settings.AUDITS = [path for path in settings.AUDITS if path.startswith("payments.")]
"""


@pytest.fixture
def own_postgres():
    """A PostgreSQL of this test's own, started again by its guardian when it is killed."""
    home = Path(tempfile.mkdtemp(prefix="siyu-kill-"))
    home.chmod(0o711)  # as root, PostgreSQL runs as another user
    use = embedded.Use(embedded.Postgres(home, throwaway=True))
    yield use
    use.stop()
    shutil.rmtree(home, ignore_errors=True)


def run(use, *argv):
    with running(argv, environment(DATABASE_URL=use.url)) as program:
        assert program.wait(60) == 0


def ask(use, query):
    with psycopg.connect(use.url, autocommit=True) as there:
        return there.execute(query).fetchone()[0]


def is_back(use, before):
    try:
        return use.pid != before and ask(use, "SELECT 1") == 1
    except (psycopg.OperationalError, OSError, ValueError):
        return False


def test_postgresql_killed_in_the_middle_of_an_import(own_postgres):
    """The staging table is not logged: it is empty afterwards, and the file is read once more."""
    with psycopg.connect(own_postgres.url) as there:
        there.execute("ALTER ROLE ALL SET synchronous_commit = on")  # as it is in earnest
    run(own_postgres, "manage.py", "migrate", "-v", "0")
    run(own_postgres, "-c", SCENE + "scene.uploaded()")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    second = (
        "SELECT 1 FROM payments_payment WHERE id ="
        " (SELECT id FROM payments_payment ORDER BY id OFFSET %s LIMIT 1) FOR UPDATE"
    )
    lines = "SELECT count(*) FROM payments_statementline"
    killed = own_postgres.pid
    with suppress(psycopg.OperationalError), psycopg.connect(own_postgres.url) as there:
        there.execute(second, [CHUNK])
        with running(["-c", WORKER], environment(DATABASE_URL=own_postgres.url)) as worker:
            await_true(lambda: ask(own_postgres, waiting) or worker.poll() is not None, 60)
            assert worker.poll() is None
            assert ask(own_postgres, lines) == CHUNK
            os.kill(killed, signal.SIGKILL)
            worker.wait(60)
    await_true(lambda: is_back(own_postgres, killed), 60)

    assert ask(own_postgres, "SELECT count(*) FROM payments_stagedline") == 0
    assert ask(own_postgres, lines) == CHUNK
    with psycopg.connect(own_postgres.url) as there:
        there.execute("UPDATE payments_statement SET leased_until = uploaded_at")
    run(own_postgres, "-c", WORKER)
    run(own_postgres, "-c", SCENE + "scene.everything_is_in_once(Statement.objects.get())")


# --- what must be so ----------------------------------------------------------------------------


def nothing_is_in():
    assert not StatementLine.objects.exists()
    assert not Allocation.objects.exists()
    assert books.balance(f"bank:{ACCOUNT}") == 0
    assert set(Payment.objects.values_list("status", flat=True)) == {"WAITING"}


def the_next_one_finishes(statement):
    """Not before the dead one's lease has run out."""
    before = StatementLine.objects.count()
    tasks.import_waiting()
    assert StatementLine.objects.count() == before
    Statement.objects.update(leased_until=NOON)

    tasks.import_waiting()
    tasks.import_waiting()

    everything_is_in_once(statement)


def everything_is_in_once(statement):
    statement.refresh_from_db()
    assert (statement.status, statement.matched, statement.lines) == ("DONE", ORDERS, ORDERS)
    assert not statement.parts.exists()
    assert staging.left(statement.number) == 0
    assert StatementLine.objects.count() == Allocation.objects.count() == ORDERS
    payments = Payment.objects.filter(status="CONFIRMED")
    assert payments.count() == ORDERS
    total = sum(payments.values_list("received_fen", flat=True))
    assert books.balance(f"bank:{ACCOUNT}") == total == statement.credits_fen
    assert books.balance(f"suspense:{ACCOUNT}") == 0
    assert ledger.audit() == []
