from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils.module_loading import import_string
from django.utils.timezone import get_default_timezone, localtime

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.cashier.models import Payment, Refund, RefundPart
from payments.cashier.rules import PartStatus
from payments.receiving.models import ReceivingAccount
from payments.transfers import evidence
from payments.transfers.ladder.facts import Candidate, Fact
from payments.transfers.ladder.ranking import rank
from payments.transfers.models import Allocation, LineReturn, Policy, Statement, StatementLine
from payments.transfers.remarks import codes_in, is_whole_account
from payments.transfers.rules import GONE, OPEN, UNDER_WAY, StatementStatus, Verdict
from payments.transfers.screening import is_credible
from payments.transfers.sight import Sight
from payments.wallet.queries import withdrawn_marks

METHOD = "BANK_TRANSFER"
SHOWN_CANDIDATES = 10
MONTH = timedelta(days=31)
OF_AN_AMOUNT = 20  # a person may look at more than a batch


# --- for the payer ------------------------------------------------------------------------------


def payments_of(payer: Viewer) -> QuerySet[Payment]:
    """What this person pays by transfer."""
    return Payment.objects.of(payer).filter(method=METHOD)


# --- for staff ----------------------------------------------------------------------------------


def statements(viewer: Viewer) -> QuerySet[Statement]:
    return Statement.objects.seen_by(viewer).select_related("receiving_account")


def lines(viewer: Viewer) -> QuerySet[StatementLine]:
    return StatementLine.objects.seen_by(viewer).select_related("receiving_account", "statement")


def assignable(viewer: Viewer) -> QuerySet[Payment]:
    """Payments that this person may give a line's money to."""
    return Payment.objects.seen_by(viewer, "FINANCE")


def shown_statements(rows: Iterable[Statement]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.number,
            "status": row.status,
            "reason": row.reason or None,
            "broken_row": row.broken_row,
            "origin": "UPLOADED" if row.uploaded_by_id else "FETCHED",
            "account_no": row.receiving_account.account_no,
            "filename": row.filename,
            "uploaded_at": row.uploaded_at,
            "imported_at": row.imported_at,
            "lines": row.lines,
            "credits": row.credits,
            "credits_fen": row.credits_fen,
            "matched": row.matched,
            "suggested": row.suggested,
            "unmatched": row.unmatched,
            "duplicates": row.duplicates,
            "ignored": row.ignored,
        }
        for row in rows
    ]


def returns(viewer: Viewer) -> QuerySet[LineReturn]:
    tenants = viewer.tenants("FINANCE")
    rows = LineReturn.objects.select_related("line__receiving_account")
    if tenants is None:
        return rows
    return rows.filter(line__receiving_account__merchant__in=tenants)


def refunds(viewer: Viewer) -> QuerySet[Refund]:
    tenants = viewer.tenants("FINANCE")
    rows = Refund.objects.all()
    return rows if tenants is None else rows.filter(payment__merchant__in=tenants)


def shown_returns(rows: Iterable[LineReturn]) -> list[dict[str, Any]]:
    return [
        {
            "number": row.number,
            "line": row.line.number,
            "account_no": row.line.receiving_account.account_no,
            "payer_name": row.line.payer_name,
            "payer_account": row.line.payer_account,
            "amount_fen": row.amount_fen,
            "status": row.status,
            "reason": row.reason,
            "asked_by": row.asked_by,
            "asked_at": row.asked_at,
            "checked_by": row.checked_by or None,
            "sent_at": row.sent_at,
            "done_at": row.done_at,
            "serial": row.serial or None,
            "failure": row.failure or None,
        }
        for row in rows
    ]


def sight(lines: Sequence[StatementLine], viewer: Viewer) -> Sight:
    """These lines as this person may read them."""
    return Sight(lines, assignable(viewer))


def shown_lines(rows: Sequence[StatementLine], viewer: Viewer) -> list[dict[str, Any]]:
    """As the API answers this person; three queries for what they name, pay and return."""
    read = sight(rows, viewer)
    paid: dict[int, list[dict[str, Any]]] = {}
    live = Allocation.objects.filter(line__in=rows, undone_at=None).select_related("payment")
    for allocation in live.order_by("pk"):
        paid.setdefault(allocation.line_id, []).append(
            {
                "payment": allocation.payment.number,
                "order": allocation.payment.reference,
                "amount_fen": allocation.amount_fen,
            }
        )
    back: dict[int, list[LineReturn]] = {}
    for one in LineReturn.objects.filter(line__in=rows).order_by("pk"):
        back.setdefault(one.line_id, []).append(one)
    return [_shown(row, read, paid.get(row.pk, []), back.get(row.pk, [])) for row in rows]


def _shown(
    row: StatementLine, read: Sight, paid: list[dict[str, Any]], back: list[LineReturn]
) -> dict[str, Any]:
    going = sum(one.amount_fen for one in back if one.status in UNDER_WAY)
    left = left_fen(row, going)
    return {
        "id": row.number,
        "statement": row.statement.number if row.statement else None,
        "account_no": row.receiving_account.account_no,
        "virtual_account": row.virtual_account or None,
        "serial": row.serial or None,
        "received_at": row.booked_at,
        "amount_fen": row.amount_fen,
        "allocated_fen": row.allocated_fen,
        "returned_fen": row.returned_fen,
        "set_aside_fen": row.set_aside_fen,
        "left_fen": left,
        "currency": row.currency,
        "payer_name": row.payer_name,
        "payer_account": row.payer_account,
        "payer_bank": row.payer_bank,
        "remark": row.remark,
        "verdict": row.verdict,
        "rule": row.rule or None,
        "rule_version": row.rule_version or None,
        "reasons": read.reasons(row),
        "facts": read.facts(row),
        "candidates": read.candidates(row),
        "payments": paid,
        "returns": [
            {
                "number": one.number,
                "amount_fen": one.amount_fen,
                "status": one.status,
                "reason": one.reason,
                "failure": one.failure or None,
                "asked_at": one.asked_at,
                "done_at": one.done_at,
            }
            for one in back
        ],
        "actions": actions(row, left),
    }


def actions(row: StatementLine, left: int | None = None) -> dict[str, bool]:
    """What a person may do with a line now; `left`: fen, where the caller knows it already."""
    waits = row.verdict in OPEN
    has_payer = is_whole_account(row.payer_account)
    has_left = (left_fen(row) if left is None else left) > 0
    return {
        "match": (waits or row.verdict == Verdict.RETURNING) and has_left,
        "return": waits and has_left and has_payer and bool(row.receiving_account.provider),
        "undo": row.is_posted
        and (row.allocated_fen > 0 or row.verdict == Verdict.IGNORED or is_taken_in(row)),
        "ignore": waits,
        "take_in": may_be_taken_in(row),
        "reverse": is_waiting_reversal(row),
        "bounce": is_waiting_bounce(row),
    }


TAKEN_IN = "补记"  # the rule of a line that a person took in, until he decides further


def may_be_taken_in(row: StatementLine) -> bool:
    """Whether a person may say that what T0 left out is a buyer's money, or new, after all."""
    if row.is_posted or row.currency != "CNY" or not is_credible(row.booked_at, row.stored_at):
        return False
    if row.statement is not None and not row.statement.pays:
        return False
    if row.amount_fen < 0:
        return row.verdict == Verdict.CONFLICT and "held_as" in row.facts
    return row.amount_fen > 0 and row.verdict in {Verdict.IGNORED, Verdict.CONFLICT}


def is_taken_in(row: StatementLine) -> bool:
    """Whether this is all that a person has done with it so far."""
    return row.rule == TAKEN_IN and row.verdict == Verdict.UNMATCHED and not row.returned_fen


def is_waiting_bounce(row: StatementLine) -> bool:
    """Money of ours that came back (退汇), and nobody has said which."""
    is_whole = row.is_posted and not row.allocated_fen and not row.returned_fen
    return is_whole and row.rule == "R" and row.verdict == Verdict.CONFLICT


def is_waiting_reversal(row: StatementLine) -> bool:
    """Money that the bank took back of a line that nobody has found."""
    is_out = row.is_reversal and row.is_elsewhere and row.amount_fen < 0
    return is_out and row.verdict == Verdict.CONFLICT


def originals(viewer: Viewer, line: StatementLine, find: str = "") -> QuerySet[StatementLine]:
    """What a reversal may take back, the same payer's first, then the latest.

    Without `find` (a number, a serial or a payer's name) of the month before it.
    """
    named = StatementLine.objects.filter(
        receiving_account=OuterRef("receiving_account"), reverses=OuterRef("key"), is_reversal=True
    )
    rows = lines(viewer).filter(
        ~Exists(named.exclude(reverses="").exclude(pk=line.pk)),
        receiving_account=line.receiving_account_id,
        amount_fen=-line.amount_fen,
        is_posted=True,
        returned_fen=0,
        booked_at__lt=datetime.combine(
            localtime(line.booked_at) + timedelta(days=1), time.min, get_default_timezone()
        ),
    )
    if find:
        rows = rows.filter(Q(number=find) | Q(key=find) | Q(payer_name=find))
    else:
        rows = rows.filter(booked_at__gte=line.booked_at - MONTH)
    payer = Case(
        *([When(payer_account=line.payer_account, then=0)] if line.payer_account else []),
        *([When(payer_name=line.payer_name, then=1)] if line.payer_name else []),
        default=Value(2),
    )
    found = rows.exclude(verdict__in=GONE)
    return found.order_by(payer, "-booked_at", "-pk")


def under_way_fen(line: StatementLine) -> int:
    """What is asked for or on its way back; only a RETURNING line has any."""
    if line.verdict != Verdict.RETURNING:
        return 0
    live = LineReturn.objects.filter(line=line, status__in=UNDER_WAY)
    return int(live.aggregate(fen=Sum("amount_fen", default=0))["fen"])


def left_fen(line: StatementLine, under_way: int | None = None) -> int:
    """What a person may still decide about; asks for returns only where there are some."""
    if not line.is_posted:
        return 0
    going = under_way_fen(line) if under_way is None else under_way
    return line.amount_fen - line.allocated_fen - line.returned_fen - line.set_aside_fen - going


def candidates(line: StatementLine, viewer: Viewer) -> list[Candidate]:
    """Payments a waiting line may be for, ranked: by account, code, amount, payer, near code.

    Only those that this person may give the money to.
    """
    texts = tuple(line.texts)
    fact = Fact(
        line.pk,
        line.receiving_account_id,
        left_fen(line) or line.amount_fen,
        line.virtual_account,
        codes_in(texts),
        texts,
        line.payer_name,
        line.payer_account,
    )
    intents, payers = evidence.more([fact], of_an_amount=OF_AN_AMOUNT)
    found = {intent.payment for intent in intents}
    mine = set(assignable(viewer).filter(number__in=found).values_list("number", flat=True))
    seen = [intent for intent in intents if intent.payment in mine]
    return rank(fact, seen, payers)[:SHOWN_CANDIDATES]


# --- for the sweeps -----------------------------------------------------------------------------


def running_statements(*, before: datetime, limit: int = 20) -> list[int]:
    """The longest untried first, so that those which always fail hold up no other."""
    idle = Q(leased_until__lt=before) | Q(leased_until=None, uploaded_at__lt=before)
    running = Statement.objects.filter(idle, status=StatementStatus.RUNNING)
    untried = Coalesce("leased_until", "uploaded_at")
    return list(running.order_by(untried, "pk").values_list("pk", flat=True)[:limit])


def accounts_with_reversals() -> list[int]:
    """Accounts on which a reversal that names its original has not found it."""
    waiting = StatementLine.objects.filter(verdict=Verdict.CONFLICT, rule="R").exclude(reverses="")
    accounts = waiting.order_by("receiving_account").values_list("receiving_account", flat=True)
    return list(accounts.distinct())


# --- money that we sent ourselves ---------------------------------------------------------------


def known_payouts(account: ReceivingAccount, marks: Collection[str]) -> frozenset[str]:
    """Which of these marks (`screening.payout_marks`) name payouts of ours from this account.

    By the bank's serial, and by our number, which stands in the remark even while we still wait
    for the bank's answer.  An answer that is being booked is waited for (`left_from`).
    """
    if not marks:
        return frozenset()
    _alone(account, "pg_advisory_xact_lock_shared")
    parts = RefundPart.objects.filter(receipt__source=f"suspense:{account.account_no}")
    # Also what has left and came back (退汇): it has a number of the bank.
    may_have_left = parts.exclude(channel_txn="", status__in=[PartStatus.REFUSED, PartStatus.VOID])
    back = LineReturn.objects.filter(line__receiving_account=account)
    found = [
        *withdrawn_marks(account.account_no, marks),
        *parts.filter(channel_txn__in=marks).values_list("channel_txn", flat=True),
        *may_have_left.filter(refund__number__in=marks).values_list("refund__number", flat=True),
        *back.filter(serial__in=marks).values_list("serial", flat=True),
        *back.filter(number__in=marks).values_list("number", flat=True),
        *(mark for path in settings.OWN_PAYOUTS for mark in import_string(path)(account, marks)),
    ]
    return frozenset(mark for mark in found if mark)


def left_from(account: ReceivingAccount, serial: str, fen: int) -> str:
    """The ledger account that a payout leaves; first thing in the transaction that books it.

    A statement may bring the booking before we hear of it, without a word of ours in it: then it
    stands elsewhere already, and has left the bank's account with that.  Whoever is just storing
    payouts of this account is waited for, or both would take it out of the bank's account.
    """
    _alone(account, "pg_advisory_xact_lock")
    booked = StatementLine.objects.filter(
        receiving_account=account, key=serial, amount_fen=-fen, is_elsewhere=True
    )
    return f"{'elsewhere' if booked.exists() else 'bank'}:{account.account_no}"


def payout_leaves(*, account_no: str, serial: str, fen: int) -> str:
    """The same, by the number of the account."""
    account = ReceivingAccount.objects.get(account_no=account_no)
    return left_from(account, serial, fen)


def _alone(account: ReceivingAccount, lock: str) -> None:
    """Until the transaction ends; imports share it, and take it before any row's lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {lock}(hashtextextended('payouts ' || %s, 0))", [account.account_no]
        )


# --- for the cashier ----------------------------------------------------------------------------


def check_above_fen(merchant: str) -> int:
    """Giving back more than this takes two people; the merchant's own policy before everybody's."""
    policies = Policy.objects.filter(merchant__in={merchant, ""}).order_by("-merchant")
    return (policies.first() or Policy()).check_above_fen


# --- what must always be true -------------------------------------------------------------------

_SUSPENSE = """
WITH lines AS (
    SELECT a.account_no, sum(l.set_aside_fen) AS aside,
           sum(l.amount_fen - l.allocated_fen - l.returned_fen - l.set_aside_fen) AS waits
    FROM payments_statementline l
    JOIN payments_receivingaccount a ON a.id = l.receiving_account_id
    WHERE l.is_posted GROUP BY a.account_no
), said AS (
    SELECT 'suspense:' || account_no AS code, waits AS fen FROM lines
    UNION ALL SELECT 'set_aside:' || account_no, aside FROM lines
), booked AS (
    SELECT a.code, -sum(e.amount_fen) AS fen
    FROM payments_entry e JOIN payments_account a ON a.id = e.account_id
    WHERE split_part(a.code, ':', 1) IN ('suspense', 'set_aside') GROUP BY a.code
)
SELECT code, coalesce(s.fen, 0), coalesce(b.fen, 0)
FROM said s FULL JOIN booked b USING (code)
WHERE coalesce(s.fen, 0) <> coalesce(b.fen, 0)
"""
_ALLOCATED = """
SELECT coalesce(l.number, '#' || d.line_id), coalesce(l.allocated_fen, 0), coalesce(d.fen, 0)
FROM payments_statementline l
FULL JOIN (
    SELECT line_id, sum(amount_fen) AS fen FROM payments_allocation
    WHERE undone_at IS NULL GROUP BY line_id
) d ON d.line_id = l.id
WHERE coalesce(l.allocated_fen, 0) <> coalesce(d.fen, 0) LIMIT 20
"""
_RETURNED = """
SELECT l.number, l.returned_fen, coalesce(d.fen, 0)
FROM payments_statementline l
LEFT JOIN (
    SELECT line_id, sum(amount_fen) AS fen FROM payments_linereturn
    WHERE status = 'DONE' GROUP BY line_id
) d ON d.line_id = l.id
WHERE l.returned_fen <> CASE l.verdict
    WHEN 'REVERSED' THEN greatest(l.amount_fen, 0) ELSE coalesce(d.fen, 0)
END LIMIT 20
"""
# What a line's verdict says of its money, and of a return that is under way.
_STANDS = """
SELECT l.number, l.verdict FROM payments_statementline l
LEFT JOIN payments_linereturn r ON r.line_id = l.id AND r.status IN ('ASKED', 'SENDING')
WHERE CASE l.verdict
    WHEN 'RETURNING' THEN r.id IS NULL
         OR l.allocated_fen + l.returned_fen + r.amount_fen > l.amount_fen
    WHEN 'MATCHED' THEN r.id IS NOT NULL OR l.allocated_fen = 0
         OR l.allocated_fen + l.returned_fen <> l.amount_fen
    WHEN 'REVERSED' THEN r.id IS NOT NULL OR l.returned_fen <> greatest(l.amount_fen, 0)
    WHEN 'RETURNED' THEN r.id IS NOT NULL OR l.returned_fen <> l.amount_fen
    ELSE r.id IS NOT NULL
         OR (l.is_posted AND l.allocated_fen + l.returned_fen >= l.amount_fen)
END LIMIT 20
"""
_RECEIVED = """
SELECT coalesce(d.channel_txn, r.channel_txn), coalesce(d.amount_fen, 0), coalesce(r.amount_fen, 0)
FROM (SELECT * FROM payments_allocation WHERE undone_at IS NULL) d
FULL JOIN (
    SELECT * FROM payments_receipt
    WHERE method = 'BANK_TRANSFER' AND undone_at IS NULL AND source NOT LIKE 'fee:%'
) r ON r.channel_txn = d.channel_txn AND r.payment_id = d.payment_id
WHERE coalesce(d.amount_fen, 0) <> coalesce(r.amount_fen, 0) LIMIT 20
"""
_COUNTERS = """
SELECT s.number FROM payments_statement s
LEFT JOIN LATERAL (
    SELECT count(*) AS stored,
           count(*) FILTER (WHERE verdict = 'MATCHED') AS matched,
           count(*) FILTER (WHERE verdict = 'SUGGESTED') AS suggested,
           count(*) FILTER (WHERE verdict = 'IGNORED') AS ignored
    FROM payments_statementline WHERE statement_id = s.id
) l ON true
WHERE s.status = 'DONE' AND (
    (s.matched, s.suggested, s.ignored) <> (l.matched, l.suggested, l.ignored)
    OR s.matched + s.suggested + s.unmatched + s.ignored <> l.stored
) LIMIT 20
"""
_ASSIGNED = """
SELECT v.number, v.state FROM payments_virtualaccount v
LEFT JOIN payments_transferintent i ON i.virtual_account_id = v.id
WHERE i.id IS NOT NULL AND i.released_at IS NULL AND v.state = 'FREE' LIMIT 20
"""


def findings() -> Iterator[str]:
    """Lines against the books, the cashier and their statements."""
    for code, lines_fen, books_fen in _rows(_SUSPENSE):
        which = "不处理的来账" if code.startswith("set_aside:") else "未核销来账"
        yield f"{code} 账面 {yuan(int(books_fen))} 元，{which}合计 {yuan(int(lines_fen))} 元"
    for number, said, true in _rows(_ALLOCATED):
        yield f"来账 {number} 记为已核销 {yuan(said)} 元，核销合计 {yuan(int(true))} 元"
    for number, said, true in _rows(_RETURNED):
        yield f"来账 {number} 记为已退回 {yuan(said)} 元，退回合计 {yuan(int(true))} 元"
    for number, verdict in _rows(_STANDS):
        yield f"来账 {number}（{Verdict(verdict).label}）的结论与已核销、已退回的金额不符"
    for txn, allocated, received in _rows(_RECEIVED):
        yield f"到账 {txn} 核销 {yuan(allocated)} 元，收款记录 {yuan(received)} 元"
    for (number,) in _rows(_COUNTERS):
        yield f"流水文件 {number} 的计数与明细不符"
    for number, _ in _rows(_ASSIGNED):
        yield f"专属账号 {number} 已有支付单，状态却是空闲"


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
