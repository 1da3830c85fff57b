"""Bank bookings come in, by an uploaded statement or the bank's push: once, whichever is first."""

import hashlib
import io
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from functools import partial
from typing import BinaryIO

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q

from config.kit import numbers
from config.kit.calm import calm
from config.kit.db import joined
from config.kit.errors import NotFound, Refusal
from config.kit.giving_way import give_way
from config.kit.jobs import later
from config.kit.states import move
from payments.receiving import days
from payments.receiving.models import ReceivingAccount
from payments.transfers import filling, intake, matching, parsers, staging
from payments.transfers.bookings import Batch
from payments.transfers.leasing import Lease, LeaseLost
from payments.transfers.models import Statement, StatementLine, StatementPart
from payments.transfers.parsers import Row
from payments.transfers.rules import STATEMENT_TRANSITIONS, StatementStatus
from payments.transfers.twins import table_of

PART = 1_048_576  # bytes of a file per row, before they are deflated
READ_AT_ONCE = 4 * 1_048_576  # bytes of a file that is read through before it is taken
TURN = 150  # seconds of a task; a longer import goes on in another


class NotOurAccount(Refusal):
    status = 422
    message = "文件里的账号不是您可以导入的收款账户"


class AccountNotSaid(Refusal):
    status = 422
    message = "文件没有写明账号，请选择收款账户"


class AlreadyImported(Refusal):
    message = "该流水文件已导入"


# --- uploading ----------------------------------------------------------------------------------


def upload(
    *,
    file: BinaryIO,
    filename: str,
    account_no: str,
    tenants: frozenset[str] | None,
    uploaded_by_id: int | None,
    at: datetime,
) -> Statement:
    """Take a file of one of the uploader's accounts; import it soon.  See `examine` and `keep`."""
    account = examine(
        file=file,
        filename=filename,
        account_no=account_no,
        tenants=tenants,
        uploaded_by_id=uploaded_by_id,
        at=at,
    )
    return keep(file=file, filename=filename, account=account, uploaded_by_id=uploaded_by_id, at=at)


def examine(
    *,
    file: BinaryIO,
    filename: str,
    account_no: str,
    tenants: frozenset[str] | None,
    uploaded_by_id: int | None,
    at: datetime,
) -> ReceivingAccount:
    """Whose file it is, if it is sound.  Not within a transaction: what it leaves must stay.

    `tenants`: numbers of the merchants whose accounts the uploader may feed, None: all.
    Raises `parsers.Unreadable`, NotOurAccount, AccountNotSaid.  An unreadable file of one of these
    accounts leaves a REFUSED statement, named by the refusal (`statement`); an unknown format and
    somebody else's account leave nothing.  What is wrong far inside a large file shows when it is
    imported, and then refuses the whole statement.
    """
    accounts = {row.account_no: row for row in ReceivingAccount.objects.all()}
    chosen = accounts.get(account_no)
    is_small = file.seek(0, io.SEEK_END) <= READ_AT_ONCE
    said = account_no
    try:
        stream = _opened(file, accounts, chosen.columns if chosen else None)
        said = stream.account_no or account_no
        if is_small:
            stream.rows = iter(list(stream.rows))  # what is wrong with it comes before whose it is
    except parsers.Unreadable as refusal:
        named = accounts.get(said) if account_no in ("", said) else None
        if named is not None and (tenants is None or named.merchant in tenants):
            left = Statement(
                receiving_account=named,
                filename=filename[:200],
                uploaded_by_id=uploaded_by_id,
                uploaded_at=at,
            )
            _leave(left, file, refusal)
        raise
    account = accounts.get(_account_of(stream.account_no, account_no))
    if account is None or (tenants is not None and account.merchant not in tenants):
        raise NotOurAccount(account_no=stream.account_no or account_no)
    if is_small:
        deque(_of(account, stream), maxlen=0)
    return account


@transaction.atomic
def _leave(left: Statement, file: BinaryIO, refusal: parsers.Unreadable) -> None:
    """What came and why it was refused, once for the same file and reason; its bytes are not."""
    if isinstance(refusal, parsers.NOT_A_STATEMENT):
        return
    left.status = StatementStatus.REFUSED
    left.number = numbers.fresh("B")
    left.file_sha256 = _sha256(file)
    left.reason = str(refusal)[:300]
    left.broken_row = _row_of(refusal)
    same = Statement.objects.filter(
        receiving_account=left.receiving_account,
        file_sha256=left.file_sha256,
        status=left.status,
        reason=left.reason,
        uploaded_by=left.uploaded_by_id,
    ).first()
    if same is None:
        Statement.objects.bulk_create([left])
    refusal.details["statement"] = (same or left).number


def _opened(
    file: BinaryIO, ours: Collection[str], columns: Mapping[str, str] | None
) -> parsers.Stream:
    """By what we know of banks; only a table that no bank module knows, by the account's map."""
    try:
        return parsers.stream(file, ours=ours)
    except parsers.UnknownFormat:
        if not columns:
            raise
        return parsers.stream(file, ours=ours, columns=columns)


def _account_of(said: str | None, chosen: str) -> str:
    """The file's own word counts; the clerk's only where it says nothing."""
    if said and chosen and said != chosen:
        raise NotOurAccount(f"文件属于账号 {said}，不是所选的 {chosen}", account_no=said)
    if not said and not chosen:
        raise AccountNotSaid
    return said or chosen


def _of(account: ReceivingAccount, stream: parsers.Stream) -> Iterator[Row]:
    """A file of another account's virtual accounts is not the chosen one's, whoever chose it."""
    for row in stream.rows:
        if (
            stream.account_no is None
            and row.virtual_account
            and not row.virtual_account.startswith(account.account_no)
        ):
            raise NotOurAccount(
                f"文件里的账号 {row.virtual_account} 不属于所选的收款账户 {account.account_no}",
                account_no=row.virtual_account,
            )
        yield row
    others = [one for one in stream.summary.accounts if one != account.account_no]
    if others:
        raise NotOurAccount(
            f"文件里还有账户 {'、'.join(others)} 的明细，请按账户分别导出", account_no=others[0]
        )


@transaction.atomic
def keep(
    *,
    file: BinaryIO,
    filename: str,
    account: ReceivingAccount,
    uploaded_by_id: int | None,
    at: datetime,
    day: date | None = None,
) -> Statement:
    """Keep an examined file and import it soon; `day` where it is all that the bank has of one.

    Raises AlreadyImported.
    """
    statement = Statement(
        number=numbers.fresh("B"),
        receiving_account=account,
        file_sha256=_sha256(file),
        filename=filename[:200],
        uploaded_by_id=uploaded_by_id,
        day=day,
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
    file.seek(0)
    for n, piece in enumerate(iter(lambda: file.read(PART), b"")):
        StatementPart.objects.create(statement=stored, part=n, body=zlib.compress(piece, 1))
    later("payments.transfers.tasks.import_statement", statement_id=stored.pk)
    return stored


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _row_of(refusal: Refusal) -> int | None:
    row = refusal.details.get("row")
    return row if isinstance(row, int) else None


@joined
def seen_again(*, statement: str, at: datetime) -> None:
    """The bank itself hands out this very file (by number) again: it still holds at this moment.

    What a clerk uploads twice says nothing: it may be as old as the first.
    """
    earlier = Q(confirmed_at=None) | Q(confirmed_at__lt=at)
    Statement.objects.filter(earlier, number=statement).update(confirmed_at=at)


# --- importing ----------------------------------------------------------------------------------


def import_statement(*, statement: Statement, at: datetime) -> None:
    """The whole file staged, then its lines taken chunk by chunk.  Not atomic on purpose.

    Each chunk is all in or not at all, and a run that was killed is simply run again.  A lease
    keeps two workers from doing the same work; the keys of lines keep it from counting twice.
    """
    lease = Lease.of(statement)
    if lease is None:
        return
    with calm():
        run = partial(_import, statement, lease, at, until=time.monotonic() + TURN)
        if settings.IMPORT_LANES > 1:
            _aside(run, 1)
        else:
            run()


def _import(statement: Statement, lease: Lease, at: datetime, *, until: float) -> None:
    account = statement.receiving_account
    try:
        if not _is_staged(statement):
            _stage(statement, lease)
    except Refusal as refusal:  # a large file, or the reader has changed since it was taken
        _refuse(statement, refusal, at)
        filling.fill(account=account, at=at)
        return
    except LeaseLost:
        return
    batch = Batch(
        statement.number,
        account,
        statement.pk,
        form=table_of(statement.form),
        pays=statement.pays,
        reversed_serials=staging.reversed_serials(statement.number),
    )
    _take_all(batch, lease, at, until)
    if staging.left(batch.name):
        lease.give_up()  # time is over: another task goes on, or another worker does already
    else:
        _finish(statement, lease, at)
        filling.fill(account=account, at=at)  # on its own: what is left out here, a fetch makes up


def _take_all(batch: Batch, lease: Lease, at: datetime, until: float) -> None:
    """In lanes, each on a connection of its own: while one waits for the database, another works
    out what is to be written.  Parts go out in the bank's order.
    """
    found = staging.parts(batch.name, intake.CHUNK)
    parts = iter(found)  # shared: each part goes to one lane

    def lane() -> None:
        for part in parts:
            while (
                time.monotonic() < until
                and (taken := intake.take(batch=batch, at=at, rows=part)).rows
            ):
                if not lease.renew(progress=F("progress") + taken.rows):
                    return  # it is not our turn any more

    lanes = min(settings.IMPORT_LANES, len(found))
    if lanes < 2:
        lane()
        return
    _aside(lane, lanes)


def _aside(job: Callable[[], None], times: int) -> None:
    """So many times at once, each in a thread that lets those who wait for an answer go first."""

    def run() -> None:
        try:
            give_way()
            job()
        finally:
            connection.close()  # Django gives each thread one, and nobody else would close it

    with ThreadPoolExecutor(times) as pool:
        for one in [pool.submit(run) for _ in range(times)]:
            one.result()


def _is_staged(statement: Statement) -> bool:
    """Whether an earlier run has staged all rows, and they are still there."""
    return (
        bool(statement.form)
        and staging.left(statement.number) == statement.lines - statement.progress
    )


def _stage(statement: Statement, lease: Lease) -> None:
    """The whole file into `staging`, or a Refusal and nothing of it."""
    lease.keep(form="", progress=0)  # until all of it is there: half of it may look like the rest
    staging.clear(statement.number)
    account = statement.receiving_account
    with tempfile.TemporaryFile() as file:
        for pk in list(statement.parts.order_by("part").values_list("pk", flat=True)):
            # One by one: a pooler in transaction mode keeps no cursor open.
            file.write(zlib.decompress(StatementPart.objects.get(pk=pk).body))
        file.seek(0)
        stream = _opened(file, [account.account_no], account.columns)
        sums = _Sums(_of(account, stream))
        try:
            for _ in staging.stage(statement.number, account.account_no, sums):
                lease.keep()
        except Refusal:
            staging.clear(statement.number)
            raise
    summary = stream.summary
    lease.keep(
        form=stream.format,
        pays=stream.source == parsers.Source.BANK,
        lines=sums.lines,
        credits=sums.credits,
        credits_fen=sums.credits_fen,
        opening_fen=summary.opening_fen,
        closing_fen=summary.closing_fen,
        booked_from=summary.booked_from,
        booked_until=summary.booked_until,
        progress=0,
    )
    statement.refresh_from_db()


class _Sums:
    """Rows on their way into `staging`, counted."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.lines = self.credits = self.credits_fen = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.lines += 1
            if row.amount_fen > 0:
                self.credits += 1
                self.credits_fen += row.amount_fen
            yield row


@transaction.atomic
def _refuse(statement: Statement, refusal: Refusal, at: datetime) -> None:
    move(
        Statement.objects.filter(pk=statement.pk),
        StatementStatus.REFUSED,
        STATEMENT_TRANSITIONS,
        reason=str(refusal)[:300],
        broken_row=_row_of(refusal),
    )
    if statement.day is not None:
        days.lose(
            account=statement.receiving_account, day=statement.day, reason=str(refusal), at=at
        )
    statement.parts.all().delete()


@transaction.atomic
def _finish(statement: Statement, lease: Lease, at: datetime) -> None:
    """Counters from the stored lines; the file's bytes are no longer needed.

    Only whose turn it is: nothing is staged, too, while another is about to stage it all anew.
    """
    matching.lock_statements([statement.pk])
    if not lease.renew():
        return
    lines = StatementLine.objects.filter(statement=statement)
    counted = matching.counted(lines)
    Statement.objects.filter(pk=statement.pk, status=StatementStatus.RUNNING).update(
        status=StatementStatus.DONE,
        imported_at=at,
        duplicates=F("lines") - sum(counted.values()),
        **counted,
    )
    statement.parts.all().delete()


# --- pushes -------------------------------------------------------------------------------------


def take_push(*, provider: str, account_no: str, row: Row, at: datetime) -> intake.Taken:
    """One booking as the bank pushes it: stored, judged and paid when this returns.

    Raises NotFound for an account that is not ours.  A failure of the database is raised: nothing
    has happened, and the bank pushes again.
    """
    account = ReceivingAccount.objects.filter(provider=provider, account_no=account_no).first()
    if account is None:
        raise NotFound("推送的账号不是本店的收款账户")
    return take(account=account, rows=[row], at=at)


@transaction.atomic
def take(*, account: ReceivingAccount, rows: list[Row], at: datetime) -> intake.Taken:
    """A few bookings that need no file around them."""
    batch = Batch(numbers.fresh("B"), account)
    for _ in staging.stage(batch.name, account.account_no, rows):
        pass
    total = intake.Taken()
    while (taken := intake.take(batch=batch, at=at, rows=range(len(rows)))).rows:
        total += taken
    return total
