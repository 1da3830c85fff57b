"""资金总览: every number is the books', leads to the rows that explain it, and is one's own."""

import re
from collections import Counter
from datetime import date, timedelta
from html import unescape
from itertools import accumulate

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import localtime, now

from config.kit.columns import in_yuan
from payments.bills.models import ChannelDay, ChannelDifference
from payments.cashier.models import Receipt
from payments.closing.models import DayClose
from payments.ledger import services as ledger
from payments.ledger.models import Account, Entry
from payments.ledger.queries import balances, on_normal_side
from payments.ledger.rules import Draft
from payments.overview import queries
from payments.overview.rules import AGES, BY_KIND, DAYS, POTS, age_of, course, days_until
from payments.payouts.models import Payout
from tests.admin.pages import opened
from tests.admin.stage import make_side
from tests.factories import make_merchant, make_staff

pytestmark = pytest.mark.django_db
PAGE = "/admin/finance/"
TODAY = date(2026, 11, 25)


def moved(kind, fen, at, debit, credit):
    ledger.post([Draft(kind, f"{kind} {at:%m%d} {credit}", {debit: fen}, {credit: fen})], at=at)


def cards(client):
    """By title: the number on each card of the page, and where it leads."""
    return {
        card["title"]: (card["value"], card["href"])
        for part in client.get(PAGE).context["parts"]
        for card in part["cards"]
    }


# --- rules


def test_a_course_goes_backwards_from_what_there_is():
    days = days_until(TODAY)
    held = next(pot for pot in POTS if pot.name == "held")
    bank = next(pot for pot in POTS if pot.name == "bank")
    by_day = {TODAY: -100, days[5]: -30, days[6]: 20, days[0]: -7}

    told = course(held, -150, by_day, days)
    assert len(told.fen) == len(told.moved) == DAYS
    assert told.now_fen == 150
    assert [told.fen[n] for n in (-2, 6, 5, 4, 0)] == [50, 50, 70, 40, 40]
    assert told.change_fen == 110
    assert list(accumulate(told.moved[1:], initial=told.fen[0])) == list(told.fen)
    assert course(bank, 150, {TODAY: 100}, days).fen[-2:] == (50, 150)


def test_what_is_dated_ahead_is_of_today():
    days = days_until(TODAY)

    told = course(POTS[0], 50, {TODAY + timedelta(days=1): 50}, days)
    assert (told.fen[-2], told.moved[-1]) == (0, 50)


def test_every_day_has_one_age():
    assert [age_of(days) for days in (-1, 0, 1, 2, 6, 7, 29, 30, 400)] == [
        0, 0, 0, 1, 1, 2, 2, 3, 3,
    ]  # fmt: skip
    assert [age.since for age in AGES[1:]] == [age.until + 1 for age in AGES[:-1]]


# --- the numbers


def test_the_platform_sees_the_books(platform, first, second):
    at = now()
    moved("TEST", 70_00, at - timedelta(days=40), "bank:1", "guide:G1:commission")
    moved("TEST", 30_00, at - timedelta(days=4), "receivable:M1", "held:M1")

    found = {one.pot.name: one for one in queries.courses(None, at)}

    for name, one in found.items():
        codes = [kind for kind, pot in BY_KIND.items() if pot.name == name]
        assert one.now_fen == sum(sum(balances(kind).values()) for kind in codes), name
        assert list(one.fen) == [as_of(codes, day) for day in days_until(localtime(at).date())]
    assert found["guide"].fen[0] >= 70_00
    assert found["receivable"].fen[-6:-4] == (0, 30_00)
    shown = cards(opened(platform))
    assert shown["担保待放款"][0] == in_yuan(found["held"].now_fen) != "¥0.00"


def as_of(kinds, day):
    """Fen on these accounts at the end of a day in Shanghai, leg by leg."""
    entries = Entry.objects.select_related("account", "posting")
    return sum(
        on_normal_side(entry.account.code, entry.amount_fen)
        for entry in entries
        if entry.account.code.split(":")[0] in kinds and localtime(entry.posting.at).date() <= day
    )


def test_a_merchants_finance_sees_its_own_and_nobody_elses(first, second):
    client, own = opened(first.people["FINANCE"]), first.merchant.number
    before = cards(client)
    assert before["担保待放款"][0] == in_yuan(balances("held")[f"held:{own}"])
    assert before["银行存款"][0] == in_yuan(balances("bank")["bank:755900000221"])
    assert before["应退买家"][0] != "¥0.00"
    page = client.get(PAGE).content.decode()

    other = second.merchant.number
    moved("TEST", 99_00, now(), "bank:755900000332", f"held:{other}")
    moved("TEST", 99_00, now(), f"receivable:{other}", f"merchant:{other}:available")
    Payout.objects.filter(merchant=other).update(amount_fen=12_345_67)
    Receipt.objects.filter(payment__merchant=other).update(amount_fen=12_345_67, kept_fen=12_345_67)
    days = DayClose.objects.filter(receiving_account__merchant=other)
    days.update(status="DIFFERS", differences=[difference("GAP", 5_00)])

    assert cards(client) == before
    again = client.get(PAGE).content.decode()
    assert figures(again) == figures(page)
    assert "缺少流水" not in again


def figures(page):
    return re.findall(r"-?¥[\d,.]+", page)


def difference(why, fen, **more):
    return {"why": why, "fen": fen, "number": "", "text": "", "is_settled": False} | more


@pytest.mark.parametrize("who", ["OPERATOR", "BUYER", None])
def test_who_has_no_business_with_money_sees_none_of_it(who, first):
    answer = opened(first.people.get(who)).get(PAGE)

    assert answer.status_code == (403 if who == "OPERATOR" else 302)
    assert "¥" not in answer.content.decode()
    if who == "OPERATOR":
        assert "资金总览" not in opened(first.people[who]).get("/admin/").content.decode()


# --- each number and its list


def rows(client, href):
    answer = client.get(unescape(href))
    assert answer.status_code == 200, href
    return answer.context["cl"].queryset


@pytest.mark.parametrize("who", ["FINANCE", "platform"])
def test_every_number_leads_to_the_rows_that_make_it(who, first, second, platform):
    client = opened(platform if who == "platform" else first.people[who])
    page = client.get(PAGE).context

    for title, (value, href) in cards(client).items():
        found = rows(client, href)
        if found.model is Account:
            fen = sum(on_normal_side(one.code, int(one.signed_fen or 0)) for one in found)
            assert in_yuan(fen) == value, title
        elif title in {"应退款", "应退买家"}:
            assert in_yuan(sum(one.amount_fen for one in found)) == value
    for one in (*page["received"]["totals"], *page["payouts"]["totals"]):
        found = rows(client, one["href"])
        assert in_yuan(sum(row.amount_fen for row in found)) == one["value"]
        assert f"{len(found)} 笔" == one["count"]
    for _, cells in page["received"]["rows"]:
        for cell in filter(lambda cell: cell["href"], cells):
            fen = sum(row.amount_fen for row in rows(client, cell["href"]))
            assert in_yuan(fen) == cell["value"]
    assert page["received"]["names"] == ["银行转账"]
    assert page["payouts"]["names"] == ["待复核"]


def test_what_moved_a_balance_on_a_day_is_listed(platform, first):
    client = opened(platform)
    parts = client.get(PAGE).context["parts"]
    part = next(one for one in parts if "担保待放款" in one["names"])
    n = part["names"].index("担保待放款")
    (_, today), *_ = part["rows"]
    value, _ = today[n]

    # Day by day: shortly after midnight the stage's money came yesterday.
    legs = [leg for _, cells in part["rows"] for leg in rows(client, cells[n][1])]
    assert {leg.account.code.split(":")[0] for leg in legs} == {"held"}
    assert in_yuan(-sum(leg.amount_fen for leg in legs)) == value  # nothing was held before


def test_an_undone_receipt_is_no_money_that_came(first):
    client = opened(first.people["FINANCE"])
    before = Counter(figures(str(client.get(PAGE).context["received"])))
    first_one = Receipt.objects.filter(payment__merchant=first.merchant.number).earliest("pk")
    Receipt.objects.filter(pk=first_one.pk).update(undone_at=now())

    assert Counter(figures(str(client.get(PAGE).context["received"]))) != before
    (total,) = client.get(PAGE).context["received"]["totals"]
    assert f"{len(rows(client, total['href']))} 笔" == total["count"]


# --- differences


def test_differences_are_counted_by_kind_and_age(platform, first, second):
    today = localtime().date()
    day = first.rows["payments.DayClose"]
    told = [difference("GAP", -12_00), difference("GAP", 2_00), difference("IN_TRANSIT", 5_00)]
    settled = difference("NOT_POSTED", 7_00, is_settled=True)
    DayClose.objects.filter(pk=day.pk).update(
        status="DIFFERS", day=today - timedelta(days=3), differences=[*told, settled]
    )
    open_one = ChannelDifference.objects.get(pk=second.pk("payments.ChannelDifference"))
    ChannelDifference.objects.filter(pk=open_one.pk).update(
        closed_at=None, closed_by="", reason="", found_at=now() - timedelta(days=45)
    )
    ChannelDay.objects.filter(pk=open_one.channel_day_id).update(status="DIFFERS")
    client = opened(platform)

    found = {one["title"]: one for one in client.get(PAGE).context["differences"]}

    assert set(found) == {"本店没有", "缺少流水", "账上已付，流水未见"}
    gap, missing = found["缺少流水"], found["本店没有"]
    assert [count for count, _ in gap["cells"]] == [0, 2, 0, 0]
    assert (gap["source"], gap["fen"]) == ("银行", "¥14.00")
    assert list(rows(client, gap["cells"][1][1])) == [day]
    assert [count for count, _ in missing["cells"]] == [0, 0, 0, 1]
    assert list(rows(client, missing["cells"][3][1])) == [open_one]
    assert list(rows(client, missing["href"])) == [open_one]
    own = opened(first.people["FINANCE"]).get(PAGE).context["differences"]
    assert {one["title"] for one in own} == {"缺少流水", "账上已付，流水未见"}


# --- how much it asks


def test_it_costs_the_same_however_much_there_is(platform, first, second):
    client, own = opened(platform), opened(first.people["FINANCE"])

    def costs():
        counted = []
        for one in (client, own):
            one.get(PAGE)
            with CaptureQueriesContext(connection) as asked:
                one.get(PAGE)
            counted.append(len(asked))
        return counted

    before = costs()
    make_side("丁号", "755900000554")

    assert costs() == before
    assert max(before) <= 14


def test_who_has_no_money_yet_is_told_what_will_be_here(first):
    clerk = make_staff(make_merchant("新开的店"), "FINANCE")

    page = opened(clerk).get(PAGE).content.decode()

    assert "还没有资金往来" in page
    assert "<canvas" not in page
    assert "/admin/payments/statement/upload/" in page
