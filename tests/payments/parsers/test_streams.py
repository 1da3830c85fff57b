"""What is true of a file wherever it is cut into chunks."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.transfers import parsers
from payments.transfers.parsers import held, sums, text
from payments.transfers.parsers.refusals import SerialTwice
from tests.payments.parsers.bank import written
from tests.payments.parsers.biff import xls
from tests.payments.parsers.corporate import CORPORATE
from tests.payments.parsers.made import OURS, bookings, ccb, ccb_row, rendered

SERIAL = "账户明细编号-交易流水号"
IN = "贷方发生额（收入）"


class Drips(io.BytesIO):
    """A file that gives a few bytes at a time."""

    def read(self, size=-1):
        return super().read(7 if size else 0)


class Alike(str):
    """A serial whose hash is every other one's."""

    __slots__ = ()

    def __hash__(self):
        return 1


def refusal(source, **known):
    with pytest.raises(parsers.Unreadable) as refused:
        list(parsers.stream(source, **known).rows)
    return refused.value


def long_ccb(count, **last):
    """Rows of one fen, far over one chunk."""
    rows = [
        ccb_row(**{IN: "0.01", "余额": f"{i // 100}.{i % 100:02d}", SERIAL: f"S{i}"})
        for i in range(1, count + 1)
    ]
    names = {SERIAL: -4, "备注": -5, "余额": 5}
    for name, cell in last.items():
        rows[-1][names[name]] = cell
    return rows


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_chunks_change_nothing(encoding):
    content = rendered("ccb_csv").decode("gb18030").encode(encoding)
    rows = tuple(parsers.stream(Drips(content), ours=[OURS]).rows)
    assert rows == parsers.read(content, ours=[OURS]).rows


@settings(max_examples=200, deadline=None, derandomize=True)
@given(content=st.text(alphabet='a张\r\n,"', max_size=60))
def test_lines_are_the_texts_lines_however_they_arrive(content):
    returns = content.count("\r") - content.count("\r\n")
    end = "\r" if returns > content.count("\n") else "\n"
    whole = list(text.lines(io.BytesIO(content.encode()), "utf-8"))
    assert "".join(whole) == content
    assert all(line.count(end) <= 1 and line.rstrip(end).count(end) == 0 for line in whole)


def test_a_line_over_the_limit_is_cut_and_its_tail_is_no_line():
    content = b"a" * (text.MAX_LINE * 5) + b"\nnext\n" + b"b" * text.MAX_LINE + b"\nlast"
    found = list(text.lines(io.BytesIO(content), "utf-8"))
    assert [len(line) for line in found] == [text.MAX_LINE + 1, 5, text.MAX_LINE + 1, 4]
    assert (found[1], found[3]) == ("next\n", "last")


def test_a_flaw_far_down_in_utf_8_is_a_refusal_not_another_encoding():
    """Its first chunks are UTF-8, its last one is ASCII but for the flaw."""
    lines = ccb(*long_ccb(1500), encoding="utf-8").splitlines(keepends=True)
    plain = b"," * 16 + b"\r\n"
    content = b"".join([*lines, plain * 40_000, b"\xd5\xc5"])
    assert len(content) > 3 * text.CHUNK

    refused = refusal(io.BytesIO(content))

    assert refused.code == "WRONG_ENCODING"
    assert refused.details == {"row": len(lines) + 40_001}


def test_a_flaw_far_down_in_gb18030_is_a_refusal():
    content = ccb(*long_ccb(4000))
    assert len(content) > text.CHUNK
    assert refusal(io.BytesIO(content + b"\xff\xff")).code == "WRONG_ENCODING"


def test_the_row_that_breaks_far_down_is_named():
    content = ccb(*long_ccb(4000, 余额="1.00"))
    assert refusal(io.BytesIO(content)).details == {"row": 4001}


def test_a_serial_that_comes_again_far_down_is_found():
    content = ccb(*long_ccb(4000, **{SERIAL: "S2"}))
    refused = refusal(io.BytesIO(content))
    assert refused.details == {"serial": "S2", "rows": [3, 4001]}


def test_equal_hashes_alone_do_not_refuse_a_file():
    serials = sums.Serials()
    serials.take(Alike("a"), 1)
    serials.take(Alike("b"), 2)

    with pytest.raises(SerialTwice) as refused:
        serials.take(Alike("a"), 3)
    assert refused.value.details == {"serial": "a", "rows": [1, 3]}


def test_the_account_is_known_before_the_first_row():
    stream = parsers.stream(io.BytesIO(written(CORPORATE["pingan_csv"])), ours=[OURS])
    assert stream.account_no == OURS
    assert stream.summary.accounts == (OURS,)


def test_a_stranger_among_the_rows_is_refused_however_late():
    rows = long_ccb(700)
    rows[-1][0] = "110000000000001"
    refused = refusal(io.BytesIO(ccb(*rows)), ours=[OURS])
    assert (refused.code, refused.details) == ("DAMAGED_FILE", {"row": 701})


def test_the_parent_behind_its_virtual_accounts_is_not_taken_for_one_of_them():
    rows = long_ccb(700)
    for i, row in enumerate(rows[:-1]):
        row[0] = f"{OURS}{i:010d}"
    content = ccb(*rows)

    assert refusal(io.BytesIO(content)).details == {"row": 701}
    read = list(parsers.stream(io.BytesIO(content), ours=[OURS]).rows)
    assert [row.virtual_account for row in read[-2:]] == [f"{OURS}0000000698", None]


def test_what_is_wrong_with_the_file_is_said_before_any_row():
    with pytest.raises(parsers.Unreadable):
        parsers.stream(io.BytesIO(b"%PDF-1.7"))
    with pytest.raises(parsers.Unreadable):
        parsers.stream(io.BytesIO(b"a,b,c\n1,2,3\n"))


def test_a_file_over_the_limit_is_413(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as target:
        target.truncate(parsers.MAX_BYTES + 1)
    with path.open("rb") as source, pytest.raises(parsers.FileTooLarge) as refused:
        parsers.stream(source)
    assert refused.value.status == 413


@pytest.mark.parametrize("head", [b"PK\x03\x04", xls([])[:8], b":20:A\n:25:1\n"])
def test_a_format_that_is_held_whole_has_its_own_limit(tmp_path, head):
    path = tmp_path / "sparse"
    path.write_bytes(head)
    with path.open("r+b") as target:
        target.truncate(held.MAX_BYTES + 1)
    with path.open("rb") as source, pytest.raises(parsers.FileTooLarge) as refused:
        parsers.stream(source)
    assert "CSV" in str(refused.value)


@pytest.mark.parametrize("form", ["ccb_csv", "cmb_xlsx", "mt940", "camt053"])
def test_every_format_streams(form):
    content = rendered(form)
    stream = parsers.stream(io.BytesIO(content), ours=[OURS])
    assert stream.source is parsers.Source.BANK
    assert [row.amount_fen for row in stream.rows] == [one.signed_fen for one in bookings()]
    assert (stream.format, stream.account_no) == (form, OURS)
