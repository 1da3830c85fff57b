"""What finance does with refunds and bank lines; what is refused changes nothing."""

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile

from payments.cashier.models import Refund
from payments.ledger import services as ledger
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import Statement
from tests.admin.pages import act, choose, fingerprint, fresh, opened, url
from tests.admin.stage import Side
from tests.payments.transfers.bank import booking, ccb_csv

pytestmark = pytest.mark.django_db


# --- money --------------------------------------------------------------------------------------


def owed(side: Side) -> Refund:
    refund = side.rows["payments.Refund"]
    Refund.objects.filter(pk=refund.pk).update(status="OWED")
    return fresh(refund)


def test_finance_approves_a_refund(first):
    refund = owed(first)
    page = act(first, "FINANCE", "payments.Refund", "approve", row=refund)

    assert fresh(refund).status == "APPROVED"
    assert "同意退款：已完成" in page.content.decode()
    assert refund.payment.events.filter(
        kind="REFUND_APPROVED", actor=first.people["FINANCE"].number
    ).exists()


def test_a_refund_is_approved_once(first):
    refund = owed(first)
    choose(first, "FINANCE", "payments.Refund", "approve_chosen", refund)
    again = act(first, "FINANCE", "payments.Refund", "approve", row=refund)

    assert "状态已变化" in again.content.decode()
    finance = first.people["FINANCE"].number
    assert refund.payment.events.filter(kind="REFUND_APPROVED", actor=finance).count() == 1


def test_money_cannot_be_typed(first):
    before = fingerprint()
    client = opened(first.people["OWNER"])
    for label in ("payments.Payment", "payments.Refund", "shop.Order", "payments.Account",
                  "payments.StatementLine", "livestream.Lot"):  # fmt: skip
        fields = {"status": "DONE", "amount_fen": "1", "total_fen": "1", "verdict": "MATCHED"}
        assert client.post(url(label, "change", first.pk(label)), fields).status_code == 403

    assert fingerprint() == before


# --- bank lines ---------------------------------------------------------------------------------


def upload(side: Side, content: bytes, name: str = "流水.csv"):
    client = opened(side.people["FINANCE"])
    file = SimpleUploadedFile(name, content)
    return client.post(url("payments.Statement", "upload"), {"file": file}, follow=True)


def own_account(side: Side) -> ReceivingAccount:
    row = side.rows["payments.ReceivingAccount"]
    assert isinstance(row, ReceivingAccount)
    return row


def test_an_uploaded_statement_shows_its_result_page(first):
    content = ccb_csv([booking(5_00)], own=own_account(first).account_no)
    page = upload(first, content)

    statement = Statement.objects.latest("pk")
    assert page.redirect_chain[-1][0] == url("payments.Statement", "change", statement.pk)
    assert statement.number in page.content.decode()
    assert statement.uploaded_by == first.people["FINANCE"]


@pytest.mark.parametrize("content", [b"", b"\x00\x01", "随便写的文字".encode()])
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(first, content):
    before = fingerprint()
    page = upload(first, content)

    assert "errornote" in page.content.decode() or "errors" in page.content.decode()
    assert fingerprint() == before


def test_a_statement_of_another_merchants_account_is_refused(first, second):
    before = fingerprint()
    page = upload(first, ccb_csv([booking(5_00)], own=own_account(second).account_no))

    assert "不是您可以导入的收款账户" in page.content.decode()
    assert fingerprint() == before


def test_a_line_is_given_to_a_payment_and_taken_back(first):
    line, payment = first.rows["payments.StatementLine"], first.rows["payments.Payment"]
    shares = {"number_1": payment.number, "fen_1": "77.00", "reason": "买家来电确认"}
    page = act(first, "FINANCE", "payments.StatementLine", "assign", shares)

    assert fresh(line).verdict == "MATCHED"
    assert fresh(payment).received_fen == 77_00
    assert "买家来电确认" in LogEntry.objects.latest("pk").get_change_message()
    assert payment.number in page.content.decode()

    act(first, "FINANCE", "payments.StatementLine", "undo", {"reason": "认错了"})
    assert fresh(line).verdict == "UNMATCHED"
    assert fresh(payment).received_fen == 0
    assert ledger.audit() == []


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"fen_1": "77.01"}, "金额超过这笔来账剩余的可处理金额"),
        ({"number_1": "PNOSUCHNUMBER", "fen_1": "77.00"}, "支付单不存在"),
        ({"fen_1": "77.00", "number_2": "P2"}, "每张支付单填写一次"),
        ({"fen_1": "-77.00"}, "确保该值"),
        ({"fen_1": "77.001"}, "小数"),
    ],
)
def test_a_line_is_given_once_and_to_what_exists(first, shares, said):
    before = fingerprint()
    number = first.rows["payments.Payment"].number
    page = act(first, "FINANCE", "payments.StatementLine", "assign", {"number_1": number, **shares})

    assert said in page.content.decode()
    assert fingerprint() == before


def test_a_line_is_not_given_to_another_merchants_payment(first, second):
    before = fingerprint()
    shares = {"number_1": second.rows["payments.Payment"].number, "fen_1": "77.00"}
    page = act(first, "FINANCE", "payments.StatementLine", "assign", shares)

    assert "支付单不存在" in page.content.decode()
    assert fingerprint() == before


def test_a_line_is_ignored_with_a_reason_and_returned(first):
    line = first.rows["payments.StatementLine"]
    without = act(first, "FINANCE", "payments.StatementLine", "ignore", {"reason": ""})
    assert not without.redirect_chain
    act(first, "FINANCE", "payments.StatementLine", "ignore", {"reason": "员工报销"})
    assert (fresh(line).verdict, fresh(line).reasons) == ("IGNORED", ["员工报销"])

    act(first, "FINANCE", "payments.StatementLine", "undo", {"reason": "再看看"})
    act(first, "FINANCE", "payments.StatementLine", "give_back", {"reason": "不是货款"})
    assert fresh(line).verdict == "RETURNING"


def test_a_waiting_lines_page_leads_to_the_workbench(first):
    clerk, hinted = opened(first.people["FINANCE"]), first.rows["hinted"]
    text = clerk.get(url("payments.StatementLine", "change", hinted.pk)).content.decode()

    assert f"{url('payments.StatementLine', 'queue')}?line={hinted.number}" in text
