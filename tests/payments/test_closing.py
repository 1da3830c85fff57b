"""Every day of a receiving account is compared with the bank, and what differs is explained."""

import io
from datetime import date, timedelta

import pytest
from django.utils.timezone import now

from payments.channels import transfer
from payments.channels.transfer import StatementFile
from payments.closing import queries, services, tasks
from payments.closing.models import DayClose
from payments.closing.rules import Difference, Ends, Gap, Why, begins, gaps, shortened
from payments.ledger import queries as ledger
from payments.ledger import services as books
from payments.ledger.models import Posting
from payments.transfers import pulling, returns
from payments.transfers import services as transfers
from payments.transfers.models import Statement, StatementLine
from tests.members.people import client_of, make_merchant, make_staff, make_user
from tests.payments.transfers import bank
from tests.payments.transfers.bank import ACCOUNT, booking, push
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
MONDAY = date(2026, 6, 15)
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + n * DAY for n in (1, 2, 3))
LATER = begins(MONDAY + 20 * DAY)  # long after all these days


@pytest.fixture
def own(db):
    return bank.account()


def on(day, fen, **changes):
    """A booking at noon of that day."""
    return booking(fen, booked_at=begins(day) + timedelta(hours=12), **changes)


def statement(*rows, opening=0, at=LATER):
    """A statement of these rows is uploaded and imported, as a bank prints it."""
    taken = uploaded(*rows, opening=opening, at=at)
    transfers.import_statement(statement=taken, at=at)
    return Statement.objects.get(pk=taken.pk)


def uploaded(*rows, opening=0, at):
    return transfers.upload(
        file=io.BytesIO(bank.ccb_csv(rows, opening=opening)),
        filename="",
        account_no="",
        tenants=None,
        uploaded_by_id=make_user().pk,
        at=at,
    )


def closed(own, since=MONDAY, at=LATER):
    """What was compared, by day: bank, ledger, status."""
    services.close_days(account=own, since=since, at=at)
    rows = DayClose.objects.order_by("day")
    return {row.day: (row.bank_fen, row.ledger_fen, row.status) for row in rows}


def told(day):
    found = DayClose.objects.get(day=day).differences
    return [(one["why"], one["fen"]) for one in found]


# --- the books begin


def test_the_first_statement_opens_the_books(own):
    statement(on(MONDAY, 500), opening=10_000)

    assert closed(own) == {MONDAY: (10_500, 10_500, "EVEN")}

    assert ledger.balance(f"opening:{ACCOUNT}") == 10_000
    assert ledger.balance(f"bank:{ACCOUNT}") == 10_500
    assert books.audit() == []


def test_the_books_are_opened_once(own):
    statement(on(MONDAY, 500), opening=10_000)
    closed(own)

    assert services.open_books(account=own, at=LATER) == 0

    assert Posting.objects.filter(kind="OPENING").count() == 1


def test_what_was_pushed_before_the_first_statement_is_in_its_opening_balance(own):
    push(on(MONDAY, 300))
    statement(on(TUESDAY, 500), opening=10_300)

    assert closed(own) == {TUESDAY: (10_800, 10_800, "EVEN")}
    assert ledger.balance(f"opening:{ACCOUNT}") == 10_000


def test_an_earlier_statement_that_comes_later_corrects_the_opening(own):
    statement(on(TUESDAY, 500), opening=10_000)
    closed(own)
    statement(on(MONDAY, 4_000), opening=6_000)

    assert closed(own, since=TUESDAY) == {
        MONDAY: (10_000, 10_000, "EVEN"),
        TUESDAY: (10_500, 10_500, "EVEN"),
    }
    openings = Posting.objects.filter(kind="OPENING").order_by("pk")
    assert list(openings.values_list("reference", flat=True)) == [ACCOUNT, f"{ACCOUNT}:2"]
    assert ledger.balance(f"opening:{ACCOUNT}") == 6_000


def test_an_overdrawn_account_begins_below_zero(own):
    statement(on(MONDAY, 500), opening=-2_000)

    assert closed(own) == {MONDAY: (-1_500, -1_500, "EVEN")}


# --- days


def test_fees_interest_and_payments_out_are_even_too(own):
    statement(
        on(MONDAY, 5_000),
        on(MONDAY, -30, remark="手续费"),
        on(MONDAY, -900, payer_account="1234567890"),
        on(TUESDAY, 7, remark="结息", payer_account=""),
    )

    assert closed(own) == {MONDAY: (4_070, 4_070, "EVEN"), TUESDAY: (4_077, 4_077, "EVEN")}
    assert books.audit() == []


def test_pushes_that_a_statement_confirms_are_even(own):
    row = on(MONDAY, 300)
    push(row)
    statement(row, on(MONDAY, 200))

    assert closed(own) == {MONDAY: (500, 500, "EVEN")}


def test_a_push_that_the_statement_has_not_differs_and_is_named(own):
    push(on(MONDAY, 300, serial="S-PHANTOM"))
    statement(on(MONDAY, 200))
    line = StatementLine.objects.get(serial="S-PHANTOM")

    assert closed(own) == {MONDAY: (200, 500, "DIFFERS")}

    (one,) = DayClose.objects.get().differences
    assert (one["why"], one["number"], one["fen"]) == ("NOT_CONFIRMED", line.number, -300)
    (finding,) = queries.findings()
    assert line.number in finding


def test_a_day_that_is_not_over_is_not_closed(own):
    statement(on(MONDAY, 200), at=begins(MONDAY) + timedelta(hours=15))

    assert closed(own) == {}


TUESDAY_BEGINS = begins(TUESDAY)
MINUTE = timedelta(minutes=1)


def test_a_file_taken_before_midnight_ends_no_day_however_late_its_lines_are_in(own):
    """The worker was busy; the bank has booked more meanwhile."""
    taken = uploaded(on(MONDAY, 200), at=TUESDAY_BEGINS - 30 * MINUTE)
    push(booking(50, booked_at=TUESDAY_BEGINS - 10 * MINUTE), at=TUESDAY_BEGINS - 10 * MINUTE)

    transfers.import_statement(statement=taken, at=TUESDAY_BEGINS + MINUTE)

    assert closed(own) == {}


class Bank:
    """It hands out the same file whenever it is asked."""

    def __init__(self, *rows):
        self._content = bank.ccb_csv(rows)

    def statement(self, account_no, day):
        return StatementFile("monday.csv", self._content)


@pytest.fixture
def hands_out(monkeypatch, own):
    asked = Bank(on(MONDAY, 200))
    monkeypatch.setattr(transfer, "bank", lambda name: asked)


def imported(at):
    for taken in Statement.objects.filter(status="RUNNING").select_related("receiving_account"):
        transfers.import_statement(statement=taken, at=at)


@pytest.mark.usefixtures("hands_out")
def test_a_day_after_whose_last_look_nothing_was_booked_ends_with_that_look(own):
    """我已转账 has fetched it in the evening; at night the bank hands out the very same file."""
    evening = TUESDAY_BEGINS - 240 * MINUTE
    pulling.pull_today(account=own, at=evening)
    imported(evening)
    assert closed(own) == {}

    pulling.pull_day(account=own, day=MONDAY, at=TUESDAY_BEGINS + 180 * MINUTE)

    assert Statement.objects.count() == 1
    assert closed(own) == {MONDAY: (200, 200, "EVEN")}


@pytest.mark.usefixtures("hands_out")
def test_a_day_is_compared_within_a_minute_of_the_second_look(own):
    evening = TUESDAY_BEGINS - 240 * MINUTE
    pulling.pull_today(account=own, at=evening)
    imported(evening)

    pulling.pull_day(account=own, day=MONDAY, at=now())
    tasks.close_imported()

    assert [close.day for close in DayClose.objects.all()] == [MONDAY]


def test_what_a_clerk_uploads_again_is_as_old_as_it_was(own):
    row = on(MONDAY, 200)
    statement(row, at=TUESDAY_BEGINS - 240 * MINUTE)

    with pytest.raises(transfers.AlreadyImported):
        statement(row, at=TUESDAY_BEGINS + 180 * MINUTE)

    assert closed(own) == {}


def test_a_missing_statement_is_named_by_its_days(own):
    statement(on(MONDAY, 1_000))
    statement(on(THURSDAY, 500), opening=1_800)

    assert closed(own)[THURSDAY] == (2_300, 1_500, "DIFFERS")

    (one,) = DayClose.objects.get(day=THURSDAY).differences
    assert (one["why"], one["fen"]) == ("GAP", 800)
    assert "缺少 2026-06-16 至 2026-06-17 的流水" in one["text"]
    statement(on(TUESDAY, 800), opening=1_000)
    assert {status for *_, status in closed(own).values()} == {"EVEN"}


def test_a_row_that_contradicts_a_known_one_is_not_posted_and_named(own):
    statement(on(MONDAY, 300, serial="S-TWICE"))
    statement(on(MONDAY, 450, serial="S-TWICE"), at=LATER + DAY)
    apart = StatementLine.objects.get(amount_fen=450)

    assert closed(own) == {MONDAY: (450, 300, "DIFFERS")}

    (one,) = DayClose.objects.get().differences
    assert (one["why"], one["number"], one["fen"]) == ("NOT_POSTED", apart.number, 150)


def test_closing_a_day_twice_is_closing_it_once(own):
    statement(on(MONDAY, 500), opening=10_000)

    closed(own)
    closed(own)

    assert DayClose.objects.count() == 1
    assert ledger.balance(f"opening:{ACCOUNT}") == 10_000


def test_what_nothing_explains_is_said_to_be_so(own):
    one = statement(on(MONDAY, 300))
    Statement.objects.filter(pk=one.pk).update(closing_fen=299)

    assert closed(own)[MONDAY] == (299, 300, "DIFFERS")
    assert told(MONDAY) == [("UNEXPLAINED", -1)]


def test_a_remade_day_replaces_the_old_one(own):
    one = statement(on(MONDAY, 300))
    Statement.objects.filter(pk=one.pk).update(closing_fen=299)
    closed(own)
    Statement.objects.filter(pk=one.pk).update(closing_fen=300)

    assert closed(own) == {MONDAY: (300, 300, "EVEN")}
    assert DayClose.objects.get().differences == []
    assert list(queries.findings()) == []


# --- payouts


@pytest.fixture
def returned(own, sandbox):
    """A line of Monday that went back on Tuesday; the return."""
    sandbox.open_account(ACCOUNT, 10**9)
    statement(on(MONDAY, 1_000))
    line = StatementLine.objects.select_related("receiving_account").get()
    asked = returns.give_back(line=line, actor="U1", at=begins(TUESDAY))
    asked = type(asked).objects.select_related("line__receiving_account").get(pk=asked.pk)
    returns.send(asked=asked, at=begins(TUESDAY) + timedelta(hours=23))
    asked.refresh_from_db()
    return asked


def test_a_return_that_the_statement_shows_is_even(own, returned):
    statement(on(TUESDAY, -1_000, serial=returned.serial), on(TUESDAY, 50), opening=1_000)

    assert closed(own)[TUESDAY] == (50, 50, "EVEN")


def test_a_return_on_its_way_is_a_difference_until_the_bank_has_booked_it(own, returned):
    statement(on(TUESDAY, 50), opening=1_000)
    assert closed(own)[TUESDAY] == (1_050, 50, "DIFFERS")
    assert told(TUESDAY) == [("IN_TRANSIT", 1_000)]

    remark = f"退回 {returned.number}"
    statement(on(WEDNESDAY, -1_000, remark=remark), on(WEDNESDAY, 1), opening=1_050)

    result = closed(own)
    assert result[WEDNESDAY] == (51, 51, "EVEN")
    assert result[TUESDAY] == (1_050, 50, "EVEN")  # one was only written before the other
    assert DayClose.objects.get(day=TUESDAY).differences[0]["is_settled"] is True


def test_a_payout_that_the_ledger_has_not_is_named(own):
    statement(on(MONDAY, 1_000))
    line = StatementLine.objects.select_related("receiving_account").get()
    asked = returns.give_back(line=line, actor="U1", at=begins(TUESDAY))
    statement(on(TUESDAY, -1_000, remark=f"退回 {asked.number}"), opening=1_000)

    assert closed(own)[TUESDAY] == (0, 1_000, "DIFFERS")
    assert told(TUESDAY) == [("NOT_OURS_YET", -1_000)]


# --- longer statements


def test_days_within_a_longer_statement_are_closed_by_their_running_balances(own):
    rows = [on(MONDAY, 100), on(MONDAY, 250), on(TUESDAY, 70), on(WEDNESDAY, 30)]
    push(rows[1])

    statement(*rows, opening=1_000)

    assert closed(own) == {
        MONDAY: (1_350, 1_350, "EVEN"),
        TUESDAY: (1_420, 1_420, "EVEN"),
        WEDNESDAY: (1_450, 1_450, "EVEN"),
    }


def test_gaps_are_where_balances_do_not_meet():
    def of(n, first, until, opening, closing):
        return Ends(str(n), first, until, opening, closing, LATER)

    whole = of(1, MONDAY, WEDNESDAY, 0, 100)
    inside = of(2, TUESDAY, WEDNESDAY, 40, 100)
    after = of(3, WEDNESDAY, THURSDAY, 100, 130)
    missing = of(4, THURSDAY + DAY, THURSDAY + 2 * DAY, 200, 210)

    assert gaps([after, inside, whole]) == []
    assert gaps([missing, whole, after]) == [Gap(THURSDAY, THURSDAY + DAY, 70)]


def test_a_long_list_is_shortened_and_adds_up_all_the_same():
    many = [Difference(Why.NOT_POSTED, f"L{n}", "", n) for n in range(120)]

    short = shortened(many)

    assert len(short) == 51
    assert sum(one.fen for one in short) == sum(one.fen for one in many)


# --- jobs and the API


def test_the_sweep_closes_what_has_just_come_in(own, settings):
    from django.utils.timezone import localdate, now

    day = localdate() - 2 * DAY
    statement(on(day, 300), at=now())

    tasks.close_imported()

    assert DayClose.objects.get().day == day
    tasks.close_days()
    assert DayClose.objects.count() == 1


def test_finance_reads_the_days_of_its_own_accounts(own):
    statement(on(MONDAY, 300))
    closed(own)
    platform = client_of(make_user("平台", is_superuser=True))
    stranger = client_of(make_staff(make_merchant("别家"), "FINANCE"))

    (day,) = platform.get(f"/api/v1/bank/days?account_no={ACCOUNT}").json()["results"]

    assert (day["day"], day["status"], day["bank_fen"]) == ("2026-06-15", "EVEN", 300)
    assert platform.get("/api/v1/bank/days?status=DIFFERS").json()["results"] == []
    assert stranger.get("/api/v1/bank/days").json()["results"] == []
