"""CAMT.054 notifications; reversals and returns of both messages; a large file in little memory."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.messages import camt053
from payments.transfers.parsers.statement import Declared, Source
from tests.payments.parsers.made import OURS
from tests.payments.parsers.test_camt053 import amount, detail, document, entry, refusal, stmt

CLONE = Path(__file__).resolve().parents[3]
REVERSAL = "<RvslInd>true</RvslInd>"


def notification(*entries, version="08", head="", account=OURS):
    space = f"urn:iso:std:iso:20022:tech:xsd:camt.054.001.{version}"
    return (
        f'<?xml version="1.0"?><Document xmlns="{space}"><BkToCstmrDbtCdtNtfctn><Ntfctn>'
        f"<Acct><Id><Othr><Id>{account}</Id></Othr></Id></Acct>{head}{''.join(entries)}"
        "</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
    ).encode()


def returned(references="", reason="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>", remark="货款"):
    return (
        f"<TxDtls><Refs><AcctSvcrRef>T9</AcctSvcrRef>{references}</Refs>{amount('100.50')}"
        f"<RmtInf><Ustrd>{remark}</Ustrd></RmtInf>{reason}</TxDtls>"
    )


@pytest.mark.parametrize("version", ["02", "04", "08"])
def test_a_notification_has_rows_and_no_balances(version):
    statement = parsers.read(notification(entry(), version=version))

    assert (statement.format, statement.account_no) == ("camt054", OURS)
    assert [row.amount_fen for row in statement.rows] == [10_050]
    assert statement.opening_fen is statement.closing_fen is None
    stream = camt053.open(io.BytesIO(notification(entry())))
    assert stream.source is Source.BANK


def test_a_notification_and_the_statement_give_a_booking_the_same_serial():
    for made in (
        entry(),
        entry(details=detail("100.50")),
        entry(details=detail("100.00", "T1") + detail("0.50", "T2")),
        entry(details=detail("100.00", "S1") + detail("0.50", "S1")),
    ):
        notified = parsers.read(notification(made)).rows
        stated = parsers.read(document(stmt(made))).rows
        assert notified == stated
        assert all(row.serial for row in stated)


def test_only_booked_entries_of_a_notification_are_rows():
    others = [entry(status=status, reference=status) for status in ("PDNG", "INFO")]
    more = entry(status="<Cd>FUTR</Cd>", reference="S4")

    statement = parsers.read(notification(entry(), *others, more))

    assert [row.serial for row in statement.rows] == ["S1"]
    assert statement.not_booked == 3
    assert refusal(notification(*others)).code == "NOT_BOOKED"


def test_a_notifications_own_count_is_confirmed():
    def counting(number):
        return f"<TxsSummry><TtlNtries><NbOfNtries>{number}</NbOfNtries></TtlNtries></TxsSummry>"

    assert parsers.read(notification(entry(), head=counting(1))).declared == Declared(count=1)
    assert refusal(notification(entry(), head=counting(2))).code == "COUNTS_DIFFER"
    assert refusal(notification()).code == "DAMAGED_FILE"
    assert parsers.read(notification(head=counting(0))).rows == ()


@pytest.mark.parametrize(
    "content",
    [
        document(message="054"),
        notification(entry(), account=""),
        notification(entry()).replace(b"<Ntfctn>", b"<Ntfctn><Ntfctn>"),
        notification(entry(), head="<Acct><Id><Othr><Id>1</Id></Othr></Id></Acct>"),
        notification(entry())[:-30],
    ],
)
def test_a_notification_that_is_not_whole_is_refused(content):
    assert refusal(content).code == "DAMAGED_FILE"


@pytest.mark.parametrize(
    ("references", "remark", "reverses"),
    [
        ("<EndToEndId>E1</EndToEndId>", "货款", "E1"),
        ("<InstrId>I1</InstrId><EndToEndId>E1</EndToEndId>", "货款", "I1"),
        ("<EndToEndId>NOTPROVIDED</EndToEndId><TxId>X1</TxId>", "货款", "X1"),
        ("<EndToEndId>NOTPROVIDED</EndToEndId>", "货款", None),
        ("<EndToEndId>T9</EndToEndId>", "货款", None),
        ("<EndToEndId>E1</EndToEndId>", "冲正 原流水号：S0000001", "S0000001"),
        ("", "货款", None),
    ],
)
def test_a_reversal_names_what_it_takes_back(references, remark, reverses):
    details = returned(references, reason="", remark=remark)
    content = document(stmt(entry(side="DBIT", more=REVERSAL, details=details), closing="899.50"))

    row = parsers.read(content).rows[0]

    assert (row.amount_fen, row.is_reversal, row.reverses) == (-10_050, True, reverses)


@pytest.mark.parametrize(("side", "fen"), [("CRDT", 10_050), ("DBIT", -10_050)])
def test_a_return_is_a_reversal_whatever_the_indicator_says(side, fen):
    details = returned("<EndToEndId>E1</EndToEndId>")

    row = parsers.read(notification(entry(side=side, details=details))).rows[0]

    assert (row.amount_fen, row.is_reversal, row.reverses) == (fen, True, "E1")


def test_an_ordinary_payments_references_reverse_nothing():
    details = returned("<EndToEndId>E1</EndToEndId>", reason="")
    row = parsers.read(document(stmt(entry(details=details)))).rows[0]
    assert (row.is_reversal, row.reverses) == (False, None)


def test_rows_come_before_the_end_is_read():
    """The last byte decides, so a caller keeps nothing of a file that ends in a refusal."""
    stream = camt053.open(io.BytesIO(document(stmt(entry(), closing="1100.51"))))

    assert stream.account_no == OURS
    assert next(stream.rows).amount_fen == 10_050
    with pytest.raises(parsers.Unreadable):
        next(stream.rows)


MEASURED = """
import re, sys
from pathlib import Path
from payments.transfers.parsers.messages import camt053
from tests.payments.parsers.test_camt054 import Endless

def peak():
    # not ru_maxrss: a process inherits its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

list(camt053.open(Endless(2_000)).rows)
before = peak()
stream = camt053.open(Endless(int(sys.argv[2])))
count = total = 0
kept = []
for row in stream.rows:
    count, total = count + 1, total + row.amount_fen
    if sys.argv[1] == "keep":
        kept.append(row)
print(count, total, peak() - before)
"""


class Endless:
    """A camt.053 file of so many entries of 1.00, made while it is read."""

    def __init__(self, count):
        self._parts = self._made(count)
        self._rest = b""

    def read(self, size=-1, /):
        while len(self._rest) < size:
            part = next(self._parts, None)
            if part is None:
                break
            self._rest += part
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    @staticmethod
    def _made(count):
        head, _, foot = (
            document(stmt("<!---->", opening="0.00", closing=f"{count}.00"))
        ).partition(b"<!---->")
        yield head
        for i in range(count):
            yield entry("1.00", details=detail("1.00", f"T{i}"), reference=f"S{i}").encode()
        yield foot


def run(mode, count):
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, mode, str(count)],
        capture_output=True,
        text=True,
        cwd=CLONE,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells it")
def test_twenty_thousand_entries_are_read_in_the_memory_of_one():
    """Control: the same rows, kept, need far more; so the measure would see it."""
    count, total, megabytes = run("drop", 20_000)
    assert (count, total) == (20_000, 2_000_000)
    assert megabytes <= 4

    *_, kept = run("keep", 20_000)
    assert kept >= 8
