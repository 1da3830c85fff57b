"""Payouts by a file for net banking, and payouts that come back."""

import csv
import io

import pytest
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from config.kit.errors import StaleState
from payments.cashier.refunds import SecondPersonNeeded
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.payouts import bounces, files, sending, services, tasks
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import Bank
from payments.receiving.models import ReceivingAccount
from payments.transfers.bounces import NotABounce, NotThisPayout
from payments.transfers.models import StatementLine
from tests.payments.settlement.scene import (
    CARD,
    CLERK,
    LATER,
    OTHER,
    PRICE,
    earned,
    fresh,
    own_account,
    payee,
    request,
    there,
)
from tests.payments.transfers.bank import ACCOUNT, account, arrive, booking

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _by_file(db):
    account()
    earned()
    payee()
    ReceivingAccount.objects.update(provider="")
    yield
    assert ledger.audit() == []


def exported(fen=PRICE):
    payout = request(fen)
    files.export(account=own_account(), actor=CLERK, at=LATER)
    return fresh(payout)


def in_the_bank():
    return books.balance(f"bank:{ACCOUNT}"), books.balance(f"elsewhere:{ACCOUNT}")


def test_a_file_has_each_payout_once_and_the_next_file_only_what_is_new():
    first, second = request(30_000), request(20_000)
    tasks.send_payouts()  # no bank's interface: these are nobody's to send

    file = files.export(account=own_account(), actor=CLERK, at=LATER)

    assert (file.payouts_count, file.total_fen) == (2, 50_000)
    text = files.content(file).decode("utf-8-sig")
    assert files.content(file).decode("utf-8-sig") == text
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[4] for row in rows[1:]] == ["300.00", "200.00"]
    assert [row[6] for row in rows[1:]] == [first.number, second.number]
    assert rows[1][1].strip() == CARD.account_no
    assert {fresh(one).status for one in (first, second)} == {"SENDING"}
    with pytest.raises(files.NothingToExport):
        files.export(account=own_account(), actor=OTHER, at=LATER)
    assert there() == (50_000, 50_000)


def test_the_workbook_has_the_same_rows_with_accounts_as_text():
    request(30_001), request(20_000)
    file = files.export(account=own_account(), actor=CLERK, at=LATER)
    long = Bank("6217001122334455667", "0012 有限公司", "建设银行")
    Payee.objects.filter(status="ACTIVE").update(
        account_no=long.account_no, account_name=long.account_name
    )

    book = load_workbook(io.BytesIO(files.workbook(file)))
    head, *rows = book.worksheets[0].iter_rows()

    first, *lines = csv.reader(io.StringIO(files.content(file).decode("utf-8-sig")))
    assert [cell.value for cell in head] == first == files.HEAD
    for cells, line in zip(rows, lines, strict=True):
        n, account_no, name, bank, amount, use, number = cells
        assert (n.value, account_no.data_type, amount.data_type) == (int(line[0]), "s", "n")
        assert account_no.value == line[1].strip() == long.account_no
        assert [name.value, bank.value, use.value, number.value] == [*line[2:4], *line[5:]]
        assert f"{amount.value:.2f}" == line[4]
        assert amount.number_format == "0.00"
    assert sum(round(cells[4].value * 100) for cells in rows) == file.total_fen
    read_back = CalamineWorkbook.from_filelike(io.BytesIO(files.workbook(file)))
    assert read_back.get_sheet_by_index(0).to_python()[1][1] == long.account_no


def test_a_text_that_looks_like_a_formula_stays_a_text():
    """A constraint keeps such names away; the workbook does not rely on it."""
    content = files.as_workbook([(1, "0062", "=1+1", "建设银行", 100, "结算", "J1")])

    row = next(load_workbook(io.BytesIO(content)).worksheets[0].iter_rows(min_row=2))
    assert [(cell.data_type, cell.value) for cell in row[1:3]] == [("s", "0062"), ("s", "=1+1")]


def test_its_booking_in_the_statement_confirms_it_once():
    payout = exported()
    arrive(
        booking(-PRICE, remark=f"商家结算 {payout.number}", serial="OUT1"),
        booking(-PRICE, remark=f"商家结算 {payout.number}", serial="OUT2"),
    )

    tasks.find_bookings()
    tasks.find_bookings()

    payout = fresh(payout)
    assert (payout.status, payout.serial) == ("DONE", "OUT1")
    assert there() == (0, 0)
    assert in_the_bank() == (-PRICE, -PRICE)  # paid twice: the second is nobody's yet


def test_a_booking_of_another_amount_or_without_the_number_confirms_nothing():
    payout = exported()
    arrive(booking(1 - PRICE, remark=payout.number), booking(-PRICE, remark="货款"))

    tasks.find_bookings()

    assert fresh(payout).status == "SENDING"
    assert there() == (0, PRICE)


def test_another_person_reads_that_it_was_paid_and_the_booking_is_known_again():
    payout = exported()
    with pytest.raises(SecondPersonNeeded):
        files.confirm(payout=payout, serial="OUT1", actor=CLERK, at=LATER)

    files.confirm(payout=payout, serial="OUT1", actor=OTHER, at=LATER)
    arrive(booking(-PRICE, serial="OUT1", remark=payout.number))

    assert not StatementLine.objects.get(serial="OUT1").is_elsewhere
    assert in_the_bank() == (0, 0)
    with pytest.raises(StaleState):
        sending.send(payout=fresh(payout), at=LATER)


def test_said_to_be_paid_after_the_statement_said_so_without_a_word_of_ours():
    payout = exported()
    arrive(booking(-PRICE, serial="OUT1"))

    files.confirm(payout=payout, serial="OUT1", actor=OTHER, at=LATER)

    assert in_the_bank() == (0, 0)


def test_another_person_reads_that_it_was_refused():
    payout = exported()
    with pytest.raises(SecondPersonNeeded):
        files.refuse(payout=payout, reason="户名不符", actor=CLERK, at=LATER)

    payout = files.refuse(payout=payout, reason="户名不符", actor=OTHER, at=LATER)

    assert (payout.status, payout.failure) == ("FAILED", "户名不符")
    assert there() == (PRICE, 0)
    with pytest.raises(files.NotInAFile):
        files.confirm(payout=payout, serial="OUT1", actor=OTHER, at=LATER)


def test_what_the_statement_shows_as_paid_cannot_be_said_to_be_refused():
    payout = exported()
    arrive(booking(-PRICE, remark=payout.number))

    with pytest.raises(files.BookedAlready):
        files.refuse(payout=payout, reason="户名不符", actor=OTHER, at=LATER)

    assert there() == (0, PRICE)


def test_approved_for_an_account_that_was_replaced_is_in_no_file():
    payout = request()
    payee(Bank("6222000011112222", "新户", "工行"))

    with pytest.raises(files.NothingToExport):
        files.export(account=own_account(), actor=CLERK, at=LATER)

    tasks.find_bookings()
    assert fresh(payout).status == "DECLINED"
    assert there() == (PRICE, 0)


# --- it comes back


def paid():
    payout = exported()
    return fresh(files.confirm(payout=payout, serial="OUT1", actor=OTHER, at=LATER))


def come_back(payout, fen=PRICE, remark=None):
    (line,) = arrive(booking(fen, remark=remark or f"退汇 {payout.number}", payer_account="X"))
    return line


def link(payout, line, fee_fen=0):
    return bounces.link(
        payout=payout, line=line, fee_fen=fee_fen, reason="账号有误", actor=CLERK, at=LATER
    )


def test_what_comes_back_is_available_again():
    payout = paid()
    line = come_back(payout)
    assert line.verdict == "CONFLICT"

    link(payout, line)

    assert fresh(payout).status == "BOUNCED"
    assert there() == (PRICE, 0)
    assert books.balance(f"suspense:{ACCOUNT}") == 0
    with pytest.raises(NotABounce):
        link(fresh(payout), StatementLine.objects.get(pk=line.pk))
    assert there() == (PRICE, 0)


def test_a_fee_that_the_bank_kept_is_the_shops():
    payout = paid()
    line = come_back(payout, PRICE - 500)
    with pytest.raises(NotThisPayout):
        link(payout, line)

    link(payout, line, fee_fen=500)

    assert there() == (PRICE, 0)
    assert books.balance(f"fee:{ACCOUNT}") == 500


def test_a_credit_that_names_another_is_not_this_ones():
    payout = paid()
    line = come_back(payout, remark="退汇")

    with pytest.raises(NotThisPayout):
        link(payout, line)

    assert fresh(payout).status == "DONE"
    assert there() == (0, 0)
    assert services.held(payout.merchant) not in books.balances("held")
    assert Payout.objects.count() == 1
