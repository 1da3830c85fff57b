"""来账识别: bank transfers as WeChat Pay tells them, in JSON that is read strictly."""

import io
import json

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.channels import wechat_income
from payments.transfers.parsers.statement import Declared, Source
from tests.payments.parsers.made import counted
from tests.payments.parsers.made_bills import MCHID, answer, income


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content)
    return refused.value


def test_every_record_is_a_transfer_that_came_by_bank():
    statement = parsers.read(income({}, {"amount": 1}))

    assert (statement.format, statement.account_no) == ("wechat_income", MCHID)
    assert counted([row.amount_fen for row in statement.rows]) == Declared(2, 2, 1001, 0, 0)
    row = statement.rows[0]
    assert (row.serial, row.payer_name, row.payer_account) == ("I0", "乙公司", "****6473")
    assert (row.payer_bank, row.texts, row.caution) == ("招商银行", ("货款 12345678",), "")
    assert row.booked_at.isoformat() == "2026-01-05T08:00:24+08:00"
    assert wechat_income.open(io.BytesIO(income({}))).source is Source.BANK


@pytest.mark.parametrize("nothing", ["", None])
def test_what_a_bank_does_not_tell_is_empty(nothing):
    silent = dict.fromkeys(
        ["bank_name", "bank_account_name", "bank_account_number", "recharge_remark"], nothing
    )
    row = parsers.read(income(silent)).rows[0]
    assert (row.payer_name, row.payer_account, row.payer_bank, row.texts) == ("", "", "", ())


def test_a_kind_we_do_not_know_is_for_a_person():
    assert "SOMETHING" in parsers.read(income({"income_record_type": "SOMETHING"})).rows[0].caution


def test_the_time_is_shanghais_whatever_zone_it_is_told_in():
    row = parsers.read(income({"success_time": "2026-01-05T00:00:24.5Z"})).rows[0]
    assert row.booked_at.hour == 8


def test_pages_in_order_are_one_file():
    first = answer({}, {}, total_count=3, limit=2)
    second = answer({}, offset=2, total_count=3)

    rows = parsers.read(json.dumps([first, second]).encode()).rows

    assert [row.serial for row in rows] == ["I0", "I1", "I2"]
    assert refusal(json.dumps([first]).encode()).code == "COUNTS_DIFFER"
    assert refusal(json.dumps(first).encode()).code == "COUNTS_DIFFER"
    assert refusal(json.dumps([second, first]).encode()).code == "DAMAGED_FILE"
    assert refusal(json.dumps([second]).encode()).code == "DAMAGED_FILE"


def test_a_day_without_transfers_says_so():
    assert parsers.read(income()).rows == ()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (income({"amount": 10.0}), "BAD_CELL"),
        (income({"amount": "1000"}), "BAD_CELL"),
        (income({"amount": True}), "BAD_CELL"),
        (income({"amount": 0}), "BAD_CELL"),
        (income({"amount": -1}), "BAD_CELL"),
        (income({"amount": None}), "BAD_CELL"),
        (income({"amount": 10**16}), "BAD_CELL"),
        (income({}).replace(b"1000", b"1e3"), "BAD_CELL"),
        (income({}).replace(b"1000", b"NaN"), "BAD_CELL"),
        (income({}).replace(b"1000", b"1" * 5000), "DAMAGED_FILE"),
        (income({}).replace(b'"amount": 1000', b'"amount": 1000, "amount": 1'), "DAMAGED_FILE"),
        (income({"success_time": "2026-01-05T08:00:24"}), "BAD_CELL"),
        (income({"success_time": "2026-01-05"}), "BAD_CELL"),
        (income({"success_time": "2026-02-30T08:00:24+08:00"}), "BAD_CELL"),
        (income({"success_time": "2026-01-05T08:00:24+99:00"}), "BAD_CELL"),
        (income({"success_time": "0001-01-01T00:00:00+08:00"}), "BAD_CELL"),
        (income({"income_record_id": ""}), "BAD_CELL"),
        (income({"income_record_id": 7}), "BAD_CELL"),
        (income({"mchid": ""}), "BAD_CELL"),
        (income({"bank_account_name": "\x00"}), "BAD_CELL"),
        (income({}).replace("乙".encode(), b"\\ud83d"), "BAD_CELL"),
        (income({}, {"mchid": "1900000110"}), "DAMAGED_FILE"),
        (income({}, {"income_record_id": "I0"}), "SERIAL_TWICE"),
        (income({}, total_count=2), "COUNTS_DIFFER"),
        (income({}, total_count="1"), "DAMAGED_FILE"),
        (income({})[:-1], "DAMAGED_FILE"),
        (income({}) + b"{}", "DAMAGED_FILE"),
        (b'[{"data": [1], "offset": 0, "total_count": 1}]', "DAMAGED_FILE"),
        (b'{"data": {}, "total_count": 0}', "DAMAGED_FILE"),
        (b'["income_record_id", "data", "total_count"]', "DAMAGED_FILE"),
        (b'{"income_record_id":' + b"[" * 100_000, "DAMAGED_FILE"),
        (b'{"income_record_id": "' + b" " * (9 << 20) + b'"}', "FILE_TOO_LARGE"),
    ],
)
def test_what_is_not_exactly_that_shape_is_refused(content, code):
    assert refusal(content).code == code
