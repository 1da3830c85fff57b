"""The bank's endpoints, entered over HTTP as staff and as the bank enter them."""

import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.timezone import now

from payments.receiving.models import ReceivingAccount
from payments.transfers import tasks
from payments.transfers.models import Policy, Statement, StatementLine
from tests.members.people import client_of, make_merchant, make_staff, make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    ACCOUNT,
    arrive,
    booking,
    ccb_csv,
    code_of,
    expected,
    virtual_of,
)
from tests.payments.transfers.bank import account as make_account

pytestmark = pytest.mark.django_db
PRICE = 9900
HOOK = "/api/v1/hooks/bank/sandbox"


@pytest.fixture
def platform():
    return client_of(make_user("平台", is_superuser=True))


@pytest.fixture
def stranger():
    return client_of(make_staff(make_merchant("别家"), "FINANCE"))


def upload(client, content, **more):
    file = SimpleUploadedFile("../流水.csv", content)
    return client.post("/api/v1/bank/statements", {"file": file, **more}, format="multipart")


def lines(client, query=""):
    answer = client.get(f"/api/v1/bank/lines{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def act(client, line, what, **body):
    return client.post(f"/api/v1/bank/lines/{line.number}/{what}", body, format="json")


# --- statements


def test_a_statement_is_taken_imported_and_told(account, platform):
    payment = expected()
    taken = upload(platform, ccb_csv([booking(PRICE, virtual_account=virtual_of(payment))]))

    assert taken.status_code == 202
    assert taken.json()["status"] == "RUNNING"
    tasks.import_statement(statement_id=Statement.objects.get().pk)

    told = platform.get(f"/api/v1/bank/statements/{taken.json()['id']}").json()
    assert told["status"] == "DONE"
    assert told["reason"] is None
    figures = ("lines", "credits", "credits_fen", "matched", "suggested", "unmatched",
               "duplicates", "ignored")  # fmt: skip
    assert [told[figure] for figure in figures] == [1, 1, PRICE, 1, 0, 0, 0, 0]
    assert platform.get("/api/v1/bank/statements").json()["results"] == [told]
    (line,) = lines(platform, f"?statement={told['id']}&verdict=MATCHED")
    assert (line["rule"], line["payments"][0]["payment"]) == ("T1a", payment.number)


def test_a_statement_of_an_account_that_takes_no_new_payments_is_taken(account, platform):
    ReceivingAccount.objects.update(is_active=False)

    assert upload(platform, ccb_csv([booking(PRICE)])).status_code == 202


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "INVALID"),
        (b"hello, world", "UNKNOWN_FORMAT"),
        (ccb_csv([booking(100)], own="755900999999"), "NOT_OUR_ACCOUNT"),
        (b"%PDF-1.7 ...", "UNSUPPORTED_STATEMENT"),
        (b":20:X\n:25:1\n:28C:1\n" + b"x" * 32 * 1024 * 1024, "FILE_TOO_LARGE"),
    ],
    ids=["empty", "text", "not ours", "pdf", "huge"],
)
def test_a_file_that_cannot_be_taken_is_refused_at_once(account, platform, content, code):
    answer = upload(platform, content)

    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code
    assert answer["Content-Type"] == "application/problem+json"
    assert not Statement.objects.exists()
    assert not StatementLine.objects.exists()


WRONG_BALANCE = ccb_csv([booking(100), booking(200)]).replace(b",3.00,", b",4.00,")


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        (WRONG_BALANCE, "UNBALANCED", 3),
        (ccb_csv([booking(100), booking(200)])[:-30], "DAMAGED_FILE", 3),
    ],
    ids=["does not add up", "truncated"],
)
def test_a_file_of_ours_that_is_refused_leaves_what_came_and_why(
    account, platform, content, code, row
):
    answer = upload(platform, content)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    told = platform.get(f"/api/v1/bank/statements/{answer.json()['facts']['statement']}").json()
    assert (told["status"], told["reason"], told["broken_row"], told["origin"]) == (
        "REFUSED",
        answer.json()["detail"],
        row,
        "UPLOADED",
    )
    assert not StatementLine.objects.exists()
    again = upload(platform, content)
    assert (again.status_code, again.json()["facts"]) == (422, answer.json()["facts"])
    assert Statement.objects.count() == 1


def test_a_file_that_was_refused_is_taken_when_it_can_be_read(account, platform):
    """The very same bytes, when the reader was repaired."""
    content = ccb_csv([booking(PRICE)])
    taken = upload(platform, content).json()["id"]
    Statement.objects.update(status="REFUSED", reason="读不懂")

    again = upload(platform, content)

    assert again.status_code == 202
    assert again.json()["id"] != taken


def test_a_broken_file_of_another_merchants_account_leaves_nothing(account, stranger):
    assert upload(stranger, WRONG_BALANCE).status_code == 422
    assert not Statement.objects.exists()


def test_a_file_of_another_accounts_virtual_accounts_is_not_the_chosen_ones(account, platform):
    rows = [booking(PRICE, virtual_account=f"7559009999990000{n:06}") for n in range(2)]
    content = ccb_csv(rows, own="755900999999")

    unchosen = upload(platform, content)
    chosen = upload(platform, content, account_no=ACCOUNT)

    assert (unchosen.status_code, unchosen.json()["code"]) == (422, "ACCOUNT_NOT_SAID")
    assert (chosen.status_code, chosen.json()["code"]) == (422, "NOT_OUR_ACCOUNT")
    assert not Statement.objects.exists()


def test_the_same_file_again_is_refused_with_the_first_ones_id(account, platform):
    content = ccb_csv([booking(PRICE)])
    first = upload(platform, content).json()["id"]

    again = upload(platform, content)

    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_IMPORTED")
    assert again.json()["facts"] == {"statement": first}


@pytest.mark.parametrize("more", [{"bank": "ccb"}, {"account_no": ["1", "2"]}])
def test_unknown_and_repeated_fields_are_refused(account, platform, more):
    answer = upload(platform, ccb_csv([booking(PRICE)]), **more)

    assert 400 <= answer.status_code < 500
    assert not Statement.objects.exists()


def test_a_merchants_finance_sees_its_own_accounts_only(account, platform, stranger):
    (line,) = arrive(booking(PRICE))
    number = upload(platform, ccb_csv([booking(1)])).json()["id"]

    assert lines(stranger) == []
    assert stranger.get("/api/v1/bank/statements").json()["results"] == []
    assert stranger.get(f"/api/v1/bank/statements/{number}").status_code == 404
    assert stranger.get(f"/api/v1/bank/lines/{line.number}").status_code == 404
    assert act(stranger, line, "ignore", reason="x").status_code == 404
    assert upload(stranger, ccb_csv([booking(2)])).json()["code"] == "NOT_OUR_ACCOUNT"


@pytest.mark.parametrize(
    "query", ["?verdict=PAID", "?foo=1", "?limit=0", "?verdict=MATCHED&verdict=MATCHED"]
)
def test_filters_that_nobody_knows_are_refused(account, platform, query):
    assert platform.get(f"/api/v1/bank/lines{query}").status_code == 400


def test_the_list_of_lines_takes_a_fixed_number_of_queries(
    account, platform, django_assert_max_num_queries
):
    payments = [expected() for _ in range(20)]
    arrive(*(booking(PRICE, virtual_account=virtual_of(payment)) for payment in payments))

    with django_assert_max_num_queries(7):
        assert len(lines(platform, "?limit=100")) == 20


# --- what a clerk does


def test_a_clerk_matches_undoes_and_matches_again(account, platform):
    wrong, right = expected(), expected()
    (line,) = arrive(booking(PRICE))
    shown = platform.get(f"/api/v1/bank/lines/{line.number}").json()
    assert shown["actions"] == {
        "match": True,
        "return": True,
        "undo": False,
        "ignore": True,
        "take_in": False,
        "reverse": False,
        "bounce": False,
    }
    assert {candidate["payment"] for candidate in shown["candidates"]} == {
        wrong.number,
        right.number,
    }

    matched = act(platform, line, "match", payments=[{"number": wrong.number, "amount_fen": PRICE}])
    assert matched.status_code == 200
    assert matched.json()["verdict"] == "MATCHED"
    assert act(platform, line, "undo").json()["verdict"] == "UNMATCHED"
    act(platform, line, "match", payments=[{"number": right.number, "amount_fen": PRICE}])

    assert payable.told.paid == [right.reference]


def test_a_click_repeated_with_its_key_is_answered_again_and_done_once(account, platform):
    payment = expected()
    (line,) = arrive(booking(PRICE))
    body = {"payments": [{"number": payment.number, "amount_fen": PRICE}]}
    url, key = f"/api/v1/bank/lines/{line.number}/match", str(uuid.uuid4())

    first = platform.post(url, body, format="json", HTTP_IDEMPOTENCY_KEY=key)
    again = platform.post(url, body, format="json", HTTP_IDEMPOTENCY_KEY=key)

    assert first.status_code == again.status_code == 200
    assert again["Idempotent-Replay"] == "true"
    payment.refresh_from_db()
    assert payment.received_fen == PRICE


@pytest.mark.parametrize(
    "shares",
    [
        [],
        [{"number": "P1", "amount_fen": 0}],
        [{"number": "P1", "amount_fen": -PRICE}],
        [{"number": "P1", "amount_fen": 99.0}],
        [{"number": "P1", "amount_fen": "9900"}],
        [{"number": "P1", "amount_fen": 10**20}],
        [{"number": "P1", "amount_fen": PRICE, "order": "1"}],
        [{"number": "P1", "amount_fen": 1}, {"number": "P1", "amount_fen": PRICE - 1}],
        "P1",
    ],
)
def test_a_malformed_assignment_changes_nothing(account, platform, shares):
    (line,) = arrive(booking(PRICE))

    answer = act(platform, line, "match", payments=shares)

    assert answer.status_code == 400
    line.refresh_from_db()
    assert line.verdict == "UNMATCHED"


def test_a_return_is_taken_and_the_bank_is_asked_later(account, platform):
    (line,) = arrive(booking(PRICE))

    answer = act(platform, line, "return")

    assert (answer.status_code, answer.json()["verdict"]) == (202, "RETURNING")
    assert act(platform, line, "return").json()["code"] == "RETURN_UNDER_WAY"
    assert act(platform, line, "match", payments=[]).status_code == 400


def test_a_part_is_returned_and_a_second_person_checks_it(account, platform):
    Policy.objects.create(merchant="", check_above_fen=999)
    (line,) = arrive(booking(PRICE))

    answer = act(platform, line, "return", amount_fen=1000, reason="多付").json()
    assert (answer["verdict"], answer["left_fen"]) == ("RETURNING", PRICE - 1000)
    assert [one["status"] for one in answer["returns"]] == ["ASKED"]
    assert answer["actions"]["match"] is True
    assert answer["actions"]["return"] is False

    (asked,) = platform.get("/api/v1/bank/returns?status=ASKED").json()["results"]
    assert (asked["line"], asked["reason"], asked["amount_fen"]) == (line.number, "多付", 1000)
    url = f"/api/v1/bank/returns/{asked['number']}/check"
    refused = platform.post(url, {"approve": True}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "SECOND_PERSON_NEEDED")
    other = client_of(make_user("复核", is_superuser=True))
    declined = other.post(url, {"approve": False, "reason": "先核实"}, format="json").json()

    assert (declined["status"], declined["failure"]) == ("DECLINED", "先核实")
    (shown,) = lines(platform, "?verdict=UNMATCHED")
    assert (shown["left_fen"], shown["reasons"]) == (PRICE, ["退回 10.00 元复核未通过：先核实"])


@pytest.mark.parametrize("body", [{"amount_fen": 0}, {"amount_fen": "1"}, {"fen": 1}])
def test_a_malformed_return_changes_nothing(account, platform, body):
    (line,) = arrive(booking(PRICE))

    assert act(platform, line, "return", **body).status_code == 400

    line.refresh_from_db()
    assert line.verdict == "UNMATCHED"


def test_lines_are_found_by_account_amount_and_age(account, platform):
    old, new = arrive(booking(100, booked_at=now() - timedelta(days=9)), booking(5000))
    StatementLine.objects.filter(pk=new.pk).update(booked_at=now())

    def found(query):
        return {line["id"] for line in lines(platform, query)}

    assert found("?age_days=7") == {old.number}
    assert found("?min_fen=101") == found("?min_fen=5000&max_fen=5000") == {new.number}
    assert found("?max_fen=100") == {old.number}
    assert found(f"?account_no={ACCOUNT}") == {old.number, new.number}
    assert found("?account_no=1") == set()


def test_a_person_says_what_a_reversal_took_back(account, platform, stranger):
    (line,) = arrive(booking(PRICE, remark=code_of(expected())))
    (reversal,) = arrive(booking(-PRICE, is_reversal=True, remark="冲正"))
    url = f"/api/v1/bank/lines/{reversal.number}/reverse"

    assert stranger.get(url).status_code == 404
    assert [one["id"] for one in platform.get(url).json()] == [line.number]
    assert act(platform, reversal, "reverse", original=line.number).status_code == 400
    assert act(platform, reversal, "reverse", original="L0", reason="回单").status_code == 404
    said = {"original": line.number, "reason": "回单"}
    assert act(stranger, reversal, "reverse", **said).status_code == 404
    assert act(platform, line, "reverse", **said).json()["code"] == "NOT_A_REVERSAL"
    done = act(platform, reversal, "reverse", **said)

    assert (done.status_code, done.json()["verdict"]) == (200, "REVERSED")
    assert platform.get(f"/api/v1/bank/lines/{line.number}").json()["verdict"] == "REVERSED"
    assert platform.get(url).json() == []


def test_a_clerk_cannot_name_another_merchants_line_as_the_original(account, platform):
    (line,) = arrive(booking(PRICE))
    mine = make_merchant("别家")
    another = make_account("755900000220", merchant=mine.number)
    (reversal,) = arrive(
        booking(-PRICE, is_reversal=True, remark="冲正"), account_no=another.account_no
    )
    clerk = client_of(make_staff(mine, "FINANCE"))

    answer = act(clerk, reversal, "reverse", original=line.number, reason="回单")

    assert answer.status_code == 404
    reversal.refresh_from_db()
    line.refresh_from_db()
    assert (reversal.verdict, line.verdict) == ("CONFLICT", "UNMATCHED")


def test_ignoring_needs_a_reason(account, platform):
    (line,) = arrive(booking(PRICE))

    assert act(platform, line, "ignore").status_code == 400
    assert act(platform, line, "ignore", reason="股东借款").json()["reasons"] == ["股东借款"]
