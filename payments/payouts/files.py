"""Payouts by a file that finance uploads in net banking (批量付款): each is in one file for life.

What became of a line is said by its booking in the statement, or by a person who read the bank's
answer and did not make the file.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from openpyxl import Workbook

from config.kit import numbers
from config.kit.errors import Refusal, StaleState
from config.kit.money import yuan
from config.kit.states import move
from payments.cashier.refunds import SecondPersonNeeded
from payments.payouts import sending, services
from payments.payouts.models import Payout, PayoutFile
from payments.payouts.rules import TRANSITIONS, PayeeStatus, Road, Status
from payments.receiving.models import ReceivingAccount
from payments.transfers import queries as transfers
from payments.transfers.models import StatementLine

AT_ONCE = 1000
HEAD = ["序号", "收款账号", "收款户名", "收款开户行", "金额（元）", "用途", "业务参考号"]
WIDTHS = {"A": 6, "B": 24, "C": 30, "D": 30, "E": 14, "F": 26, "G": 18}
AMOUNT = HEAD.index("金额（元）") + 1
Row = tuple[int, str, str, str, int, str, str]  # the columns of HEAD, the amount in fen


class NothingToExport(Refusal):
    message = "没有待付款的单，无需生成文件"


class NotInAFile(Refusal):
    message = "这笔付款不在批量付款文件里，或已有结果"


class BookedAlready(Refusal):
    message = "流水里已有写明这笔付款单号的付出，将按那一笔确认"


@transaction.atomic
def export(*, account: ReceivingAccount, actor: str, at: datetime) -> PayoutFile:
    """All that waits for this account in one new file; raises NothingToExport.

    From now on they may have been paid, and stand in no other file.
    """
    waiting = Payout.objects.filter(account=account, road=Road.FILE, status=Status.APPROVED)
    rows = waiting.select_for_update(of=("self",), skip_locked=True).select_related("payee")
    found = list(rows.order_by("asked_at", "pk")[:AT_ONCE])
    for gone in [row for row in found if row.payee.status != PayeeStatus.ACTIVE]:
        sending.decline_replaced(gone, at)
    to_pay = [row for row in found if row.payee.status == PayeeStatus.ACTIVE]
    if not to_pay:
        raise NothingToExport
    file = PayoutFile.objects.create(
        number=numbers.fresh("X"),
        account=account,
        payouts_count=len(to_pay),
        total_fen=sum(row.amount_fen for row in to_pay),
        made_by=actor,
        made_at=at,
    )
    for row in to_pay:
        move(Payout.objects.filter(pk=row.pk), Status.SENDING, TRANSITIONS, sent_at=at, file=file)
        services.record(row, "SENDING", actor, at, file=file.number)
    return file


def content(file: PayoutFile) -> bytes:
    """CSV as net banking takes it; the same bytes whenever it is asked for."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(HEAD)
    for n, account_no, *who, fen, use, number in _rows(file):
        # The tab keeps a spreadsheet from rounding the account's number.
        table.writerow([n, f"{account_no}\t", *who, yuan(fen).replace(",", ""), use, number])
    return out.getvalue().encode("utf-8-sig")


def workbook(file: PayoutFile) -> bytes:
    """The same rows as xlsx."""
    return as_workbook(_rows(file))


def as_workbook(rows: Iterable[Row]) -> bytes:
    """Numbers of accounts are text, amounts are numbers with two places."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "批量付款"
    sheet.append(HEAD)
    for letter, width in WIDTHS.items():
        sheet.column_dimensions[letter].width = width
    for line, (n, *who, fen, use, number) in enumerate(rows, 2):
        sheet.append([n, *who, Decimal(fen) / 100, use, number])
        for cell in sheet[line][1:]:
            # A text stays one, whatever it begins with and however many digits it has.
            is_amount = cell.column == AMOUNT
            cell.data_type, cell.number_format = ("n", "0.00") if is_amount else ("s", "@")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _rows(file: PayoutFile) -> Iterator[Row]:
    """In the order in which they were asked for."""
    rows = Payout.objects.filter(file=file).select_related("payee").order_by("asked_at", "pk")
    for n, row in enumerate(rows, 1):
        payee = row.payee
        who = (payee.account_no, payee.account_name, payee.bank_name)
        yield n, *who, row.amount_fen, f"商家结算 {row.number}", row.number


@transaction.atomic
def confirm(*, payout: Payout, serial: str, actor: str, at: datetime) -> Payout:
    """The bank says, reads another person than who made the file, that this one was paid.

    Raises NotInAFile, SecondPersonNeeded, BookedAlready.
    """
    _require(payout, actor)
    if _booking_of(payout):
        raise BookedAlready
    left_from = transfers.left_from(payout.account, serial, payout.amount_fen)
    found = Payout.objects.filter(pk=payout.pk, road=Road.FILE)
    move(found, Status.DONE, TRANSITIONS, serial=serial, done_at=at)
    services.leave(payout, left_from, actor, at)
    payout.refresh_from_db()
    return payout


@transaction.atomic
def refuse(*, payout: Payout, reason: str, actor: str, at: datetime) -> Payout:
    """The bank says, reads another person than who made the file, that this one was not paid.

    Raises NotInAFile, SecondPersonNeeded, BookedAlready.
    """
    _require(payout, actor)
    if _booking_of(payout):
        raise BookedAlready
    found = Payout.objects.filter(pk=payout.pk, road=Road.FILE)
    move(found, Status.FAILED, TRANSITIONS, failure=reason[:200], done_at=at)
    services.give_back(payout, "FAILED", reason[:200], actor, at)
    payout.refresh_from_db()
    return payout


def _require(payout: Payout, actor: str) -> None:
    if payout.road != Road.FILE or payout.status != Status.SENDING or payout.file is None:
        raise NotInAFile
    if actor == payout.file.made_by:
        raise SecondPersonNeeded


def _booking_of(payout: Payout) -> StatementLine | None:
    """The statement's own word: so much left this account, and the texts have our number."""
    rows = StatementLine.objects.filter(
        receiving_account=payout.account_id,
        amount_fen=-payout.amount_fen,
        currency="CNY",
        is_elsewhere=True,
        is_reversal=False,
        remark__contains=payout.number,
        merchant_payout=None,
    )
    return rows.order_by("pk").first()


def find_bookings(*, at: datetime) -> int:
    """What statements have brought of files meanwhile; how many were confirmed by it."""
    waiting = Payout.objects.filter(road=Road.FILE, status=Status.SENDING)
    return sum(_booked(pk, at) for pk in waiting.order_by("sent_at").values_list("pk", flat=True))


def let_go(*, at: datetime) -> None:
    """What was approved for a bank account that was replaced since is in no file."""
    waiting = Payout.objects.filter(road=Road.FILE, status=Status.APPROVED)
    for payout in waiting.exclude(payee__status=PayeeStatus.ACTIVE):
        with suppress(StaleState):
            sending.decline_replaced(payout, at)


@transaction.atomic
def _booked(payout_id: int, at: datetime) -> bool:
    rows = Payout.objects.select_for_update(of=("self",)).filter(status=Status.SENDING)
    payout = rows.select_related("account").filter(pk=payout_id).first()
    booking = _booking_of(payout) if payout else None
    if payout is None or booking is None:
        return False
    said = {"serial": booking.serial or booking.number, "booking": booking, "done_at": at}
    move(Payout.objects.filter(pk=payout_id), Status.DONE, TRANSITIONS, **said)
    services.leave(payout, f"elsewhere:{payout.account.account_no}", "", at)
    return True
