"""Samples whose authors cut them or changed amounts: exact figures, once their checks are off.

Without the keyword each is refused; `test_real_statements` has those that are read as they are.
"""

import io

import pytest

from payments.transfers.parsers import Unreadable
from payments.transfers.parsers.channels import personal_bills, wechat_bills
from payments.transfers.parsers.messages import camt053, mt940
from payments.transfers.parsers.statement import Checks, Declared, Known
from tests.payments.parsers.made import counted
from tests.payments.parsers.test_real_statements import content

# file: (reader, code without the keyword, figures as the samples' README counts them)
CUT = {
    "wechat_personal.csv": (personal_bills, "COUNTS_DIFFER", (27, 5, 2_849, 11, 290_453)),
    "alipay_personal.gbk.csv": (personal_bills, "COUNTS_DIFFER", (10, 1, 22_222_850, 5, 21_164)),
    "mt940_cmxl.sta": (mt940, "SERIAL_TWICE", (16, 7, 7_243_674, 9, 6_010_944)),
    "mt940_sepa_snippet.sta": (mt940, "UNBALANCED", (11, 8, 143_074_572, 3, 357_406_911)),
    "mt940_ing.sta": (mt940, "UNBALANCED", (7, 2, 468, 5, 5_027)),
    "mt940_postfinance.sta": (mt940, "UNBALANCED", (4, 3, 23_930, 1, 7_990)),
    "mt940_raiffeisen_latin1.sta": (mt940, "UNBALANCED", (7, 1, 206_663_700, 6, 307_885_050)),
    "camt053_v2_batch.xml": (camt053, "COUNTS_DIFFER", (3, 2, 768_800, 1, 475_374)),
}


def opened(form, name, checks=Checks.ALL):
    known = Known(checks=checks, is_personal=form is personal_bills)
    return form.open(io.BytesIO(content(name)), known)


@pytest.mark.parametrize("name", CUT)
def test_a_sample_that_does_not_add_up_is_refused_but_its_figures_are_exact(name):
    form, code, figures = CUT[name]

    with pytest.raises(Unreadable) as refused:
        list(opened(form, name).rows)
    assert refused.value.code == code

    entries = {}
    for row in opened(form, name, checks=Checks.ROWS_ONLY).rows:
        entries[row.position] = entries.get(row.position, 0) + row.amount_fen
    assert counted(list(entries.values())) == Declared(*figures)


@pytest.mark.parametrize(("form", "name"), [(mt940, "mt942_mbank.sta"),
                                            (camt053, "camt052_v4_pending.xml")])  # fmt: skip
def test_what_is_not_booked_stays_refused_with_the_checks_off(form, name):
    with pytest.raises(Unreadable) as refused:
        list(opened(form, name, checks=Checks.ROWS_ONLY).rows)
    assert refused.value.code == "NOT_BOOKED"


def test_eleven_rows_of_the_wechat_sample_are_between_its_owners_pockets():
    rows = list(opened(personal_bills, "wechat_personal.csv", checks=Checks.ROWS_ONLY).rows)
    assert len([row for row in rows if row.amount_fen == 0 and row.caution]) == 11


def test_reversals_of_real_files_name_their_originals():
    rows = camt053.open(io.BytesIO(content("camt053_v4_batch_reversal.xml"))).rows
    assert [row.reverses for row in rows if row.is_reversal] == [
        *("TEST002A11096JRG", "Return104A11096849", "Return005A11096C3M"),
        "INSTR-2B6C-CHDDBB5",
        "IID-1-1-160309134053s4C",
    ]
    rows = mt940.open(io.BytesIO(content("mt940_sepa_full.sta"))).rows
    assert [row.reverses for row in rows if row.is_reversal] == [None, "MSGIDCTSc03MintT"]


def test_the_trade_bill_agrees_with_its_own_footer_to_the_fen():
    rows = list(wechat_bills.open(io.BytesIO(content("wechatpay_tradebill_ALL.csv"))).rows)
    assert counted([row.amount_fen for row in rows]) == Declared(45, 31, 47, 14, 14)
    assert len({row.serial for row in rows}) == 45
