"""Our bank client against the bank of the sandbox, over HTTP."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import Atomic
from pytest_django import Settings

from payments.channels import signed, transfer
from payments.channels.transfer import Bank, BankRefused, BankUnknown, bank
from tests.payments.payouts import PARENT, bookings, pay_out
from tests.sandbox import keys
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.signing import Signer
from tests.sandbox_fixtures import Sandbox

PAYOUTS = "/bank/payouts"


# --- units and transfers --------------------------------------------------------------------------


def test_a_registered_unit_receives_money_and_an_unregistered_one_does_not(
    sandbox: Sandbox, ours: Bank
) -> None:
    assert ours.register_units(PARENT, ["0000000001", "0000000002"]) == 2
    assert ours.register_units(PARENT, ["0000000001", "0000000002"]) == 2

    booked = sandbox.transfer(f"{PARENT}0000000001", 8_800)
    unknown = {"account_no": f"{PARENT}0000000003", "amount_fen": 1, "payer_name": "王小明"}
    refused = sandbox.post("/bank/transfers", unknown)

    assert 18 <= len(booked["serial"]) <= 22
    assert booked["booked_at"].endswith("+08:00")
    assert refused.status_code == 404
    assert refused.json()["code"] == "ACCOUNT_UNKNOWN"
    assert bookings(sandbox) == 1


def test_ten_thousand_units_are_registered_in_batches(sandbox: Sandbox, ours: Bank) -> None:
    units = [f"{number:010d}" for number in range(10_000)]

    assert ours.register_units(PARENT, units) == 10_000

    assert len(sandbox.journal("/bank/units")) == 10


def test_json_that_curl_calls_a_form_is_json(sandbox: Sandbox) -> None:
    sandbox.open_account(PARENT)
    answer = sandbox.http.post(
        f"{sandbox.base_url}/bank/transfers",
        data=json.dumps({"account_no": PARENT, "amount_fen": 1, "payer_name": "A"}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=5,
    )

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_fen": 0},
        {"amount_fen": -1},
        {"amount_fen": 1.5},
        {"amount_fen": True},
        {"amount_fen": "100"},
        {"amount_fen": 10**14},
        {"payer_name": ""},
        {"payer_name": "王\x00"},
        {"remark": "x" * 141},
        {"account_no": "755"},
    ],
)
def test_the_bank_refuses_a_malformed_transfer(
    sandbox: Sandbox, ours: Bank, wrong: dict[str, Any]
) -> None:
    ours.register_units(PARENT, ["0000000001"])
    right = {"account_no": PARENT, "amount_fen": 1, "payer_name": "王小明", "remark": "货款"}

    assert sandbox.post("/bank/transfers", {**right, **wrong}).status_code == 400
    assert bookings(sandbox) == 0


def test_the_mobile_bank_page_transfers_yuan_and_escapes_what_people_write(
    sandbox: Sandbox, ours: Bank
) -> None:
    ours.register_units(PARENT, ["0000000001"])
    form = {
        "account_no": PARENT,
        "amount_yuan": "12.3",
        "payer_name": "<script>alert(1)</script>",
        "payer_account": "",
        "remark": '"><b>货款',
    }
    page = sandbox.http.post(f"{sandbox.base_url}/bank/transfers", data=form, timeout=10)

    assert page.status_code == 200
    assert "转账成功" in page.text
    assert "12.30" in page.text
    assert "<script>" not in page.text
    assert "<b>" not in page.text
    again = sandbox.http.post(
        f"{sandbox.base_url}/bank/transfers", data={**form, "amount_yuan": "1,5"}, timeout=10
    )
    assert again.status_code == 422
    assert "最多两位小数" in again.text
    assert bookings(sandbox) == 1


# --- payouts --------------------------------------------------------------------------------------


def test_a_payout_happens_once_however_often_it_is_asked_for(sandbox: Sandbox, ours: Bank) -> None:
    first = pay_out(ours)
    second = pay_out(ours)

    assert first == second == ours.payout("R1")
    assert first.status == "DONE"
    assert bookings(sandbox) == 1


def test_eight_threads_asking_for_one_payout_move_money_once(sandbox: Sandbox, ours: Bank) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: pay_out(ours), range(8)))

    assert len(set(results)) == 1
    assert bookings(sandbox) == 1


def test_the_same_number_for_another_payout_is_refused(sandbox: Sandbox, ours: Bank) -> None:
    pay_out(ours)

    with pytest.raises(BankRefused) as refused:
        pay_out(ours, amount_fen=1231)

    assert refused.value.code == "OUT_NO_REUSED"
    assert bookings(sandbox) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to_account": "9999000011112222"}, "PAYEE_ACCOUNT_CLOSED"),
        ({"amount_fen": 100_000_001}, "INSUFFICIENT_FUNDS"),
        ({"amount_fen": 0}, "BAD_AMOUNT"),
    ],
)
def test_a_refused_payout_moves_nothing(
    sandbox: Sandbox, ours: Bank, changes: dict[str, Any], code: str
) -> None:
    ours.register_units(PARENT, [])
    sandbox.open_account(PARENT)

    with pytest.raises(BankRefused) as refused:
        pay_out(ours, **changes)

    assert refused.value.code == code
    assert bookings(sandbox) == 0
    assert ours.payout("R1") is None


@pytest.mark.parametrize("kind", ["error_after", "reset", "garbage", "bad_signature", "stale"])
def test_a_payout_whose_answer_is_lost_is_unknown_and_safe_to_ask_again(
    sandbox: Sandbox, ours: Bank, kind: str
) -> None:
    sandbox.faults(PAYOUTS, kind)

    with pytest.raises(BankUnknown):
        pay_out(ours)
    found = ours.payout("R1")

    assert found is not None
    assert pay_out(ours) == found
    assert bookings(sandbox) == 1


def test_a_payout_that_never_reached_the_bank_is_unknown_until_asked(
    sandbox: Sandbox, ours: Bank
) -> None:
    sandbox.faults(PAYOUTS, "error_before")

    with pytest.raises(BankUnknown):
        pay_out(ours)

    assert ours.payout("R1") is None
    assert pay_out(ours).status == "DONE"


def test_a_bank_that_takes_too_long_is_unknown(
    sandbox: Sandbox, ours: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed, "TIMEOUT", (0.3, 0.3))
    sandbox.faults(PAYOUTS, "slow", seconds=1)

    with pytest.raises(BankUnknown):
        pay_out(ours)

    assert pay_out(ours).status == "DONE"
    assert bookings(sandbox) == 1


def test_an_answer_to_another_question_proves_nothing(
    sandbox: Sandbox, ours: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorded answer of the bank, fresh and well signed, put in place of the true one."""
    pay_out(ours)
    client: Any = ours
    sent = requests.Session.request
    recorded = sent(
        client._http,
        "GET",
        f"{sandbox.base_url}{PAYOUTS}/R1",
        headers=client._sign("GET", f"{PAYOUTS}/R1", b""),
        timeout=5,
    )
    assert recorded.status_code == 200
    monkeypatch.setattr(client._http, "request", lambda *_, **__: recorded)

    with pytest.raises(BankUnknown):
        ours.payout("R1")


def test_the_bank_refuses_a_strangers_signature_and_a_replay(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    body = b'{"parent_account":"755912345610801","units":[]}'
    stranger = Signer(keys.ensure(tmp_path).shop_private)
    ours = Signer(sandbox.keys.shop_private)
    url = f"{sandbox.base_url}/bank/units"
    headers = ours.headers("POST", "/bank/units", body)

    def post(headers: dict[str, str], said: bytes = body) -> Any:
        return sandbox.http.post(url, data=said, headers=headers, timeout=5).json().get("code")

    assert post(stranger.headers("POST", "/bank/units", body)) == "UNKNOWN_SERIAL"
    assert post(headers, body + b" ") == "BAD_SIGNATURE"
    assert post(ours.headers("POST", "/bank/units", body, ago=301)) == "STALE_TIMESTAMP"
    assert post({}) == "UNKNOWN_SERIAL"
    assert post(headers) is None
    assert post(headers) == "REPLAYED_NONCE"


def test_a_bank_that_does_not_know_our_key_leaves_the_payout_unknown(
    sandbox: Sandbox, ours: Bank, settings: Settings, tmp_path: Path
) -> None:
    """It refused to listen: what an earlier, accepted message did is not said."""
    paid = pay_out(ours)
    strange = keys.ensure(tmp_path).shop_private.read_text()
    settings.BANK_PROVIDERS = {"sandbox": {**sandbox.provider(), "private_key": strange}}

    with pytest.raises(BankUnknown, match="UNKNOWN_SERIAL"):
        pay_out(bank("sandbox"))

    assert ours.payout("R1") == paid


def test_a_call_to_the_bank_inside_a_transaction_is_a_mistake(ours: Bank) -> None:
    database = connections[DEFAULT_DB_ALIAS]
    database.atomic_blocks.append(Atomic(DEFAULT_DB_ALIAS, savepoint=True, durable=False))
    try:
        with pytest.raises(AssertionError, match="transaction"):
            pay_out(ours)
    finally:
        database.atomic_blocks.pop()


# --- a day's statement ----------------------------------------------------------------------------

FILES = "/bank/files"


def test_a_days_statement_is_fetched_signed_both_ways(sandbox: Sandbox, ours: Bank) -> None:
    sandbox.open_account(PARENT, 500)
    sandbox.transfer(PARENT, 8_800)
    today = datetime.now(SHANGHAI).date()

    file = ours.statement(PARENT, today)

    assert file.content == sandbox.statement(PARENT, today, "cmb_xlsx")
    assert file.filename == f"{PARENT}-{today:%Y%m%d}-cmb_xlsx.xlsx"
    assert sandbox.get(f"{FILES}?account_no={PARENT}&date={today}").status_code == 401


def test_the_same_bookings_are_the_same_file(sandbox: Sandbox, ours: Bank) -> None:
    sandbox.open_account(PARENT)
    sandbox.transfer(PARENT, 8_800)
    today = datetime.now(SHANGHAI).date()

    first = ours.statement(PARENT, today)
    time.sleep(2.1)  # a zip keeps times to two seconds

    assert ours.statement(PARENT, today) == first


@pytest.mark.parametrize("fault", ["bad_signature", "stale", "garbage", "error_before", "reset"])
def test_a_statement_that_proves_nothing_is_not_taken(
    sandbox: Sandbox, ours: Bank, fault: str
) -> None:
    sandbox.open_account(PARENT)
    sandbox.faults(FILES, fault)

    with pytest.raises(BankUnknown):
        ours.statement(PARENT, datetime.now(SHANGHAI).date())


def test_the_bank_gives_no_statement_of_a_strangers_account(sandbox: Sandbox, ours: Bank) -> None:
    with pytest.raises(BankRefused, match="ACCOUNT_UNKNOWN"):
        ours.statement("622000000001", datetime.now(SHANGHAI).date())


def test_what_a_bank_can_is_the_settings_word(sandbox: Sandbox, settings: Settings) -> None:
    assert transfer.that_can("limits") == transfer.that_can("statements") == ["sandbox"]

    settings.BANK_PROVIDERS = {"sandbox": sandbox.provider() | {"can": ["statements"]}}

    assert transfer.that_can("limits") == []
