"""Our bank client against the bank of the sandbox, over HTTP; and the bank's push to us."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import Atomic
from pytest_django import Settings

from payments.channels import transfer
from payments.channels.transfer import BadSignature, Bank, BankRefused, BankUnknown, bank
from tests.sandbox import keys
from tests.sandbox.signing import Signer
from tests.sandbox_fixtures import Sandbox, running

PARENT = "755912345610801"
PAYOUTS = "/bank/payouts"
PUSH = "/api/v1/hooks/bank/sandbox"


@pytest.fixture
def ours(sandbox: Sandbox) -> Bank:
    return bank("sandbox")


def pay_out(client: Bank, out_no: str = "R1", **changes: Any) -> transfer.PayoutResult:
    order = {
        "account_no": PARENT,
        "to_account": "6222020200112233",
        "to_name": "王小明",
        "amount_fen": 1230,
        "remark": "退款 R1",
    }
    return client.pay_out(out_no=out_no, **{**order, **changes})


def bookings(sandbox: Sandbox) -> int:
    """Bookings of the account today, counted in the bank's own statement."""
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    file = sandbox.statement(PARENT, today, "ccb_csv").decode("gb18030")
    return len(file.splitlines()) - 1


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
    monkeypatch.setattr(transfer, "TIMEOUT", (0.3, 0.3))
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


# --- the push -------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A stand-in for our hook: keeps what arrives, says what it is told to say."""

    url: str = ""
    answers: list[int] = field(default_factory=list)  # statuses for the next ones, then 200
    got: list[tuple[dict[str, str], bytes, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def bookings(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body, _ in self.got]


@pytest.fixture
def shop(sandbox: Sandbox) -> Iterator[Shop]:
    told = Shop()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with told.lock:
                told.got.append((dict(self.headers), body, self.path))
                status = told.answers.pop(0) if told.answers else 200
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"code": "OK"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    sandbox.push_to(told.url)
    yield told
    sandbox.reset()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_booking_is_pushed_signed_with_everything_that_is_known(
    sandbox: Sandbox, ours: Bank, shop: Shop
) -> None:
    ours.register_units(PARENT, ["0000000001"])
    booked = sandbox.transfer(f"{PARENT}0000000001", 8_800, remark="货款 PX7K")
    sandbox.wait_pushed()
    headers, body, path = shop.got[0]

    assert path == PUSH
    assert ours.verify_push(headers, body, datetime.now(UTC)) == {
        "event_id": f"EV{booked['serial']}",
        "account_no": PARENT,
        "virtual_account": f"{PARENT}0000000001",
        "serial": booked["serial"],
        "booked_at": booked["booked_at"],
        "amount_fen": 8_800,
        "direction": "C",
        "currency": "CNY",
        "payer_name": "王小明",
        "payer_account": "6222020200112233",
        "payer_bank": "沙箱银行上海分行",
        "remark": "货款 PX7K",
        "reverses": None,
    }


def test_payouts_and_reversals_are_pushed_as_debits(
    sandbox: Sandbox, ours: Bank, shop: Shop
) -> None:
    ours.register_units(PARENT, ["0000000001"])
    credit = sandbox.transfer(f"{PARENT}0000000001", 5_000)["serial"]
    sandbox.reverse(credit)
    pay_out(ours)
    sandbox.wait_pushed()

    pushed = [(one["direction"], one["amount_fen"], one["reverses"]) for one in shop.bookings()]
    assert pushed == [("C", 5_000, None), ("D", 5_000, credit), ("D", 1_230, None)]


def forged(headers: dict[str, str], **changes: str) -> dict[str, str]:
    return {**headers, **{f"X-Bank-{name.title()}": value for name, value in changes.items()}}


def test_a_push_with_anything_changed_is_refused(sandbox: Sandbox, ours: Bank, shop: Shop) -> None:
    sandbox.open_account(PARENT)
    sandbox.transfer(PARENT, 8_800)
    sandbox.wait_pushed()
    headers, body, _ = shop.got[0]
    now = datetime.now(UTC)
    assert ours.verify_push(headers, body, now)

    wrong = [
        (headers, body.replace(b"8800", b"8801")),
        (headers, b""),
        ({}, body),
        (forged(headers, serial="0" * 16), body),
        (forged(headers, nonce="another"), body),
        (forged(headers, nonce=""), body),
        (forged(headers, timestamp=str(int(headers["X-Bank-Timestamp"]) + 1)), body),
        (forged(headers, timestamp="²"), body),
        (forged(headers, signature=""), body),
        (forged(headers, signature="不是"), body),
        (forged(headers, signature=headers["X-Bank-Signature"][::-1]), body),
    ]
    said = set()
    for changed, text in wrong:
        with pytest.raises(BadSignature) as bad:
            ours.verify_push(changed, text, now)
        said.add((str(bad.value), bad.value.status, bad.value.code))
    assert said == {("签名验证失败", 401, "BAD_SIGNATURE")}


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_push_at_the_wrong_time_is_refused(
    sandbox: Sandbox, ours: Bank, shop: Shop, minutes: int
) -> None:
    sandbox.open_account(PARENT)
    sandbox.transfer(PARENT, 8_800)
    sandbox.wait_pushed()
    headers, body, _ = shop.got[0]

    with pytest.raises(BadSignature):
        ours.verify_push(headers, body, datetime.now(UTC) + timedelta(minutes=minutes))
    assert ours.verify_push(headers, body, datetime.now(UTC) + timedelta(minutes=4))


def test_a_push_by_another_key_is_refused(sandbox: Sandbox, ours: Bank, tmp_path: Path) -> None:
    body = b'{"event_id": "EV1"}'
    headers = Signer(keys.ensure(tmp_path).bank_private).headers("POST", PUSH, body)

    with pytest.raises(BadSignature):
        ours.verify_push(headers, body, datetime.now(UTC))


def test_a_push_signed_for_another_address_is_refused(sandbox: Sandbox, ours: Bank) -> None:
    body = b'{"event_id": "EV1"}'
    theirs = Signer(sandbox.keys.bank_private)

    with pytest.raises(BadSignature):
        ours.verify_push(theirs.headers("POST", f"{PUSH}/x", body), body, datetime.now(UTC))
    assert ours.verify_push(theirs.headers("POST", PUSH, body), body, datetime.now(UTC))


@pytest.mark.parametrize("status", [500, 503, 401, 302])
def test_a_push_that_is_not_taken_comes_again(
    sandbox: Sandbox, ours: Bank, shop: Shop, status: int
) -> None:
    shop.answers = [status, status]
    sandbox.open_account(PARENT)
    sandbox.transfer(PARENT, 8_800)

    tried = sandbox.wait_pushed()

    assert [one["status"] for one in tried] == [status, status, 200]
    assert len({one["event_id"] for one in shop.bookings()}) == 1


@pytest.mark.parametrize(
    ("kind", "arrivals"),
    [
        ("duplicate", [True, True]),
        ("error_after", [True, True]),
        ("error_before", [True]),
        ("bad_signature", [False]),
        ("stale", [False]),
        ("slow", [True]),
    ],
)
def test_push_faults_do_what_they_say(
    sandbox: Sandbox, ours: Bank, shop: Shop, kind: str, arrivals: list[bool]
) -> None:
    sandbox.faults("push", kind, seconds=0.3)
    sandbox.open_account(PARENT)
    sandbox.transfer(PARENT, 8_800)
    sandbox.wait_pushed()

    def is_good(headers: dict[str, str], body: bytes) -> bool:
        try:
            ours.verify_push(headers, body, datetime.now(UTC))
        except BadSignature:
            return False
        return True

    assert [is_good(headers, body) for headers, body, _ in shop.got] == arrivals


def test_a_push_can_come_after_the_next_one(sandbox: Sandbox, ours: Bank, shop: Shop) -> None:
    sandbox.faults(PUSH, "out_of_order")
    sandbox.open_account(PARENT)
    first = sandbox.transfer(PARENT, 1)["serial"]
    second = sandbox.transfer(PARENT, 2)["serial"]
    sandbox.wait_pushed()

    assert [one["serial"] for one in shop.bookings()] == [second, first]


# --- the process ----------------------------------------------------------------------------------


def test_a_restarted_bank_knows_its_books_and_pushes_what_was_not_taken(
    sandbox: Sandbox, shop: Shop, settings: Settings, tmp_path: Path
) -> None:
    with running(tmp_path) as before:
        settings.BANK_PROVIDERS = {"sandbox": before.provider()}
        bank("sandbox").register_units(PARENT, ["0000000001"])
        before.push_to("http://127.0.0.1:9")
        serial = before.transfer(f"{PARENT}0000000001", 8_800)["serial"]
        paid = pay_out(bank("sandbox"))
        openid = before.openid("小红")
    with running(tmp_path, "--shop-url", shop.url) as after:
        settings.BANK_PROVIDERS = {"sandbox": after.provider()}
        after.wait_pushed()

        assert [one["serial"] for one in shop.bookings()] == [serial, paid.serial]
        assert pay_out(bank("sandbox")) == paid
        assert bookings(after) == 2
        assert after.openid("小红") == openid
        after.transfer(f"{PARENT}0000000001", 1)


def test_keys_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    first = keys.ensure(tmp_path / "home")
    text = first.shop_private.read_text()

    assert keys.ensure(tmp_path / "home").shop_private.read_text() == text
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "home").iterdir()} == {0o600}
