"""Bills that mean harm or met an accident: refused, or the same money; nothing in between."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.transfers.parsers import Unreadable
from payments.transfers.parsers.channels import (
    alipay_bills,
    archive,
    personal_bills,
    wechat_bills,
    wechat_income,
)
from payments.transfers.parsers.messages import camt053, mt940
from payments.transfers.parsers.statement import Known
from tests.payments.parsers.made import counted, rendered
from tests.payments.parsers.made_bills import (
    SUMMED,
    alipay_account,
    alipay_trade,
    fundflow,
    income,
    tradebill,
    zipped,
)
from tests.payments.parsers.test_camt053 import entry
from tests.payments.parsers.test_camt054 import notification
from tests.payments.parsers.test_personal_bills import wechat

WHOLE = {
    "trade": (wechat_bills, tradebill()),
    "fund": (wechat_bills, fundflow()),
    "account": (alipay_bills, alipay_account()),
    "alipay trade": (alipay_bills, alipay_trade()),
    "personal": (personal_bills, wechat()),
    "income": (wechat_income, income({}, {})),
    "zip": (
        archive,
        zipped({"明细.csv": alipay_account(), "汇总.csv": SUMMED.format(1).encode("gbk")}),
    ),
    "notification": (camt053, notification(entry())),
    "mt940": (mt940, rendered("mt940")),
}
# Each has a footer, a head or a sum for every figure.  The others are JSON and XML without one,
# whose wholeness is their syntax, and a zip, whose parts have a checksum.
COUNTED = ("trade", "fund", "account", "alipay trade", "personal")
properties = settings(max_examples=150, deadline=None, derandomize=True)
every_format = pytest.mark.parametrize("name", WHOLE)


def outcome(form, content):
    """Figures of a file, or the refusal; any other exception fails the test."""
    try:
        stream = form.open(io.BytesIO(content), Known(is_personal=form is personal_bills))
        amounts = [row.amount_fen for row in stream.rows]
    except Unreadable as refused:
        return refused
    return stream.summary.opening_fen, stream.summary.closing_fen, counted(amounts)


def same_or_refused(name, content):
    form, whole = WHOLE[name]
    found = outcome(form, content)
    return isinstance(found, Unreadable) or found == outcome(form, whole)


@pytest.mark.parametrize("name", WHOLE)
def test_each_is_recognised_by_its_own_reader_and_by_no_other(name):
    form, whole = WHOLE[name]
    assert not isinstance(outcome(form, whole), Unreadable)
    readers = {one for one, _ in WHOLE.values()}
    assert {one for one in readers if one.recognises(whole[: 64 * 1024])} == {form}


@every_format
@properties
@given(draw=st.data())
def test_a_truncated_file_never_has_other_totals(name, draw):
    whole = WHOLE[name][1]
    assert same_or_refused(name, whole[: draw.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize("name", COUNTED)
@properties
@given(draw=st.data())
def test_a_flipped_byte_never_changes_a_total(name, draw):
    broken = bytearray(WHOLE[name][1])
    broken[draw.draw(st.integers(0, len(broken) - 1))] ^= draw.draw(st.integers(1, 255))
    assert same_or_refused(name, bytes(broken))


@pytest.mark.parametrize("name", COUNTED)
@properties
@given(draw=st.data())
def test_a_digit_changed_never_changes_a_total(name, draw):
    whole = WHOLE[name][1]
    places = [i for i, byte in enumerate(whole) if 48 <= byte <= 57]
    broken = bytearray(whole)
    broken[draw.draw(st.sampled_from(places))] = draw.draw(st.integers(48, 57))
    assert same_or_refused(name, bytes(broken))


@pytest.mark.parametrize("name", COUNTED)
def test_a_line_dropped_or_doubled_never_changes_a_total(name):
    lines = WHOLE[name][1].splitlines(keepends=True)
    for i, line in enumerate(lines):
        assert same_or_refused(name, b"".join(lines[:i] + lines[i + 1 :])), line
        assert same_or_refused(name, b"".join([*lines[:i], line, *lines[i:]])), line


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("ends", [b"\n", b"\r"])
def test_other_line_ends_are_the_same_money(name, ends):
    form, whole = WHOLE[name]
    assert outcome(form, whole.replace(b"\r\n", ends)) == outcome(form, whole)


@every_format
@properties
@given(draw=st.data())
def test_noise_in_a_file_is_only_ever_a_refusal_or_rows(name, draw):
    form, whole = WHOLE[name]
    broken = bytearray(whole)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(broken)))
        broken[at : at + draw.draw(st.integers(0, 9))] = draw.draw(st.binary(max_size=9))
    outcome(form, bytes(broken))
    form.recognises(bytes(broken[: 64 * 1024]))


@pytest.mark.parametrize(
    "form", sorted({one for one, _ in WHOLE.values()}, key=lambda f: f.__name__)
)
@properties
@given(content=st.binary(max_size=2000))
def test_bytes_are_a_refusal(form, content):
    assert isinstance(outcome(form, content), Unreadable)
    form.recognises(content)


@pytest.mark.parametrize("name", ["trade", "fund", "account", "alipay trade", "personal"])
@pytest.mark.parametrize(
    "noise", [b"`" * (3 << 20), b"\n" * (3 << 20), b"a\n" * (1 << 20), b",`" * (1 << 20)]
)
def test_a_bill_that_never_ends_is_refused_in_bounded_time(name, noise):
    lines = WHOLE[name][1].splitlines(keepends=True)
    middle = len(lines) - 4
    content = b"".join([*lines[:middle], noise, *lines[middle:]])
    assert same_or_refused(name, content)
