"""Each booking of the bank is taken in once, whichever way it comes, and nothing is dropped."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest

from payments.channels import transfer
from payments.ledger import queries as ledger
from payments.ledger.models import Posting
from payments.transfers import intake, matching, returns, services, tasks
from payments.transfers.models import LineEvent, Statement, StatementLine
from payments.transfers.rules import Verdict
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers import bank
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    ccb_csv,
    expected,
    push,
    transfer_in,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900
SUSPENSE, BANK, ELSEWHERE = (f"{kind}:{ACCOUNT}" for kind in ("suspense", "bank", "elsewhere"))


def upload(content: bytes, *, account_no: str = "", tenants=None) -> Statement:
    return services.upload(
        file=io.BytesIO(content),
        filename="明细.csv",
        account_no=account_no,
        tenants=tenants,
        uploaded_by_id=make_user().pk,
        at=NOON,
    )


def imported(content: bytes) -> Statement:
    statement = upload(content)
    services.import_statement(statement=statement, at=NOON)
    statement.refresh_from_db()
    return statement


# --- T0: what a row is


@pytest.mark.parametrize(
    ("case", "changes", "verdict", "posted"),
    [
        ("a buyer's money", {}, Verdict.UNMATCHED, (100, 0)),
        ("money out", {"amount_fen": -100}, Verdict.IGNORED, (0, -100)),
        ("nothing", {"amount_fen": 0}, Verdict.IGNORED, (0, 0)),
        ("dollars", {"currency": "USD"}, Verdict.IGNORED, (0, 0)),
        ("from an account of ours", {"payer_account": ACCOUNT}, Verdict.IGNORED, (0, 100)),
        (
            "interest",
            {"remark": "结息", "payer_account": "", "payer_name": ""},
            Verdict.IGNORED,
            (0, 100),
        ),
        (
            "interest, the bank as payer",
            {"remark": "结息", "payer_account": "", "payer_name": "中国建设银行杭州分行"},
            Verdict.IGNORED,
            (0, 100),
        ),
        ("a buyer who writes 手续费", {"remark": "手续费"}, Verdict.UNMATCHED, (100, 0)),
        (
            "a buyer without an account who writes 手续费",
            {"remark": "手续费", "payer_account": ""},
            Verdict.UNMATCHED,
            (100, 0),
        ),
        ("in three days", {"booked_at": NOON + timedelta(days=3)}, Verdict.CONFLICT, (0, 0)),
        (
            "money out in three days",
            {"amount_fen": -100, "booked_at": NOON + timedelta(days=3)},
            Verdict.CONFLICT,
            (0, 0),
        ),
        ("a payout that came back", {"is_reversal": True}, Verdict.CONFLICT, (100, 0)),
        ("taken back", {"is_reversal": True, "amount_fen": -100}, Verdict.CONFLICT, (0, -100)),
    ],
)
def test_every_movement_of_the_account_is_in_the_books(account, case, changes, verdict, posted):
    suspense_fen, elsewhere_fen = posted
    (line,) = arrive(replace(booking(100), **changes))

    assert line.verdict == verdict
    assert line.reasons
    assert ledger.balance(SUSPENSE) == suspense_fen
    assert ledger.balance(ELSEWHERE) == elsewhere_fen
    assert ledger.balance(BANK) == suspense_fen + elsewhere_fen
    assert (line.is_posted, line.is_elsewhere) == (bool(suspense_fen), bool(elsewhere_fen))


def test_money_from_another_merchants_account_is_a_buyers(account):
    for number, merchant in (("6225000000000001", "M_OTHER"), ("6225000000000002", "")):
        bank.account(number, units=0, merchant=merchant)
    type(account).objects.filter(pk=account.pk).update(merchant="M_SELLER")

    bought, moved = arrive(
        booking(100, payer_account="6225000000000001"),
        booking(200, payer_account="6225000000000002"),
    )

    assert (bought.verdict, bought.is_posted) == (Verdict.UNMATCHED, True)
    assert (moved.verdict, moved.reasons) == (Verdict.IGNORED, ["本店账户之间的调拨"])


def test_a_batch_posts_each_kind_of_movement_once(account):
    arrive(booking(1000), booking(500), booking(-30, remark="手续费"), booking(-70),
           booking(7, remark="结息", payer_account="", payer_name=""))  # fmt: skip

    kinds = Posting.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["INTAKE", "ELSEWHERE_IN", "ELSEWHERE_OUT"]
    assert ledger.balance(ELSEWHERE) == 7 - 100
    assert ledger.balance(BANK) == 1500 + 7 - 100


def test_our_own_refund_in_the_statement_is_known_again(account):
    (line,) = arrive(booking(500))
    returns.give_back(line=line, actor="UFINANCE", at=NOON)
    line.returns.update(serial="OUT1")  # the bank has answered, and nobody has read it yet

    (out,) = arrive(booking(-500, serial="OUT1"))

    assert out.reasons == ["本店退款付出"]
    assert ledger.balance(ELSEWHERE) == 0


def test_our_own_payout_is_known_by_its_remark_before_the_bank_has_answered(account):
    (line,) = arrive(booking(500))
    asked = returns.give_back(line=line, actor="UFINANCE", at=NOON)

    (out,) = arrive(booking(-500, remark=f"退回 {asked.number}"))

    assert (out.verdict, out.is_elsewhere) == (Verdict.IGNORED, False)
    assert ledger.balance(BANK) == 500  # until the bank's answer is read


def test_a_payout_that_came_in_a_statement_without_a_word_leaves_the_bank_once(account, sandbox):
    sandbox.open_account(ACCOUNT, 10_000)
    (line,) = arrive(booking(500))
    asked = returns.give_back(line=line, actor="UFINANCE", at=NOON)
    paid = transfer.bank("sandbox").pay_out(
        out_no=asked.number,
        account_no=ACCOUNT,
        to_account=line.payer_account,
        to_name=line.payer_name,
        amount_fen=500,
        remark=f"退回 {asked.number}",
    )
    arrive(booking(-500, serial=paid.serial))
    assert (ledger.balance(BANK), ledger.balance(ELSEWHERE)) == (0, -500)

    tasks.send_return(return_id=asked.pk)

    assert ledger.balance(BANK) == ledger.balance(ELSEWHERE) == ledger.balance(SUSPENSE) == 0


# --- once


def test_a_push_and_the_statement_bring_the_same_money_once(account):
    payment = expected()
    line = transfer_in(payment, fen=PRICE)
    row = booking(
        PRICE, serial=line.serial, virtual_account=line.virtual_account, booked_at=line.booked_at
    )

    statement = imported(ccb_csv([row, booking(700)]))

    assert (statement.lines, statement.duplicates, statement.unmatched) == (2, 1, 1)
    assert ledger.balance(BANK) == PRICE + 700
    assert payable.told.paid == [payment.reference]
    line.refresh_from_db()
    assert line.balance_fen == PRICE  # as the statement prints it
    assert LineEvent.objects.get(line=line, kind="CONFIRMED").facts == {
        "statement": statement.number
    }


def test_the_statement_and_then_a_late_push_bring_it_once(account):
    payment = expected()
    row = booking(PRICE, virtual_account=virtual_of(payment))
    statement = imported(ccb_csv([row]))

    taken = push(row)

    assert (statement.matched, taken.duplicates) == (1, 1)
    assert ledger.balance(BANK) == PRICE
    assert StatementLine.objects.count() == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_same_day_in_another_encoding_or_with_other_line_ends_is_all_duplicates(
    account, encoding
):
    rows = [booking(PRICE, remark="货款"), booking(PRICE, remark="订金")]
    imported(ccb_csv(rows))

    again = imported(ccb_csv(rows, encoding=encoding).replace(b"\r\n", b"\n"))

    assert (again.lines, again.duplicates, again.unmatched) == (2, 2, 0)
    assert ledger.balance(BANK) == 2 * PRICE


def test_the_same_file_twice_is_refused_and_names_the_first(account):
    content = ccb_csv([booking(PRICE)])
    first = imported(content)

    with pytest.raises(services.AlreadyImported) as refusal:
        upload(content)

    assert refusal.value.details == {"statement": first.number}
    assert Statement.objects.count() == 1


def test_twins_without_a_serial_are_two_and_stay_two(account):
    twin = booking(PRICE, serial=None, remark="货款")

    arrive(twin, twin)
    arrive(twin, twin, booking(1))
    arrive(twin)

    assert StatementLine.objects.filter(amount_fen=PRICE).count() == 2
    assert ledger.balance(BANK) == 2 * PRICE + 1


def test_rows_that_differ_in_chinese_only_are_not_the_same(account):
    one = booking(PRICE, serial=None, payer_name="张三", remark="货款")

    arrive(one, replace(one, payer_name="李四", remark="订金"))

    assert sorted(StatementLine.objects.values_list("payer_name", flat=True)) == ["张三", "李四"]


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": PRICE + 1},
        {"payer_account": "6217009988776655"},
        {"booked_at": NOON - timedelta(days=9)},
    ],
)
def test_a_known_serial_with_other_facts_is_kept_apart_for_a_person(account, changes):
    (first,) = arrive(booking(PRICE))
    other = replace(booking(PRICE, serial=first.serial), **changes)

    taken = push(other)
    again = push(other)

    first.refresh_from_db()
    apart = StatementLine.objects.exclude(pk=first.pk).get()
    assert (taken.conflicts, again.conflicts, again.duplicates) == (1, 0, 1)
    assert (first.verdict, apart.verdict) == (Verdict.CONFLICT, Verdict.CONFLICT)
    assert not apart.is_posted
    assert first.number in apart.reasons[0]
    assert ledger.balance(BANK) == PRICE
    assert LineEvent.objects.filter(line=first, kind="CONTRADICTED").count() == 1


def test_a_batch_is_one_posting(account):
    arrive(*(booking(fen) for fen in range(1, 41)))

    assert Posting.objects.filter(kind="INTAKE").count() == 1
    assert ledger.balance(SUSPENSE) == sum(range(1, 41))


# --- statements


def test_counters_tell_what_became_of_every_line(account):
    paid, short = expected(), expected()
    statement = imported(
        ccb_csv(
            [
                booking(PRICE, virtual_account=virtual_of(paid)),
                booking(1, remark=short.transfer_intent.code),
                booking(500),
                booking(-200),
            ]
        )
    )

    assert statement.status == "DONE"
    assert not statement.parts.exists()
    assert (statement.lines, statement.credits) == (4, 3)
    assert statement.credits_fen == PRICE + 501
    assert (statement.matched, statement.suggested) == (1, 1)
    assert (statement.unmatched, statement.ignored, statement.duplicates) == (1, 1, 0)


def test_a_statement_of_an_account_that_is_not_ours_leaves_nothing(account):
    with pytest.raises(services.NotOurAccount):
        upload(ccb_csv([booking(PRICE)], own="755900999999"))

    assert not Statement.objects.exists()


def test_a_merchants_staff_cannot_feed_the_platforms_account(account):
    with pytest.raises(services.NotOurAccount):
        upload(ccb_csv([booking(PRICE)]), tenants=frozenset({"M1"}))

    assert not Statement.objects.exists()


def test_the_chosen_account_must_be_the_files(account):
    with pytest.raises(services.NotOurAccount):
        upload(ccb_csv([booking(PRICE)]), account_no="755900000999")


def test_an_import_that_was_cut_off_is_finished_by_the_sweep(account, monkeypatch):
    payments = [expected() for _ in range(5)]
    rows = [booking(PRICE, virtual_account=virtual_of(payment)) for payment in payments]
    statement = upload(ccb_csv(rows))
    monkeypatch.setattr(intake, "CHUNK", 2)
    real, calls = matching.pay, []

    def dies_in_the_second_chunk(paid, at, reopens):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(paid, at, reopens)

    monkeypatch.setattr(matching, "pay", dies_in_the_second_chunk)
    with pytest.raises(KeyboardInterrupt):
        services.import_statement(statement=statement, at=NOON)
    assert StatementLine.objects.count() == 2
    monkeypatch.setattr(matching, "pay", real)
    Statement.objects.update(leased_until=NOON)  # nothing was heard of that worker for long

    tasks.import_waiting()
    tasks.import_waiting()

    statement.refresh_from_db()
    assert (statement.status, statement.matched, statement.duplicates) == ("DONE", 5, 0)
    assert sorted(payable.told.paid) == sorted(payment.reference for payment in payments)
    assert ledger.balance(BANK) == 5 * PRICE
