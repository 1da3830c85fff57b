"""An unknown bank's table, from a person's word about its columns to orders that are paid."""

import html
import io
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.timezone import now

from payments.receiving.models import ReceivingAccount
from payments.receiving.rules import COLUMN_ROLES
from payments.transfers import column_maps, parsers, services
from payments.transfers.models import Statement, StatementLine
from payments.transfers.parsers.tables import column_map
from tests.admin.pages import fingerprint, fresh, opened, url
from tests.payments.transfers.bank import booking, ccb_csv

pytestmark = pytest.mark.django_db
MAP, UPLOAD = url("payments.Statement", "map_columns"), url("payments.Statement", "upload")
HEADER = ["单号", "日期", "进账", "出账", "结余", "来往户名", "来往账号", "留言"]
SAID = ["serial", "day", "in", "out", "balance", "name", "payer_account", "remark"]
COLUMNS = dict(zip(SAID, HEADER, strict=True))
ROWS = [
    ["V1", "2026-06-17 09:00:00", "12.00", "", "112.00", "甲号老客", "6217000000001111", "茶叶"],
    ["V2", "2026-06-17 10:00:00", "", "2.00", "110.00", "甲号供货", "6217000000002222", "包装"],
]


def village_csv(*rows, header=HEADER):
    """What 某某村镇银行 exports; no bank module knows it."""
    lines = [["某某村镇银行对公明细"], header, *rows]
    return ("\r\n".join(",".join(line) for line in lines) + "\r\n").encode("gb18030")


@pytest.fixture
def clerk(first):
    return opened(first.people["FINANCE"])


@pytest.fixture
def account(first):
    return first.rows["payments.ReceivingAccount"]


def begin(client, account, content, name="流水.csv"):
    asked = {"account_no": account.account_no, "file": SimpleUploadedFile(name, content)}
    return client.post(MAP, asked).content.decode()


def hidden(text):
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
    kept = {"account_no", "sample", "shown", "header_row"}
    return {name: html.unescape(value) for name, value in found if name in kept}


def go_on(client, before, step, roles=SAID, **changes):
    text = before if isinstance(before, str) else before.content.decode()
    chosen = {f"role_{place}": role for place, role in enumerate(roles)}
    return client.post(MAP, {**hidden(text), **chosen, "step": step, **changes}, follow=True)


def read(page):
    return html.unescape(page.content.decode())


def test_a_table_nobody_knew_is_mapped_once_and_then_pays_orders(clerk, first, account):
    content = village_csv(*ROWS)
    looked = go_on(clerk, begin(clerk, account, content), "look")
    assert fresh(account).columns == {}  # until a person has seen it and said so
    assert "共 2 笔，收入 1 笔 ¥12.00，支出 1 笔 ¥2.00" in read(looked)
    assert "2026-06-17 09:00" in read(looked)

    kept = go_on(clerk, looked, "keep")
    assert "列对照已保存" in read(kept)
    assert kept.redirect_chain == [(f"{UPLOAD}?account_no={account.account_no}", 302)]
    assert fresh(account).columns == COLUMNS

    payment = first.rows["payments.Payment"]
    at = now()
    paid = ["V3", f"{at:%Y-%m-%d %H:%M:%S}", f"{payment.amount_fen / 100:.2f}", ""]
    end = [f"{payment.amount_fen / 100 + 100:.2f}", "甲号买家", "6217000000003333"]
    code = payment.transfer_intent.code
    asked = {
        "account_no": account.account_no,
        "file": SimpleUploadedFile("六月.csv", village_csv([*paid, *end, f"货款{code}"])),
    }
    clerk.post(UPLOAD, asked)
    statement = Statement.objects.latest("pk")
    services.import_statement(statement=statement, at=at + timedelta(minutes=1))

    statement.refresh_from_db()
    assert (statement.status, statement.form, statement.matched) == ("DONE", "columns_csv", 1)
    assert StatementLine.objects.get(serial="V3").remark == f"货款{code}"
    assert fresh(payment).status == "CONFIRMED"


def test_a_guess_is_marked_and_nothing_is_read_by_it(clerk, account):
    header = ["流水号", "交易日期", "收入", "支出", "余额", "对方户名", "对方账号", "附言"]
    text = begin(clerk, account, village_csv(*ROWS, header=header))

    assert '<option value="day" selected>日期（或日期时间） · 建议</option>' in text
    assert "标有“建议”的是按列名猜的" in text
    assert "这样读出的结果" not in text
    assert "建议" not in read(go_on(clerk, text, "look"))  # now a person has said it


def test_the_change_is_kept_in_the_accounts_history(clerk, account):
    looked = go_on(clerk, begin(clerk, account, village_csv(*ROWS)), "look")
    go_on(clerk, looked, "keep")
    said = LogEntry.objects.latest("pk").get_change_message()

    assert "列对照：无 → 流水号=单号、日期=日期、收入金额=进账" in said
    page = clerk.get(url("payments.ReceivingAccount", "change", account.pk)).content.decode()
    assert "收入金额 = 进账" in page
    assert "重新对照" in page


def test_what_was_not_shown_is_not_kept(clerk, account):
    """Another column chosen after the look: it is shown again, with what is read now."""
    begun = begin(clerk, account, village_csv(*ROWS))
    unseen = go_on(clerk, begun, "keep")
    assert "这样读出的结果" in read(unseen)

    other = [*SAID[:2], "out", "in", "", *SAID[5:]]
    page = go_on(clerk, go_on(clerk, begun, "look"), "keep", roles=other)

    assert "收入 1 笔 ¥2.00，支出 1 笔 ¥12.00" in read(page)
    assert fresh(account).columns == {}


@pytest.mark.parametrize(
    ("roles", "told"),
    [
        (["serial", "", "in", "out"], "没有指定日期列"),
        (["serial", "day", "in", ""], "收入与支出两列"),
        (["serial", "day", "in", "out", "", "name", "name"], "都选了对方户名"),
        (["", "", "", ""], "请至少选出日期和金额"),
        (["serial", "day", "in", "out", "day"], "都选了日期"),
        (["serial", "day", "out", "in", "balance"], "余额"),
    ],
)
def test_a_map_that_does_not_read_the_sample_cannot_be_kept(clerk, account, roles, told):
    before = fingerprint()
    begun = begin(clerk, account, village_csv(*ROWS))
    page = go_on(clerk, begun, "look", roles)

    assert told in read(page)
    assert "保存列对照" not in read(page)
    go_on(clerk, page, "keep", roles)
    assert fingerprint() == before


def test_another_row_can_be_the_header(clerk, account):
    content = village_csv(["日期", "说明", "额", ""], *ROWS)
    text = begin(clerk, account, content)
    page = go_on(clerk, text, "header", [], header_row="3")

    assert "<option selected>3</option>" in read(page)
    assert "<b>说明</b>" in read(page)


def test_a_known_format_is_sent_straight_to_the_upload(clerk, account):
    content = ccb_csv([booking(1_00)], own=account.account_no)
    text = begin(clerk, account, content)

    assert "这种格式可直接上传" in text
    assert f"{UPLOAD}?account_no={account.account_no}" in text
    assert "保存列对照" not in text
    with pytest.raises(column_maps.AlreadyKnown):
        column_maps.keep(
            account=account,
            columns={"day": "交易时间", "amount": "余额"},
            sample=io.BytesIO(content),
        )
    assert fresh(account).columns == {}


def test_a_map_does_not_stand_in_the_way_of_formats_we_know(clerk, account):
    ReceivingAccount.objects.filter(pk=account.pk).update(columns=COLUMNS)
    content = ccb_csv([booking(1_00, payer_name="甲号客")], own=account.account_no)
    for chosen in ("", account.account_no):
        file = SimpleUploadedFile("建行.csv", content + b"\r\n" * len(chosen))
        clerk.post(UPLOAD, {"account_no": chosen, "file": file})
        statement = Statement.objects.latest("pk")
        services.import_statement(statement=statement, at=now())
        statement.refresh_from_db()
        assert (statement.status, statement.form) == ("DONE", "ccb_csv")


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"", b"a,b\r\n1,2\r\n", b":20:A\n:25:1\n"])
def test_what_is_no_table_is_refused_at_once(clerk, account, content):
    before = fingerprint()
    text = begin(clerk, account, content or b" ")

    assert "下一步" in text
    assert "border-red" in text or "text-red" in text
    assert fingerprint() == before


def test_a_sample_is_one_persons_and_cannot_be_made_up(clerk, first, second, account):
    text = begin(clerk, account, village_csv(*ROWS))
    before = fingerprint()

    assert "样本已过期" in read(go_on(clerk, text, "look", sample="made:up:here"))
    owner = opened(first.people["OWNER"])
    assert "样本已过期" in read(go_on(owner, text, "look"))
    assert fingerprint() == before


def test_another_merchants_account_is_not_to_be_had(clerk, second, account):
    theirs = second.rows["payments.ReceivingAccount"]
    before = fingerprint()

    begin(clerk, theirs, village_csv(*ROWS))
    looked = go_on(clerk, begin(clerk, account, village_csv(*ROWS)), "look")
    go_on(clerk, looked, "keep", account_no=theirs.account_no)

    assert fingerprint() == before


def test_a_large_sample_is_refused(clerk, account):
    text = begin(clerk, account, b"x" * (4 * 1_048_576 + 1))
    assert "样本太大" in text


@pytest.mark.parametrize(
    ("sample", "refusal"),
    [
        ("总笔数,0\r\n".encode("gb18030") + village_csv(), column_maps.NothingRead),
        (village_csv(*ROWS, ["V3", "昨天", "1.00", "", "111.00", "", "", ""]), parsers.Unreadable),
        (b"\xd5\xca\xba\xc5:755900009999\r\n" + village_csv(*ROWS), services.NotOurAccount),
    ],
    ids=["nothing in it", "broken at its end", "of another account"],
)
def test_the_service_keeps_only_what_reads_a_whole_sample(account, sample, refusal):
    with pytest.raises(refusal):
        column_maps.keep(account=account, columns=COLUMNS, sample=io.BytesIO(sample))

    assert fresh(account).columns == {}


def test_every_role_has_its_word():
    assert set(COLUMN_ROLES) == column_map.ROLES | {column_map.REMARK}
