"""What the bank of the sandbox pushes, and what our client makes of it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from payments.channels.transfer import BadSignature, Bank, bank
from tests.payments.payouts import PARENT, bookings, pay_out
from tests.sandbox import keys
from tests.sandbox.signing import Signer
from tests.sandbox_fixtures import Sandbox, running

PUSH = "/api/v1/hooks/bank/sandbox"


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
