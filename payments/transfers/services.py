"""Bank bookings come in, by an uploaded statement or the bank's push: once, whichever is first."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction

from config.kit import numbers, sql
from config.kit.errors import NotFound, Refusal
from config.kit.jobs import later
from config.kit.states import move
from payments.cashier.models import Refund
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.receiving.models import ReceivingAccount
from payments.transfers import matching, parsers
from payments.transfers.ladder.versions import CURRENT
from payments.transfers.models import LineReturn, Statement, StatementLine, StatementPart
from payments.transfers.parsers import Row
from payments.transfers.rules import (
    LINE_TRANSITIONS,
    STATEMENT_TRANSITIONS,
    StatementStatus,
    Verdict,
)
from payments.transfers.screening import Screening, contradicts, keys, screen

CHUNK = 5_000  # lines per transaction
PART = 1_048_576  # bytes of a file per row, before they are deflated


class NotOurAccount(Refusal):
    status = 422
    message = "文件里的账号不是您可以导入的收款账户"


class AccountNotSaid(Refusal):
    status = 422
    message = "文件没有写明账号，请选择收款账户"


class AlreadyImported(Refusal):
    message = "该流水文件已导入"


# --- uploading ----------------------------------------------------------------------------------


@transaction.atomic
def upload(
    *,
    content: bytes,
    filename: str,
    account_no: str,
    tenants: frozenset[str] | None,
    uploaded_by_id: int,
    at: datetime,
) -> Statement:
    """Take a file that can be read and is of one of the uploader's accounts; import it soon.

    `tenants`: numbers of the merchants whose accounts the uploader may feed, None: all.
    Raises `parsers.Unreadable`, NotOurAccount, AccountNotSaid, AlreadyImported; a refused file
    leaves nothing behind.
    """
    accounts = {row.account_no: row for row in ReceivingAccount.objects.filter(is_active=True)}
    parsed = parsers.read(content, ours=accounts)
    account = accounts.get(_account_of(parsed.account_no, account_no))
    if account is None or (tenants is not None and account.merchant not in tenants):
        raise NotOurAccount(account_no=parsed.account_no or account_no)
    if parsed.account_no is None:
        _require_below(account.account_no, parsed.rows)
    statement = Statement(
        number=numbers.fresh("B"),
        receiving_account=account,
        file_sha256=hashlib.sha256(content).hexdigest(),
        filename=filename[:200],
        uploaded_by_id=uploaded_by_id,
        uploaded_at=at,
    )
    # Of two uploads at the same moment one loses on statement_imported_once.
    Statement.objects.bulk_create([statement], ignore_conflicts=True)
    same = Statement.objects.filter(
        receiving_account=account, file_sha256=statement.file_sha256
    ).exclude(status=StatementStatus.REFUSED)
    stored = same.get()
    if stored.number != statement.number:
        raise AlreadyImported(statement=stored.number)
    StatementPart.objects.bulk_create(
        StatementPart(
            statement=stored, part=n, body=zlib.compress(content[start : start + PART], 1)
        )
        for n, start in enumerate(range(0, len(content), PART))
    )
    later("payments.transfers.tasks.import_statement", statement_id=stored.pk)
    return stored


def _account_of(said: str | None, chosen: str) -> str:
    """The file's own word counts; the clerk's only where it says nothing."""
    if said and chosen and said != chosen:
        raise NotOurAccount(f"文件属于账号 {said}，不是所选的 {chosen}", account_no=said)
    if not said and not chosen:
        raise AccountNotSaid
    return said or chosen


def _require_below(account_no: str, rows: Sequence[Row]) -> None:
    """A file of another account's virtual accounts is not the chosen one's, whoever chose it."""
    for row in rows:
        if row.virtual_account and not row.virtual_account.startswith(account_no):
            raise NotOurAccount(
                f"文件里的账号 {row.virtual_account} 不属于所选的收款账户 {account_no}",
                account_no=row.virtual_account,
            )


def import_statement(*, statement: Statement, at: datetime) -> None:
    """Lines in and judged, chunk by chunk.  Not atomic on purpose.

    Each chunk is all in or not at all, so a run that was killed is simply run again.
    """
    account = statement.receiving_account
    try:
        parsed = parsers.read(_content(statement), ours=[account.account_no])
    except parsers.Unreadable as unreadable:  # it could be read once: the reader has changed
        refuse(statement=statement, reason=str(unreadable))
        return
    lines = list(zip(keys(account.account_no, parsed.rows), parsed.rows, strict=True))
    for start in range(0, len(lines), CHUNK):
        with transaction.atomic():
            if not _still_running(statement):
                return  # another worker is at it, or has finished
            taken = intake(
                account=account,
                lines=lines[start : start + CHUNK],
                reference=f"{statement.number}:{start}",
                statement=statement,
                at=at,
            )
        matching.match(line_ids=taken.waiting, at=at)
    finish(statement=statement, parsed=parsed, at=at)


def _content(statement: Statement) -> bytes:
    parts = statement.parts.order_by("part").values_list("body", flat=True)
    return b"".join(zlib.decompress(part) for part in parts)


def _still_running(statement: Statement) -> bool:
    running = Statement.objects.filter(pk=statement.pk, status=StatementStatus.RUNNING)
    return running.select_for_update(skip_locked=True).exists()


@transaction.atomic
def refuse(*, statement: Statement, reason: str) -> None:
    move(
        Statement.objects.filter(pk=statement.pk),
        StatementStatus.REFUSED,
        STATEMENT_TRANSITIONS,
        reason=reason[:300],
    )
    statement.parts.all().delete()


@transaction.atomic
def finish(*, statement: Statement, parsed: parsers.Statement, at: datetime) -> None:
    """Counters from the stored lines; the file's bytes are no longer needed.

    A statement with lines that could not be judged yet stays RUNNING, for the sweep.
    """
    lines = StatementLine.objects.filter(statement=statement)
    if lines.filter(verdict=Verdict.NEW).exists():
        return
    rows = parsed.rows
    credits_fen = [row.amount_fen for row in rows if row.amount_fen > 0]
    matching.lock_statements([statement.pk])
    Statement.objects.filter(pk=statement.pk, status=StatementStatus.RUNNING).update(
        status=StatementStatus.DONE,
        imported_at=at,
        form=parsed.format,
        opening_fen=parsed.opening_fen,
        closing_fen=parsed.closing_fen,
        booked_from=parsed.booked_from,
        booked_until=parsed.booked_until,
        lines=len(rows),
        credits=len(credits_fen),
        credits_fen=sum(credits_fen),
        duplicates=len(rows) - lines.count(),
        **matching.counted(lines),
    )
    statement.parts.all().delete()


# --- intake -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """What became of a batch of bookings: ids of new lines to be judged, and counts."""

    waiting: list[int]
    stored: int
    duplicates: int
    conflicts: int


_COLUMNS: Mapping[str, str] = {
    "number": "text",
    "key": "text",
    "serial": "text",
    "booked_at": "timestamptz",
    "amount_fen": "bigint",
    "currency": "text",
    "balance_fen": "bigint",
    "payer_name": "text",
    "payer_account": "text",
    "payer_bank": "text",
    "remark": "text",
    "texts": "jsonb",
    "virtual_account": "text",
    "is_reversal": "bool",
    "reverses": "text",
    "caution": "text",
    "is_posted": "bool",
    "verdict": "text",
    "rule": "text",
    "rule_version": "text",
    "reasons": "jsonb",
}
_NAMES = ", ".join(_COLUMNS)
# One JSON document: the cheapest road for twenty columns of many rows.  In key order, so that two
# overlapping files wait for each other's rows instead of dead-locking.
_STORE = f"""
INSERT INTO payments_statementline
    ({_NAMES}, statement_id, receiving_account_id, stored_at, candidates, decided_at, decided_by)
SELECT {_NAMES}, %s, %s, %s, '[]', CASE WHEN verdict <> 'NEW' THEN %s END, ''
FROM json_to_recordset(%s::json)
  AS d ({", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())})
ORDER BY key
ON CONFLICT (receiving_account_id, key) DO NOTHING
RETURNING id, key, verdict, is_posted, amount_fen
"""  # noqa: S608  names from the table above
_KNOWN = """
SELECT key, id, number, amount_fen, booked_at, payer_account, verdict FROM payments_statementline
WHERE receiving_account_id = %s AND key = ANY(%s::text[])
"""


@transaction.atomic
def intake(
    *,
    account: ReceivingAccount,
    lines: Sequence[tuple[str, Row]],
    reference: str,
    at: datetime,
    statement: Statement | None = None,
) -> Taken:
    """Store bookings that are new, under their keys, and post what came as one posting.

    `reference` names the batch in the ledger, once.  A known key with other facts is never
    dropped: it is kept apart as a conflict, and a person decides.
    """
    screened = _screened(account, [row for _, row in lines], at)
    given = {
        key: _columns(key, row, first) for (key, row), first in zip(lines, screened, strict=True)
    }
    stored = _store(account, statement, list(given.values()), at)
    conflicts: list[int] = []
    if len(stored) < len(given):
        fresh = {key for _, key, *_ in stored}
        again = {key: row for key, row in lines if key not in fresh}
        conflicts = _keep_apart(account, statement, again, at)
    posted_fen = sum(fen for *_, is_posted, fen in stored if is_posted)
    if posted_fen:
        ledger.post(
            [
                Draft(
                    kind="INTAKE",
                    reference=reference,
                    debits={f"bank:{account.account_no}": posted_fen},
                    credits={f"suspense:{account.account_no}": posted_fen},
                )
            ],
            at=at,
        )
    return Taken(
        waiting=[pk for pk, _, verdict, *_ in stored if verdict == Verdict.NEW],
        stored=len(stored) + len(conflicts),
        duplicates=len(lines) - len(stored) - len(conflicts),
        conflicts=len(conflicts),
    )


def _screened(account: ReceivingAccount, rows: Sequence[Row], at: datetime) -> list[Screening]:
    own = frozenset(ReceivingAccount.objects.values_list("account_no", flat=True))
    sent = [row.serial for row in rows if row.amount_fen < 0 and row.serial]
    payouts = _our_payouts(account, sent)
    return [screen(row, at=at, own_accounts=own, payouts=payouts) for row in rows]


def _our_payouts(account: ReceivingAccount, serials: Sequence[str]) -> frozenset[str]:
    """Which of these bank serials are money that we sent back ourselves."""
    if not serials:
        return frozenset()
    refunds = Refund.objects.filter(channel_txn__in=serials, payment__method=matching.METHOD)
    returns = LineReturn.objects.filter(line__receiving_account=account, serial__in=serials)
    sent = [
        *refunds.values_list("channel_txn", flat=True),
        *returns.values_list("serial", flat=True),
    ]
    return frozenset(serial for serial in sent if serial)


def _columns(key: str, row: Row, first: Screening) -> dict[str, Any]:
    return {
        "key": key,
        "serial": _plain(row.serial or "", 64),
        "booked_at": row.booked_at,
        "amount_fen": row.amount_fen,
        "currency": row.currency[:8],
        "balance_fen": row.balance_fen,
        "payer_name": _plain(row.payer_name, 200),
        "payer_account": _plain(row.payer_account, 64),
        "payer_bank": _plain(row.payer_bank, 200),
        "remark": _plain(row.remark, 2_000),
        "texts": [_plain(text, 2_000) for text in row.texts],
        "virtual_account": _plain(row.virtual_account or "", 44),
        "is_reversal": row.is_reversal,
        "reverses": _plain(row.reverses or "", 64),
        "caution": row.caution[:300],
        "is_posted": first.is_posted,
        "verdict": first.verdict,
        "rule": first.rule,
        "rule_version": CURRENT if first.rule else "",
        "reasons": first.reasons,
    }


def _plain(text: str, longest: int) -> str:
    """PostgreSQL has no NUL in texts; nothing a bank prints is that long."""
    return text[:longest].replace("\x00", "")


def _store(
    account: ReceivingAccount,
    statement: Statement | None,
    rows: list[dict[str, Any]],
    at: datetime,
) -> list[tuple[int, str, str, bool, int]]:
    for row, number in zip(rows, numbers.fresh_many("L", len(rows)), strict=True):
        row["number"] = number
    with connection.cursor() as cursor:
        statement_id = statement.pk if statement else None
        cursor.execute(_STORE, [statement_id, account.pk, at, at, orjson.dumps(rows).decode()])
        return list(cursor.fetchall())


def _keep_apart(
    account: ReceivingAccount,
    statement: Statement | None,
    again: Mapping[str, Row],
    at: datetime,
) -> list[int]:
    """Rows whose key is known: the same booking once more, or something that contradicts it."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [account.pk, sql.texts(again)])
        known = cursor.fetchall()
    rows, doubted = [], []
    for key, pk, number, fen, booked_at, payer_account, verdict in known:
        row = again[key]
        why = contradicts(row, amount_fen=fen, booked_at=booked_at, payer_account=payer_account)
        if why:
            # The same contradiction read a second time is a duplicate of itself.
            other = f"{key}!{row.amount_fen}:{row.booked_at:%Y%m%d}:{row.payer_account[:40]}"
            reason = f"流水号与来账 {number} 相同，但{why}；未记账"
            apart = Screening(Verdict.CONFLICT, False, "T0", (reason,))
            rows.append(_columns(other[:160], row, apart))
            doubted.append((pk, verdict))
    if not rows:
        return []
    stored = _store(account, statement, rows, at)
    if stored:
        _doubt([pk for pk, verdict in doubted if Verdict.CONFLICT in LINE_TRANSITIONS[verdict]], at)
        matching.record([pk for pk, _ in doubted], "CONTRADICTED", at=at)
    return [pk for pk, *_ in stored]


def _doubt(line_ids: Sequence[int], at: datetime) -> None:
    """A line that is contradicted pays nothing by itself any more."""
    StatementLine.objects.filter(
        pk__in=line_ids, verdict__in=[Verdict.NEW, Verdict.SUGGESTED, Verdict.UNMATCHED]
    ).update(
        verdict=Verdict.CONFLICT,
        rule="T0",
        rule_version=CURRENT,
        reasons=["同一流水号出现了不同的内容，需人工核对"],
        decided_at=at,
    )
    matching.recount(line_ids)


# --- pushes -------------------------------------------------------------------------------------


def take_push(*, provider: str, account_no: str, row: Row, at: datetime) -> Taken:
    """One booking as the bank pushes it.  When this returns, it is stored for good.

    Judging follows in a transaction of its own: what goes wrong there must not make the bank
    push again, the sweep will see to it.  Raises NotFound for an account that is not ours.
    """
    account = ReceivingAccount.objects.filter(
        provider=provider, account_no=account_no, is_active=True
    ).first()
    if account is None:
        raise NotFound("推送的账号不是本店的收款账户")
    (key,) = keys(account.account_no, [row])
    taken = intake(
        account=account,
        lines=[(key, row)],
        reference=f"{account.account_no}:{key}"[:96],
        at=at,
    )
    matching.try_match(line_ids=taken.waiting, at=at)
    return taken
