"""CAMT.053: versions, signs, batches, states; test_camt054 has notifications and reversals."""

import pytest

from payments.transfers import parsers
from tests.payments.parsers.made import OURS

DETAIL = (
    "<TxDtls><Refs><AcctSvcrRef>{serial}</AcctSvcrRef></Refs>{amount}"
    "<RltdPties><Dbtr><Nm>乙公司</Nm></Dbtr></RltdPties>"
    "<RmtInf><Ustrd>货款</Ustrd></RmtInf></TxDtls>"
)


def amount(value, currency="CNY"):
    return f'<Amt Ccy="{currency}">{value}</Amt>'


def detail(value, serial="T1", **more):
    return DETAIL.format(serial=serial, amount=amount(value, **more))


def entry(value="100.50", *, side="CRDT", status="BOOK", details="", more="", reference="S1"):
    return (
        f"<Ntry>{amount(value)}<CdtDbtInd>{side}</CdtDbtInd>{more}<Sts>{status}</Sts>"
        f"<BookgDt><Dt>2026-01-05</Dt></BookgDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>"
    )


def balance(kind, value, side="CRDT"):
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{amount(value)}"
        f"<CdtDbtInd>{side}</CdtDbtInd></Bal>"
    )


def stmt(*entries, opening="1000.00", closing="1100.50", head=""):
    return (
        f"<Stmt><Acct><Id><Othr><Id>{OURS}</Id></Othr></Id></Acct>{balance('OPBD', opening)}"
        f"{balance('CLBD', closing)}{head}{''.join(entries or [entry()])}</Stmt>"
    )


def document(*stmts, version="02", message="053", prolog="", encoding="utf-8"):
    space = f"urn:iso:std:iso:20022:tech:xsd:camt.{message}.001.{version}"
    declared = encoding.removesuffix("-sig")
    text = (
        f'<?xml version="1.0" encoding="{declared}"?>{prolog}<Document xmlns="{space}">'
        f"<BkToCstmrStmt>{''.join(stmts or [stmt()])}</BkToCstmrStmt></Document>"
    )
    return text.encode(encoding)


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content)
    return refused.value


@pytest.mark.parametrize("version", ["02", "03", "04", "05", "06", "07", "08"])
def test_versions_two_to_eight_are_read(version):
    assert parsers.read(document(version=version)).rows[0].amount_fen == 10_050


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_the_declared_encoding_is_read(encoding):
    content = document(stmt(entry(details=detail("100.50"))), encoding=encoding)
    assert parsers.read(content).rows[0].payer_name == "乙公司"


def test_a_prefix_of_the_namespace_does_not_matter():
    content = document().replace(b"<", b"<c:").replace(b"<c:/", b"</c:").replace(b"<c:?", b"<?")
    assert len(parsers.read(content.replace(b"xmlns=", b"xmlns:c=")).rows) == 1


def test_a_reversal_is_named_and_not_turned_again():
    more = "<RvslInd>true</RvslInd>"
    content = document(stmt(entry(side="DBIT", more=more), closing="899.50"))
    row = parsers.read(content).rows[0]
    assert (row.amount_fen, row.is_reversal) == (-10_050, True)


def test_the_status_may_be_text_or_code_and_only_booked_entries_are_rows():
    content = document(
        stmt(
            entry(status="<Cd>BOOK</Cd>"),
            entry(status="PDNG", reference="S2"),
            entry(status="<Cd>INFO</Cd>", reference="S3"),
        )
    )
    statement = parsers.read(content)
    assert [row.serial for row in statement.rows] == ["S1"]
    assert statement.not_booked == 2


def test_a_file_of_pending_entries_only_is_refused():
    content = document(stmt(entry(status="PDNG"), closing="1000.00"))
    assert refusal(content).code == "NOT_BOOKED"


def test_an_intraday_report_is_refused_by_name():
    refused = refusal(document(message="052"))
    assert refused.code == "NOT_BOOKED"
    assert "camt.052" in str(refused)


def test_a_batch_is_one_row_per_detail():
    details = detail("100.00", "T1") + detail("0.50", "T2")
    rows = parsers.read(document(stmt(entry(details=details)))).rows
    assert [(row.serial, row.amount_fen, row.position) for row in rows] == [
        ("T1", 10_000, 1),
        ("T2", 50, 1),
    ]


def test_details_that_share_a_reference_are_told_apart():
    details = detail("100.00", "S1") + detail("0.50", "S1")
    rows = parsers.read(document(stmt(entry(details=details)))).rows
    assert [row.serial for row in rows] == ["S1#1", "S1#2"]


@pytest.mark.parametrize(
    "details",
    [
        "<Btch><NbOfTxs>3</NbOfTxs></Btch>",
        detail("100.00", "T1") + detail("0.51", "T2"),
        detail("100.00", "T1") + detail("0.50", "T2", currency="EUR"),
        detail("8.85"),
    ],
)
def test_what_the_details_do_not_explain_is_one_row_for_a_person(details):
    rows = parsers.read(document(stmt(entry(details=details)))).rows
    assert [row.amount_fen for row in rows] == [10_050]
    assert rows[0].caution


def test_one_detail_in_a_foreign_currency_is_worth_its_entry():
    details = detail("14.20", currency="USD")
    row = parsers.read(document(stmt(entry(details=details)))).rows[0]
    assert (row.amount_fen, row.currency, row.caution) == (10_050, "CNY", "")


def test_a_reference_nobody_gave_is_no_text():
    given = "<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs></TxDtls>"
    assert parsers.read(document(stmt(entry(details=given)))).rows[0].texts == ()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (document(stmt(closing="1100.51")), "UNBALANCED"),
        (document(stmt(head="<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries>"
                       "</TxsSummry>")), "COUNTS_DIFFER"),
        (document(stmt(entry("-100.50"))), "BAD_CELL"),
        (document(stmt(entry("100.505"))), "BAD_CELL"),
        (document(stmt(entry("1e2"))), "BAD_CELL"),
        (document(stmt(entry(side="BOTH"))), "BAD_CELL"),
        (document(stmt(entry(status="DONE"))), "BAD_CELL"),
        (document(stmt(entry(more="<RvslInd>maybe</RvslInd>"))), "BAD_CELL"),
        (document().replace(b"2026-01-05", b"2026-02-30"), "BAD_CELL"),
        (document().replace(b'Ntry><Amt Ccy="CNY"', b'Ntry><Amt Ccy="EUR"'), "BAD_CELL"),
        (document().replace(b"CLBD", b"CLAV"), "DAMAGED_FILE"),
        (document().replace(OURS.encode(), b""), "DAMAGED_FILE"),
        (document()[:-20], "DAMAGED_FILE"),
        (document("<x/>"), "DAMAGED_FILE"),
        (document(stmt(entry(), entry("0.00"))), "SERIAL_TWICE"),
        (document(version="13"), "UNSUPPORTED_STATEMENT"),
        (b"<?xml version='1.0'?><a/>", "UNKNOWN_FORMAT"),
        (document(prolog="<!DOCTYPE a>"), "ENTITIES_FORBIDDEN"),
        (document(prolog='<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'),
         "ENTITIES_FORBIDDEN"),
    ],
)  # fmt: skip
def test_a_statement_that_is_not_whole_is_refused(content, code):
    assert refusal(content).code == code
