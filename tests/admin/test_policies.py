"""How far matching goes without a person: who may say so, what is refused, and what is kept."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from config.kit.numbers import ALPHABET
from payments.transfers import desk, policies, trial
from payments.transfers.models import Policy, ShadowVerdict, StatementLine
from tests.admin.pages import fingerprint, opened, url
from tests.factories import NOON
from tests.payments.transfers.bank import account, arrive, booking

pytestmark = pytest.mark.django_db
ADD, TRIAL = url("payments.Policy", "add"), url("payments.Policy", "trial")
TYPED = {
    "rungs_off": ["T4"],
    "rungs_on": [],
    "automatic_up_to_fen": "5000.00",
    "fee_up_to_fen": "0",
    "check_above_fen": "20000",
    "reopens_within_days": "7",
}


@pytest.fixture
def clerk(first):
    return opened(first.people["FINANCE"])


@pytest.fixture
def policy(first):
    return policies.change(merchant=first.merchant.number, values={"rungs_off": ["T2b"]}, at=NOON)


def test_finance_sets_its_own_merchants_policy_in_yuan(clerk, first):
    text = clerk.get(ADD).content.decode()
    clerk.post(ADD, {"merchant": first.merchant.number, **TYPED})
    policy = Policy.objects.get()

    assert "付款账号曾为该买家付款" in text
    assert (policy.merchant, policy.rungs_off) == (first.merchant.number, ["T4"])
    assert (policy.automatic_up_to_fen, policy.fee_up_to_fen) == (5_000_00, 0)
    assert policy.check_above_fen == 20_000_00


def test_a_change_is_kept_with_the_old_and_the_new_value(clerk, policy):
    page = clerk.post(url("payments.Policy", "change", policy.pk), TYPED, follow=True)
    policy.refresh_from_db()
    said = LogEntry.objects.latest("pk").get_change_message()

    assert page.status_code == 200
    assert policy.rungs_off == ["T4"]
    assert "停用的规则 T2b → T4" in said
    assert "退回需复核 ¥10,000.00 → ¥20,000.00" in said
    assert said in clerk.get(url("payments.Policy", "history", policy.pk)).content.decode()


@pytest.mark.parametrize(
    "typed",
    [
        {"rungs_off": ["T99"]},
        {"rungs_on": ["T1a"]},
        {"reopens_within_days": "400"},
        {"fee_up_to_fen": "9999"},
        {"check_above_fen": "-1"},
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_changes(clerk, policy, typed):
    before = fingerprint()
    clerk.post(url("payments.Policy", "change", policy.pk), TYPED | typed)

    assert fingerprint() == before


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"rungs_off": ["T99"]}, policies.UnknownRung),
        ({"rungs_on": ["T1a"]}, policies.UnknownRung),
        ({"version": "1999.1"}, policies.UnknownVersion),
        ({"shadow": "1999.1"}, policies.UnknownVersion),
        ({"fee_up_to_fen": 500_01}, policies.OutOfBounds),
        ({"reopens_within_days": 91}, policies.OutOfBounds),
    ],
)
def test_the_service_knows_its_rungs_versions_and_bounds(db, values, refusal):
    with pytest.raises(refusal):
        policies.change(merchant="M1", values=values, at=NOON)

    assert not Policy.objects.exists()


def test_another_merchants_policy_and_the_default_are_not_theirs(clerk, second, policy):
    other = policies.change(merchant=second.merchant.number, values={}, at=NOON)
    default = policies.change(merchant="", values={}, at=NOON)
    before = fingerprint()

    for row in (other, default):
        assert clerk.post(url("payments.Policy", "change", row.pk), TYPED).status_code == 302
    clerk.post(ADD, {"merchant": second.merchant.number, **TYPED})
    clerk.post(ADD, {"merchant": "", **TYPED})

    assert fingerprint() == before


def test_only_the_platform_chooses_the_version_and_the_default(clerk, platform, policy):
    address = url("payments.Policy", "change", policy.pk)
    clerk.post(address, TYPED | {"version": "2026.11", "shadow": "2026.12"})
    policy.refresh_from_db()
    assert (policy.version, policy.shadow) == ("", "")

    typed = TYPED | {"version": "2026.11", "shadow": "2026.12", "untried": "银行升级，先退回旧版"}
    opened(platform).post(address, typed)
    policy.refresh_from_db()
    assert (policy.version, policy.shadow) == ("2026.11", "2026.12")

    opened(platform).post(ADD, {"merchant": "", **TYPED, "version": "", "shadow": ""})
    assert Policy.objects.filter(merchant="").exists()


# --- a version is tried before it is in force ---------------------------------------------------

OLD = "2026.11"  # than what is in force


def lines_of(merchant, count, *, at=NOON):
    own = account(f"7559{merchant[-8:].translate(DIGITS)}", merchant=merchant)
    rows = [booking(n, booked_at=at) for n in range(1, count + 1)]
    return arrive(*rows, account_no=own.account_no, at=at)


DIGITS = {ord(sign): str(n % 10) for n, sign in enumerate(ALPHABET)}


def try_on(lines, version=OLD, *, at=NOON):
    ShadowVerdict.objects.bulk_create(
        ShadowVerdict(line=line, version=version, verdict="UNMATCHED", at=at) for line in lines
    )


def switch(merchant, at=NOON, **more):
    return policies.change(merchant=merchant, values={"version": OLD}, at=at, **more)


def test_a_version_that_was_not_tried_is_refused_and_nothing_changes(first):
    merchant = first.merchant.number
    lines_of(merchant, 3)

    with pytest.raises(policies.Untried, match="试运行") as refused:
        switch(merchant)

    assert OLD in str(refused.value)
    assert not Policy.objects.exists()


def test_after_a_hundred_lines_it_may_be_switched_on(first):
    merchant = first.merchant.number
    lines = lines_of(merchant, 101)
    try_on(lines[:99])
    with pytest.raises(policies.Untried):
        switch(merchant)
    try_on(lines[99:100])

    assert switch(merchant).version == OLD


def test_lines_of_another_merchant_are_no_trial_of_ones_own(first, second):
    try_on(lines_of(second.merchant.number, 100))
    lines_of(first.merchant.number, 1)

    with pytest.raises(policies.Untried):
        switch(first.merchant.number)
    assert switch(second.merchant.number).version == OLD


def test_where_few_lines_come_seven_days_of_all_of_them_are_enough(first):
    merchant, day = first.merchant.number, timedelta(days=1)
    lines = lines_of(merchant, 2)
    try_on(lines)
    with pytest.raises(policies.Untried):
        switch(merchant, NOON + 6 * day)
    (missed,) = lines_of(merchant, 1, at=NOON + 5 * day)
    with pytest.raises(policies.Untried):
        switch(merchant, NOON + 8 * day)
    try_on([missed], at=NOON + 5 * day)

    assert switch(merchant, NOON + 8 * day).version == OLD


def test_what_was_in_force_may_be_gone_back_to(first):
    merchant = first.merchant.number
    StatementLine.objects.filter(pk__in=[one.pk for one in lines_of(merchant, 100)]).update(
        rule_version=OLD
    )

    assert switch(merchant).version == OLD


def test_a_new_row_begins_with_everybodys_version(first):
    switch("", untried="旧版")

    policy = policies.change(merchant=first.merchant.number, values={"rungs_off": []}, at=NOON)

    assert policy.version == OLD


def test_the_platform_may_say_why_it_was_not_tried_and_that_is_kept(platform, policy):
    client, address = opened(platform), url("payments.Policy", "change", policy.pk)
    page = client.post(address, TYPED | {"version": OLD}, follow=True)
    assert "试运行了 0 笔" in page.content.decode()
    policy.refresh_from_db()
    assert policy.version == ""

    client.post(address, TYPED | {"version": OLD, "untried": "银行换了格式"})

    policy.refresh_from_db()
    assert policy.version == OLD
    said = LogEntry.objects.latest("pk").get_change_message()
    assert "规则版本 — → 2026.11" in said
    assert "未经试运行直接启用的原因 — → 银行换了格式" in said


# --- rules on trial -----------------------------------------------------------------------------


def shadowed(line, payments, *, rule="T4", verdict="MATCHED"):
    return ShadowVerdict.objects.create(
        line=line, version="2027.1", verdict=verdict, rule=rule, payments=payments, at=NOON
    )


def test_the_report_counts_what_the_trial_would_have_got_right_and_wrong(first):
    person, payment = first.people["FINANCE"], first.rows["payments.Payment"]
    hinted, lost = first.rows["hinted"], first.rows["payments.StatementLine"]
    automatic = StatementLine.objects.filter(verdict="MATCHED", decided_by="").earliest("pk")
    paid = automatic.allocations.get().payment.number
    desk.assign(
        line=hinted,
        shares={payment.number: 66_00},
        payments=type(payment).objects.all(),
        actor=person.number,
        at=NOON,
    )
    shadowed(hinted, [payment.number])
    shadowed(lost, [payment.number], rule="T7")
    shadowed(automatic, [paid], rule="T1a")

    told = trial.report(person, "2027.1")

    assert told.shadow.all.automatic == 3
    assert (told.shadow.by_rule["T4"].right, told.shadow.by_rule["T4"].wrong) == (1, 0)
    assert told.live.all.automatic == 1
    assert {one.line for one in told.differ} == {hinted.number, lost.number}

    desk.ignore(line=lost, reason="无关", actor=person.number, at=NOON)
    assert trial.report(person, "2027.1").shadow.by_rule["T7"].wrong == 1


def test_the_page_shows_the_lines_that_differ_with_links(clerk, first, second):
    shadowed(first.rows["hinted"], ["PWOULDPAY"])
    shadowed(second.rows["hinted"], ["PNOTOURS"])
    text = clerk.get(TRIAL).content.decode()

    assert "2027.1" in text
    assert f"?line={first.rows['hinted'].number}" in text
    assert "自动核销 PWOULDPAY" in text
    assert "PNOTOURS" not in text
    assert second.rows["hinted"].number not in text


def test_without_a_trial_the_page_says_how_to_begin_one(clerk, first):
    assert "还没有试运行的结论" in clerk.get(TRIAL).content.decode()
