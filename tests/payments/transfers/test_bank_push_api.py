"""The bank's push, entered over HTTP and signed as the bank signs."""

import json
from collections.abc import Iterator

import pytest

from payments.ledger import queries as ledger
from payments.transfers.models import StatementLine
from tests.payments import payable
from tests.payments.transfers.bank import (
    ACCOUNT,
    expected,
    virtual_of,
)
from tests.sandbox.signing import Signer

pytestmark = pytest.mark.django_db
PRICE = 9900
HOOK = "/api/v1/hooks/bank/sandbox"


class Bank:
    """Signs as the bank does and says what the test wants it to say."""

    def __init__(self, client, signer):
        self.client, self.signer = client, signer
        self.event = {
            "event_id": "E1",
            "account_no": ACCOUNT,
            "virtual_account": None,
            "serial": "S-PUSH-1",
            "booked_at": "2026-06-18T12:00:00+08:00",
            "amount_fen": PRICE,
            "direction": "C",
            "currency": "CNY",
            "payer_name": "王小美",
            "payer_account": "6222020200112233",
            "payer_bank": "工商银行",
            "remark": "货款",
            "reverses": None,
        }

    def push(self, *, hook=HOOK, ago=0, tamper=b"", signed_as=HOOK, body=None, nonce="", **changes):
        content = body if body is not None else json.dumps(self.event | changes).encode()
        headers = self.signer.headers("POST", signed_as, content, ago=ago, nonce=nonce)
        return self.client.post(
            hook,
            content + tamper,
            content_type="application/json",
            **{f"HTTP_{name.upper().replace('-', '_')}": said for name, said in headers.items()},
        )


@pytest.fixture
def bank(sandbox, account, client) -> Iterator[Bank]:
    return Bank(client, Signer(sandbox.keys.bank_private))


def test_a_push_is_stored_judged_and_answered(bank):
    payment = expected()

    answer = bank.push(virtual_account=virtual_of(payment))

    assert (answer.status_code, answer.json()) == (200, {"code": "OK"})
    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"
    assert ledger.balance(f"bank:{ACCOUNT}") == PRICE


def test_a_pushed_payout_that_came_back_pays_nothing(bank):
    payment = expected()

    bank.push(virtual_account=virtual_of(payment), remark="退汇 户名不符")

    line = StatementLine.objects.get()
    assert (line.verdict, line.rule) == ("CONFLICT", "R")
    payment.refresh_from_db()
    assert payment.status == "WAITING"


def test_a_push_repeated_is_answered_ok_and_changes_nothing(bank):
    payment = expected()

    answers = [bank.push(virtual_account=virtual_of(payment)) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert StatementLine.objects.count() == 1
    assert payable.told.paid == [payment.reference]


@pytest.mark.parametrize(
    "forged",
    [
        {"tamper": b" "},
        {"ago": 301},
        {"ago": -302},
        {"signed_as": "/api/v1/hooks/bank/other"},
    ],
)
def test_a_forged_or_stale_push_is_401_and_stores_nothing(bank, forged):
    answer = bank.push(**forged)

    assert (answer.status_code, answer.json()["code"]) == (401, "BAD_SIGNATURE")
    assert not StatementLine.objects.exists()


def test_a_push_heard_before_to_the_letter_is_401_and_changes_nothing(bank):
    payment = expected()
    bank.push(virtual_account=virtual_of(payment), nonce="once")

    answer = bank.push(virtual_account=virtual_of(payment), nonce="once")

    assert (answer.status_code, answer.json()["code"]) == (401, "PUSH_REPLAYED")
    assert StatementLine.objects.count() == 1
    assert payable.told.paid == [payment.reference]


def test_a_push_without_a_signature_is_401(bank, client):
    answer = client.post(HOOK, json.dumps(bank.event), content_type="application/json")

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": 0},
        {"amount_fen": -1},
        {"amount_fen": 99.5},
        {"amount_fen": "9900"},
        {"amount_fen": 10**18},
        {"direction": "X"},
        {"serial": ""},
        {"booked_at": "yesterday"},
        {"surprise": 1},
        {"body": b"[]"},
        {"body": b"\xff"},
        {"body": b"[" * 40_000},
        {"body": b'{"amount_fen": 1, "amount_fen": 9900}'},
    ],
)
def test_a_signed_push_that_makes_no_sense_is_refused(bank, changes):
    answer = bank.push(**changes)

    assert 400 <= answer.status_code < 500
    assert not StatementLine.objects.exists()


def test_a_push_for_an_account_or_a_bank_that_is_not_ours_is_404(bank):
    assert bank.push(account_no="755900999999").status_code == 404
    assert bank.push(hook="/api/v1/hooks/bank/nobody").status_code == 404
    assert not StatementLine.objects.exists()


def test_a_push_that_is_too_long_is_413(bank):
    assert bank.push(remark="x" * 70_000).status_code == 413


def test_a_debit_is_stored_and_pays_nothing(bank):
    bank.push(direction="D")

    line = StatementLine.objects.get()
    assert (line.amount_fen, line.verdict) == (-PRICE, "IGNORED")


def test_a_pushed_reversal_undoes_what_was_paid(bank):
    payment = expected()
    bank.push(virtual_account=virtual_of(payment))

    bank.push(event_id="E2", serial="S-PUSH-2", direction="D", reverses="S-PUSH-1")

    reversal = StatementLine.objects.get(serial="S-PUSH-2")
    assert (reversal.verdict, reversal.rule, reversal.reverses) == ("REVERSED", "R", "S-PUSH-1")
    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("WAITING", 0)
