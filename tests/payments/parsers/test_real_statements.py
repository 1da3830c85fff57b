"""Files that real banks and tools exported: read to exactly their figures, or refused by name.

They are other people's, so none is in this repository: they are read from `shared/statements/`
beside the clone, or from SIYU_STATEMENTS.
"""

import os
from pathlib import Path

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.statement import Declared
from tests.payments.parsers.made import counted

CLONE = Path(__file__).resolve().parents[3]
APPS = ("config", "payments", "members", "shop", "livestream")
FOLDER = Path(os.environ.get("SIYU_STATEMENTS") or CLONE.parent / "shared" / "statements")

# file: (entries, credits, sum of credits, debits, sum of debits), in fen, as its README counts
READ = {
    "boc_debit.csv": (17, 4, 982_100, 13, 939_430),
    "cgb_credit.csv": (4, 2, 122_788, 2, 40_332),
    "cmb_credit.csv": (6, 4, 38_080, 2, 805_678),
    "mt940_sepa_full.sta": (97, 41, 518_847_494, 56, 1_445_761_084),
    "mt940_raphaelm.sta": (9, 8, 14_500_000, 1, 5_000_000),
    "mt940_mbank.sta": (3, 3, 3, 0, 0),
    "wechatpay_tradebill_ALL.csv": (45, 31, 47, 14, 14),
    "camt053_v4_batch_reversal.xml": (13, 5, 181_056, 8, 127_295),
}
# Their owners changed balances or totals to hide themselves, so that the files do not add up.
# file: (figures as above, read row by row; code and first row that breaks, as a product reads it)
ANONYMISED = {
    "abc_debit.csv": ((5, 2, 1_000_001, 2, 1_235_589), ("UNBALANCED", 3)),
    "bocom_debit.csv": ((6, 3, 1_125, 3, 11_400), ("UNBALANCED", 3)),
    "ccb_debit.xls": ((6, 0, 0, 6, 70_326), ("UNBALANCED", 10)),
    "cmb_debit.csv": ((5, 1, 123_400, 4, 201_314), ("UNBALANCED", 4)),
    "icbc_credit.csv": ((9, 1, 462_101, 8, 36_313), ("UNBALANCED", 9)),
    "icbc_debit_v1.csv": ((11, 5, 284_174, 6, 424_108), ("BAD_CELL", 8)),
}
CARDS = {"cgb_credit.csv", "cmb_credit.csv", "icbc_credit.csv"}
# file: (code, what the message must say)
REFUSED = {
    "alipay_personal.gbk.csv": ("UNSUPPORTED_STATEMENT", "支付宝个人账单"),
    "wechat_personal.csv": ("UNSUPPORTED_STATEMENT", "微信个人账单"),
    "jd_personal.csv": ("UNSUPPORTED_STATEMENT", "京东个人账单"),
    "hxsec_fake.xls": ("UNSUPPORTED_STATEMENT", "证券公司"),
    # Two bookings of one account with one serial and different amounts.
    "mt940_cmxl.sta": ("SERIAL_TWICE", "55555"),
    # Their authors changed amounts when they made them anonymous: balances do not add up.
    "mt940_sepa_snippet.sta": ("UNBALANCED", "-4472049.09"),
    "mt940_ing.sta": ("UNBALANCED", "3.47"),
    "mt940_postfinance.sta": ("UNBALANCED", "159.60"),
    "mt940_raiffeisen_latin1.sta": ("UNBALANCED", "25281687.60"),
    "mt942_mbank.sta": ("NOT_BOOKED", "MT942"),
    "camt053_v2_batch.xml": ("COUNTS_DIFFER", "35"),
    "camt052_v4_pending.xml": ("NOT_BOOKED", "camt.052"),
}


def content(name):
    if not FOLDER.is_dir():
        pytest.skip(f"no {FOLDER.name} folder beside this clone: real statements not tested")
    return (FOLDER / name).read_bytes()


def test_every_real_file_is_in_one_of_the_tables():
    content("README.md")

    files = {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert files == READ.keys() | ANONYMISED.keys() | REFUSED.keys()
    assert len(READ) + len(ANONYMISED) + len(REFUSED) == len(files)
    assert len(files) == 26


@pytest.mark.parametrize("name", READ)
def test_a_real_statement_is_read_to_exactly_its_figures(name):
    statement = parsers.read(content(name))

    assert figures(statement) == Declared(*READ[name])
    assert all(bool(row.caution) == (name in CARDS) for row in statement.rows)


def figures(statement):
    entries = {}
    for row in statement.rows:  # the details of a batch are one entry
        entries[row.position] = entries.get(row.position, 0) + row.amount_fen
    return counted(list(entries.values()))


@pytest.mark.parametrize("name", ANONYMISED)
def test_an_anonymised_file_is_refused_at_the_first_row_that_breaks(name):
    _, (code, row) = ANONYMISED[name]

    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content(name))

    assert (refused.value.code, refused.value.details["row"]) == (code, row)


@pytest.mark.parametrize("name", ANONYMISED)
def test_an_anonymised_file_has_exactly_its_rows(name):
    statement = parsers.read(content(name), checks=parsers.Checks.ROWS_ONLY)

    assert figures(statement) == Declared(*ANONYMISED[name][0])


def test_the_product_never_asks_for_rows_alone():
    """Every import in the product goes through the checks; only tests may leave them out."""
    sources = [path for app in APPS for path in (CLONE / app).rglob("*.py")]
    asking = {path for path in sources if "ROWS_ONLY" in path.read_text(encoding="utf-8")}
    assert asking
    assert {path.parent.name for path in asking} == {"parsers"}


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_that_is_not_read_is_refused_with_its_reason(name):
    code, words = REFUSED[name]

    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content(name))

    assert refused.value.code == code
    assert words in str(refused.value)


def test_reversals_of_real_files_take_money_out_and_returns_bring_it_back():
    rows = parsers.read(content("mt940_sepa_full.sta")).rows
    assert [row.amount_fen for row in rows if row.is_reversal] == [-20_488, -20_488]

    rows = parsers.read(content("camt053_v4_batch_reversal.xml")).rows
    reversed_fen = [row.amount_fen for row in rows if row.is_reversal]
    assert reversed_fen == [2_000, 4_000, 5_000, -600, -1_553]
