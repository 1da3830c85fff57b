"""What is no buyer's leaves suspense (不处理), and comes back when that was wrong."""

from importlib import import_module
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from config.kit.errors import StaleState
from payments.closing import queries as closing
from payments.ledger import queries as ledger
from payments.ledger.models import Posting
from payments.ledger.services import audit
from payments.transfers import bounces, desk, queries, returns, reversals
from payments.transfers.models import LineEvent, LineReturn, StatementLine
from payments.transfers.rules import Verdict
from tests.payments.transfers.bank import ACCOUNT, NOON, arrive, booking, expected
from tests.payments.transfers.test_bounces import back, link
from tests.payments.transfers.test_desk import CLERK, PRICE, assign, take_in, undo, unmatched
from tests.payments.transfers.test_returns import ask, bank, fresh, sent  # noqa: F401
from tests.payments.transfers.test_reversals import reversal

pytestmark = pytest.mark.django_db
SAID = "line_ignored_is_set_aside"


def ignore(line, reason="股东借款"):
    return desk.ignore(line=fresh(line), reason=reason, actor=CLERK, at=NOON)


def in_books():
    """In suspense, set aside, and elsewhere; every line of the books adds up."""
    assert audit() == []
    for line in StatementLine.objects.filter(is_posted=True):
        parts = line.allocated_fen, line.returned_fen, line.set_aside_fen, queries.left_fen(line)
        assert sum(parts) == line.amount_fen
    kinds = ("suspense", "set_aside", "elsewhere")
    return tuple(ledger.balance(f"{kind}:{ACCOUNT}") for kind in kinds)


def test_what_is_ignored_leaves_suspense_and_comes_back_when_undone(account):
    line = unmatched()

    line = ignore(line)

    assert (line.verdict, line.reasons, line.set_aside_fen) == ("IGNORED", ["股东借款"], PRICE)
    assert in_books() == (0, PRICE, 0)
    assert closing.suspense_fen(account) == (0, 0)
    line = undo(line)
    assert (line.verdict, line.set_aside_fen) == (Verdict.UNMATCHED, 0)
    assert in_books() == (PRICE, 0, 0)
    ignored, undone = LineEvent.objects.filter(line=line).order_by("pk")
    assert (ignored.kind, ignored.facts["amount_fen"]) == ("IGNORED", PRICE)
    assert (undone.kind, undone.facts["amount_fen"]) == ("UNDONE", PRICE)


def test_each_time_is_a_posting_of_its_own(account):
    line = unmatched()

    for _ in range(3):
        line = undo(ignore(line))
    ignore(line)

    assert in_books() == (0, PRICE, 0)
    for kind, times in (("SET_ASIDE", 4), ("SET_ASIDE_UNDONE", 3)):
        numbers = Posting.objects.filter(kind=kind).order_by("pk").values_list("reference")
        said = [line.number, *(f"{line.number}-{n}" for n in range(2, times + 1))]
        assert [number for (number,) in numbers] == said


def test_twice_is_once(account):
    line = unmatched()
    stale = fresh(line)
    ignore(line)

    for again in (stale, fresh(line)):
        with pytest.raises(StaleState):
            desk.ignore(line=again, reason="再点一次", actor=CLERK, at=NOON)

    assert in_books() == (0, PRICE, 0)


def test_only_what_is_left_is_set_aside(bank):  # noqa: F811
    line = unmatched()
    assign(line, {expected(3000): 3000})
    sent(ask(fresh(line), 2000))

    line = ignore(line)

    assert (line.allocated_fen, line.returned_fen, line.set_aside_fen) == (3000, 2000, 4900)
    assert in_books() == (0, 4900, 0)
    may = queries.actions(line)
    assert (may["undo"], may["match"], may["return"], may["ignore"]) == (True, False, False, False)
    line = undo(line)
    assert (line.verdict, line.allocated_fen, line.returned_fen) == ("UNMATCHED", 3000, 2000)
    assert in_books() == (4900, 0, 0)


def test_it_pays_nobody_and_goes_back_to_nobody_until_that_is_undone(account):
    payment = expected()
    line = ignore(unmatched())

    with pytest.raises(StaleState):
        assign(line, {payment: PRICE})
    with pytest.raises(StaleState):
        returns.give_back(line=line, actor=CLERK, at=NOON)

    assert in_books() == (0, PRICE, 0)
    assign(undo(line), {payment: PRICE})
    assert in_books() == (0, 0, 0)


def test_a_line_that_stands_in_no_books_is_ignored_without_a_posting(account):
    (doubt,) = arrive(booking(-PRICE, is_reversal=True))

    assert ignore(doubt).verdict == "IGNORED"

    assert in_books() == (0, 0, -PRICE)
    assert not Posting.objects.filter(kind="SET_ASIDE").exists()
    assert "amount_fen" not in LineEvent.objects.get(line=doubt).facts


def test_what_was_taken_in_is_set_aside_and_left_out_again(account):
    line = unmatched(remark="手续费", payer_account="", payer_name="")
    take_in(line)

    line = ignore(line)
    assert in_books() == (0, PRICE, 0)

    assert undo(line).verdict == "UNMATCHED"
    assert in_books() == (PRICE, 0, 0)


# --- what the bank does afterwards


def test_the_bank_takes_back_what_was_set_aside(account):
    line = ignore(unmatched())

    taken = reversal(line)

    line = fresh(line)
    assert (line.verdict, fresh(taken).verdict, line.set_aside_fen) == ("REVERSED", "REVERSED", 0)
    assert in_books() == (0, 0, 0)
    assert ledger.balance(f"bank:{ACCOUNT}") == 0


def test_the_bank_takes_back_a_line_of_which_part_was_set_aside(account):
    payment = expected(3000)
    line = unmatched()
    assign(line, {payment: 3000})
    line = ignore(line)

    reversal(line)

    payment.refresh_from_db()
    assert (fresh(line).verdict, payment.received_fen) == ("REVERSED", 0)
    assert in_books() == (0, 0, 0)


def test_a_person_pairs_the_reversal_of_what_was_set_aside(account):
    line = ignore(unmatched())
    (taken,) = arrive(booking(-PRICE, is_reversal=True, remark="冲正"))

    reversals.pair(line=fresh(taken), original=line, reason="回单", actor=CLERK, at=NOON)

    assert fresh(line).verdict == "REVERSED"
    assert in_books() == (0, 0, 0)


def test_a_return_comes_back_to_a_line_whose_rest_was_set_aside(bank):  # noqa: F811
    line = unmatched()
    asked = sent(ask(line, 4000))
    line = ignore(line)
    assert in_books() == (0, PRICE - 4000, 0)

    link(back(4000, f"退汇 {asked.number}", payer_account=""), asked.number)

    line = fresh(line)
    assert (line.verdict, queries.left_fen(line), line.set_aside_fen) == ("UNMATCHED", PRICE, 0)
    assert in_books() == (PRICE, 0, 0)
    event = LineEvent.objects.get(line=line, kind="RETURN_BOUNCED")
    assert (event.facts["amount_fen"], event.facts["reopened_fen"]) == (4000, PRICE - 4000)
    ignore(line)
    assert in_books() == (0, PRICE, 0)


def test_a_credit_that_was_ignored_is_no_bounce_until_that_is_undone(bank):  # noqa: F811
    asked = sent(ask(unmatched()))
    credit = ignore(back(PRICE, f"退汇 {asked.number}", payer_account=""))
    assert in_books() == (0, PRICE, 0)

    with pytest.raises(bounces.NotABounce):
        link(credit, asked.number)

    assert LineReturn.objects.get().status == "DONE"


# --- what the database and the audit say


@pytest.mark.parametrize(
    ("verdict", "fen"), [("IGNORED", 0), ("IGNORED", PRICE - 1), ("UNMATCHED", 1)]
)
def test_the_database_refuses_a_line_that_does_not_add_up(account, verdict, fen):
    line = unmatched()

    with pytest.raises(IntegrityError, match=SAID), transaction.atomic():
        StatementLine.objects.filter(pk=line.pk).update(verdict=verdict, set_aside_fen=fen)


def test_the_audit_says_what_the_books_do_not_know(account):
    line = unmatched()
    StatementLine.objects.filter(pk=line.pk).update(verdict="IGNORED", set_aside_fen=PRICE)

    assert sorted(audit()) == [
        f"set_aside:{ACCOUNT} 账面 0.00 元，不处理的来账合计 99.00 元",
        f"suspense:{ACCOUNT} 账面 99.00 元，未核销来账合计 0.00 元",
    ]
    StatementLine.objects.filter(pk=line.pk).update(verdict="UNMATCHED", set_aside_fen=0)


def ignored_before(line, times=1):
    """As `desk.ignore` left it when its money stayed in suspense."""
    StatementLine.objects.filter(pk=line.pk).update(verdict="IGNORED", decided_by=CLERK)
    for _ in range(times):
        LineEvent.objects.create(line=line, kind="IGNORED", actor=CLERK, at=NOON)


def test_lines_that_were_ignored_before_are_set_aside_once(account):
    (stem,) = [path.stem for path in Path("payments/migrations").glob("*_ignore.py")]
    migration = import_module(f"payments.migrations.{stem}")
    once, again, part, _ = unmatched(), unmatched(), unmatched(), unmatched()
    assign(part, {expected(3000): 3000})
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE payments_statementline DROP CONSTRAINT {SAID}")
        for line, times in ((once, 1), (again, 2), (part, 1)):
            ignored_before(line, times)
        for _ in range(2):
            cursor.execute(migration.SET_ASIDE)

    (rule,) = [one for one in StatementLine._meta.constraints if one.name == SAID]
    with connection.schema_editor() as editor:
        editor.add_constraint(StatementLine, rule)
    assert in_books() == (PRICE, 3 * PRICE - 3000, 0)
    assert fresh(part).set_aside_fen == PRICE - 3000
    postings = Posting.objects.filter(kind="SET_ASIDE").values_list("reference", flat=True)
    assert set(postings) == {once.number, f"{again.number}-2", part.number}
    told = LineEvent.objects.get(line=part, kind="NOTE")
    assert "不处理的 69.00 元" in told.facts["text"]
    ignore(undo(fresh(again)))
    ignore(undo(fresh(once)))
    assert in_books() == (PRICE, 3 * PRICE - 3000, 0)
