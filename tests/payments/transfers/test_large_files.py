"""A file of 300,000 rows is nowhere whole in memory, and one bad row at its end refuses it all."""

import json
import subprocess
import sys

import pytest

from payments.ledger.models import Posting
from payments.transfers import staging
from payments.transfers.models import Statement, StatementLine
from tests.livestream.processes import ROOT, environment
from tests.payments.transfers import bank
from tests.payments.transfers.bank import NOON, booking, ccb_csv

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 300_000
MOST_MEGABYTES = 100  # above what a program has before it begins; 7 and 57 were measured

DOOR = """
import json, pathlib, re, sys
import django; django.setup()
from django.utils.timezone import now
from payments.transfers import services, tasks
def megabytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) // 1024
before = megabytes()
"""
UPLOAD = """
with open(sys.argv[1], "rb") as file:
    services.upload(file=file, filename="", account_no="", tenants=None, uploaded_by_id=None,
                    at=now())
print(json.dumps(megabytes() - before))
"""
IMPORT = """
tasks.import_statement(statement_id=int(sys.argv[1]))
print(json.dumps(megabytes() - before))
"""


def grown(script, argument):
    """Megabytes by which a program of its own has grown at most."""
    done = subprocess.run(
        [sys.executable, "-c", DOOR + script, str(argument)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def large_file(path):
    """One row again and again, with its own serial and balance; the last but one has no amount."""
    head, row, _ = ccb_csv([booking(1, serial="S000000000", booked_at=NOON)]).split(b"\r\n")
    before, after = row.split(b",0.01,0.01,")
    with path.open("wb") as file:
        file.write(head + b"\r\n")
        for n in range(1, ROWS + 1):
            fen = b"?" if n == ROWS - 1 else b"0.01"
            serial = b"S%09d" % n
            rest = after.replace(b"S000000000", serial)
            file.write(before + b",%s,%d.%02d," % (fen, n // 100, n % 100) + rest + b"\r\n")


def test_a_large_file_that_breaks_at_its_end_leaves_a_reason_and_nothing_else(tmp_path):
    bank.account()
    path = tmp_path / "large.csv"
    large_file(path)

    uploading = grown(UPLOAD, path)
    statement = Statement.objects.get()
    importing = grown(IMPORT, statement.pk)

    statement.refresh_from_db()
    assert statement.status == "REFUSED"
    assert statement.broken_row == ROWS  # the header is the first
    assert str(ROWS) in statement.reason
    assert not statement.parts.exists()
    assert not StatementLine.objects.exists()
    assert not Posting.objects.exists()
    assert staging.left(statement.number) == 0
    assert max(uploading, importing) < MOST_MEGABYTES
