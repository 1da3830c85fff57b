"""The finance clerk's page: filters, and one line after the other."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from config.kit.columns import in_yuan
from payments.ledger import services as ledger
from payments.transfers import backlog, desk, pulling, queries
from payments.transfers.backlog import Asked, Sort
from payments.transfers.models import LineEvent, StatementLine
from tests.admin.pages import fingerprint, fresh, opened, url
from tests.payments.transfers.bank import arrive, booking, transfer_in

pytestmark = pytest.mark.django_db
QUEUE = url("payments.StatementLine", "queue")


@pytest.fixture
def hinted(first):
    """66.00 with the code of a payment that asks for more."""
    return first.rows["hinted"]


@pytest.fixture
def payment(first):
    return first.rows["payments.Payment"]


def read(client, **asked):
    return client.get(QUEUE, asked).content.decode()


def decide(client, line, act, answers, **asked):
    """As the page's own form sends it; the page that follows."""
    address = f"{QUEUE}?" + "&".join(
        f"{name}={value}" for name, value in {"line": line.number, "act": act, **asked}.items()
    )
    return client.post(address, answers, follow=True)


def numbers_on(text):
    return [line.number for line in StatementLine.objects.order_by("pk") if line.number in text]


def more_lines(first, count, at=None):
    account = first.rows["payments.ReceivingAccount"].account_no
    at = at or now() - timedelta(hours=1)
    rows = [
        booking(
            10_00 + n,
            remark=f"零散货款 {n}",
            payer_name=f"散客{n:03d}",
            booked_at=at + timedelta(seconds=n),
        )
        for n in range(count)
    ]
    return arrive(*rows, account_no=account, at=at)


# --- what is shown ------------------------------------------------------------------------------


def test_the_queue_shows_open_lines_and_the_first_of_them_in_full(clerk, lost, hinted):
    text = read(clerk)

    assert lost.payer_name in text
    assert "¥66.00" in text
    assert "附言（银行原文）" in text
    assert fresh(lost).reasons[0] in text


def test_a_candidate_says_what_speaks_for_it_and_what_the_difference_is(clerk, hinted, payment):
    text = read(clerk, line=hinted.number)

    assert payment.number in text
    assert payment.reference in text
    assert "核对码一致" in text
    assert f"还差 ¥{(payment.amount_fen - 66_00) / 100:.2f}" in text
    assert "小时前发起" in text


def test_a_candidate_says_that_its_buyer_says_he_has_paid(clerk, hinted, lost, payment):
    assert "买家称已转账" not in read(clerk, line=hinted.number)
    pulling.hint(payment=payment, at=datetime(2026, 6, 18, 4, 0, tzinfo=UTC))

    for asked in ({"line": hinted.number}, {"line": lost.number, "find": payment.number}):
        assert "买家称已转账（2026-06-18 12:00" in read(clerk, **asked)


def test_finance_sees_how_many_say_that_they_have_paid(clerk, first, second, payment):
    listed = url("payments.TransferIntent", "changelist") + "?said_paid=1"
    title, other = "买家称已转账，未见来账", opened(second.people["FINANCE"])
    assert title not in clerk.get("/admin/").content.decode()
    pulling.hint(payment=payment, at=now())

    assert title in clerk.get("/admin/").content.decode()
    assert payment.transfer_intent.code in clerk.get(listed).content.decode()
    assert title not in other.get("/admin/").content.decode()
    transfer_in(payment, fen=1, at=now())

    assert title not in clerk.get("/admin/").content.decode()
    assert payment.transfer_intent.code not in clerk.get(listed).content.decode()


def test_a_candidate_that_is_paid_already_says_that_all_is_owed_back(clerk, first, hinted, payment):
    paid = queries.Payment.objects.get(reference=first.rows["shop.Order"].number)
    noted = {"payment": paid.number, "order": "", "score": 9, "why": "", "why_not": "金额不符"}
    StatementLine.objects.filter(pk=hinted.pk).update(candidates=[noted])
    text = read(clerk, line=hinted.number)

    assert "全部转为应退款" in text
    assert "金额不符" in text


def test_a_clerk_finds_a_payment_by_buyer_order_code_or_amount(clerk, lost, payment):
    for find in (
        payment.number,
        payment.reference,
        payment.transfer_intent.code,
        payment.payer.nickname,
        f"{payment.amount_fen / 100:.2f}",
    ):
        text = read(clerk, line=lost.number, find=find)
        assert payment.number in text, find

    assert payment.number not in read(clerk, line=lost.number, find="没有这个人")


def test_another_merchants_line_and_payment_are_not_there(clerk, second):
    other = second.rows["payments.StatementLine"]
    text = read(clerk, line=other.number, find=second.rows["payments.Payment"].number)

    assert "没有这笔来账" in text
    assert second.rows["payments.Payment"].reference not in text
    assert "乙号" not in text


def test_who_is_not_of_finance_sees_no_queue(first):
    assert opened(first.people["OPERATOR"]).get(QUEUE).status_code == 403
    assert opened(first.people["OWNER"]).get(QUEUE).status_code == 200


# --- narrowing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"verdict": "SUGGESTED"}, "hinted"),
        ({"verdict": "UNMATCHED"}, "lost"),
        ({"verdict": "没有这个"}, "lost hinted"),
        ({"least": "70"}, "lost"),
        ({"most": "70.00"}, "hinted"),
        ({"least": "一百"}, "lost hinted"),
        ({"q": "路人"}, "lost"),
        ({"q": "茶叶 陌生人"}, "hinted"),
        ({"q": "%"}, ""),
        ({"age": "today"}, "lost hinted"),
        ({"age": "7+"}, ""),
        ({"account": "755900000332"}, ""),
        ({"account": "755900000221", "sort": "largest"}, "lost hinted"),
    ],
)
def test_filters_leave_what_was_asked_for(clerk, lost, hinted, asked, shown):
    at = now()
    StatementLine.objects.filter(pk__in=[lost.pk, hinted.pk]).update(booked_at=at)
    text = read(clerk, **asked)

    assert (lost.payer_name in text) == ("lost" in shown)
    assert (hinted.payer_name in text) == ("hinted" in shown)


def test_tabs_count_what_is_behind_them(first, clerk, lost):
    lines = StatementLine.objects.seen_by(first.people["FINANCE"])
    at = now()
    StatementLine.objects.filter(pk=lost.pk).update(booked_at=at - timedelta(days=9))

    all_counts = backlog.counts(lines, Asked(), at)
    old_ones = backlog.counts(lines, Asked(age="7+"), at)
    rich_ones = backlog.counts(lines, Asked(least_fen=70_00), at)

    assert (all_counts[""], all_counts["SUGGESTED"], all_counts["UNMATCHED"]) == (3, 2, 1)
    assert (all_counts["3+"], all_counts["7+"]) == (1, 1)
    assert (old_ones[""], old_ones["SUGGESTED"], old_ones["7+"]) == (1, 0, 1)
    assert rich_ones[""] == 1


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_follow_each_other_without_gap_or_repetition(first, sort):
    more_lines(first, 9)
    StatementLine.objects.update(booked_at=now())  # many of one moment: the key decides
    lines, at = StatementLine.objects.seen_by(first.people["FINANCE"]), now()
    asked = Asked(sort=sort)
    whole = [line.number for line in backlog.page(lines, asked, at, limit=100).lines]

    forwards, page = [], backlog.page(lines, asked, at, limit=5)
    assert not page.has_before
    while True:
        forwards += [line.number for line in page.lines]
        if not page.has_after:
            break
        page = backlog.page(lines, asked, at, after=forwards[-1], limit=5)
    back = backlog.page(lines, asked, at, before=whole[7], limit=5)

    assert forwards == whole
    assert len(whole) == 12
    assert [line.number for line in back.lines] == whole[2:7]
    assert (back.has_before, back.has_after) == (True, True)


def test_the_page_after_a_line_that_was_decided_meanwhile_is_still_there(first, lost):
    more_lines(first, 3)
    person = first.people["FINANCE"]
    desk.ignore(line=lost, reason="无关", actor=person.number, at=now())
    lines = StatementLine.objects.seen_by(person)

    after = backlog.page(lines, Asked(), now(), after=lost.number).lines
    assert lost.number not in [line.number for line in after]
    assert all(line.booked_at >= lost.booked_at for line in after)
    assert len(after) >= 3


def test_the_page_costs_the_same_however_long_the_queue(clerk, first, lost):
    def cost():
        with CaptureQueriesContext(connection) as asked:
            read(clerk, line=lost.number)
        return len(asked)

    cost()
    short = cost()
    more_lines(first, 60)

    assert cost() == short
    assert short <= 32


# --- deciding -----------------------------------------------------------------------------------


def test_assigning_asks_once_and_then_shows_the_next_line(clerk, first, hinted, payment):
    asked = read(clerk, line=hinted.number, act="assign", payment=payment.number)
    assert "确认核销" in asked
    assert fresh(hinted).verdict == "SUGGESTED"

    page = decide(
        clerk, hinted, "assign", {"payment": payment.number}, payment=payment.number, sort="largest"
    )
    asked_next = parse_qs(urlsplit(page.redirect_chain[-1][0]).query)
    following = StatementLine.objects.get(number=asked_next["line"][0])

    assert fresh(hinted).verdict == "MATCHED"
    assert fresh(payment).received_fen == 66_00
    assert following.verdict in {"UNMATCHED", "SUGGESTED"}
    assert asked_next["sort"] == ["largest"]
    assert LogEntry.objects.latest("pk").object_id == str(hinted.pk)
    assert ledger.audit() == []


def test_a_line_is_split_over_a_payment_and_an_order(clerk, first, lost, payment):
    other = queries.Payment.objects.get(reference=first.rows["sent"].number)
    shares = {
        "number_1": payment.number,
        "fen_1": "70.00",
        "number_2": other.reference,
        "fen_2": "7.00",
    }
    page = decide(clerk, lost, "split", shares)

    assert fresh(lost).verdict == "MATCHED"
    assert {one.payment_id: one.amount_fen for one in lost.allocations.all()} == {
        payment.pk: 70_00,
        other.pk: 7_00,
    }
    assert "拆分核销" in page.content.decode()
    assert ledger.audit() == []


@pytest.mark.parametrize(("named", "rows"), [(0, 5), (7, 7), (10, 10), (12, 10)])
def test_a_split_has_a_row_for_each_candidate(clerk, lost, named, rows):
    names = [{"payment": f"P{n}", "order": "D1", "score": 1, "why": ""} for n in range(named)]
    StatementLine.objects.filter(pk=lost.pk).update(candidates=names)

    text = read(clerk, line=lost.number, act="split")

    assert f'name="number_{rows}"' in text
    assert f'name="number_{rows + 1}"' not in text


def test_the_money_of_a_seventh_row_is_given(clerk, first, lost, payment):
    names = [{"payment": f"P{n}", "order": "D1", "score": 1, "why": ""} for n in range(7)]
    StatementLine.objects.filter(pk=lost.pk).update(candidates=names)
    other = queries.Payment.objects.get(reference=first.rows["sent"].number)

    shares = {
        "number_1": payment.number,
        "fen_1": "70.00",
        "number_7": other.number,
        "fen_7": "7.00",
    }
    decide(clerk, lost, "split", shares)

    assert {one.payment_id: one.amount_fen for one in lost.allocations.all()} == {
        payment.pk: 70_00,
        other.pk: 7_00,
    }


def test_what_nobody_claimed_for_75_days_is_listed_and_can_be_returned(clerk, first, lost, hinted):
    def card():
        cards = clerk.get("/admin/").context["cards"]
        return next(one for one in cards if one["title"] == "75 天未认领")

    def booked(**ago):
        StatementLine.objects.filter(pk=lost.pk).update(booked_at=now() - timedelta(**ago))

    for ago in ({"days": 74}, {"days": 74, "hours": 23, "minutes": 59}):
        booked(**ago)
        assert card()["value"] == 0
        assert lost.number not in read(clerk, age="75+")

    booked(days=75)
    assert card()["value"] == 1
    page = clerk.get(card()["href"]).content.decode()
    assert numbers_on(page) == [lost.number]
    assert f"line={lost.number}&amp;act=return" in page

    decide(clerk, lost, "ignore", {"reason": "股东借款"})
    assert card()["value"] == 0
    decide(clerk, lost, "undo", {"reason": "看错了"})
    assert card()["value"] == 1
    decide(clerk, lost, "return", {"amount": "", "reason": "无人认领"})
    assert (fresh(lost).verdict, card()["value"]) == ("RETURNING", 0)


def test_the_split_begins_with_the_candidates(clerk, hinted, payment):
    text = read(clerk, line=hinted.number, act="split")

    assert f'value="{payment.number}"' in text
    assert 'value="66.00"' in text


@pytest.mark.parametrize(
    ("act", "answers", "said"),
    [
        ("split", {"fen_1": "77.00"}, "必填"),
        ("split", {"number_1": "PNOSUCHNUMBER", "fen_1": "77.00"}, "支付单不存在"),
        (
            "split",
            {"number_1": "PA", "fen_1": "1.00", "number_2": "PA", "fen_2": "2.00"},
            "填写一次",
        ),
        ("assign", {"payment": "PNOSUCHNUMBER"}, "支付单不存在"),
        ("ignore", {"reason": ""}, "必填"),
        ("return", {"reason": ""}, "必填"),
        ("note", {"text": ""}, "必填"),
        ("undo", {}, "没有可以撤销的核销"),
    ],
)
def test_what_is_refused_is_said_beside_what_was_typed(clerk, lost, act, answers, said):
    before = fingerprint()
    page = decide(clerk, lost, act, answers)

    assert said in page.content.decode()
    assert fingerprint() == before
    for typed in answers.values():
        assert not typed or f'value="{typed}"' in page.content.decode()


def test_a_clerk_says_what_a_reversal_took_back(clerk, first, second, lost):
    (reversal,) = arrive(
        booking(-lost.amount_fen, is_reversal=True, remark="冲正", booked_at=now()),
        account_no=first.rows["payments.ReceivingAccount"].account_no,
        at=now(),
    )
    text = read(clerk, line=reversal.number)
    assert "可能被冲正的来账" in text
    assert f"act=reverse&amp;original={lost.number}" in text
    other = second.rows["payments.StatementLine"]
    assert f"original={other.number}" not in read(clerk, line=reversal.number, find=other.number)

    wrong = decide(clerk, reversal, "reverse", {"original": other.number, "reason": "回单"})
    assert "没有这笔来账" in wrong.content.decode()
    assert fresh(reversal).verdict == "CONFLICT"
    asked = read(clerk, line=reversal.number, act="reverse", original=lost.number)
    assert f'value="{lost.number}"' in asked
    decide(clerk, reversal, "reverse", {"original": lost.number, "reason": "回单"})

    assert {fresh(one).verdict for one in (lost, reversal)} == {"REVERSED"}
    told = LineEvent.objects.get(line=reversal, kind="REVERSED")
    assert (told.actor, told.facts["reason"]) == (first.people["FINANCE"].number, "回单")
    assert ledger.audit() == []


def test_ignoring_offers_to_undo_and_undoing_brings_the_line_back(clerk, lost):
    page = decide(clerk, lost, "ignore", {"reason": "内部调拨"})
    text = page.content.decode()
    undo = f"line={lost.number}&amp;act=undo"
    assert (fresh(lost).verdict, fresh(lost).reasons) == ("IGNORED", ["内部调拨"])
    assert undo in text

    later = read(clerk)  # the message is gone, the offer is not
    assert undo in later
    said = f"不处理 {in_yuan(lost.amount_fen)}　<b>剩余 {in_yuan(0)}</b>"
    assert said in read(clerk, line=lost.number)

    back = decide(clerk, lost, "undo", {"reason": "看错了"})
    assert fresh(lost).verdict == "UNMATCHED"
    assert lost.payer_name in back.content.decode()
    assert undo not in read(clerk)


def test_only_ones_own_last_decision_is_offered_for_undoing(clerk, first, lost, hinted):
    decide(clerk, lost, "ignore", {"reason": "内部调拨"})
    owner = opened(first.people["OWNER"])

    assert 'class="wb-last"' not in read(owner)
    assert 'class="wb-last"' in read(clerk, line=hinted.number)


def test_a_note_is_kept_beside_the_line_and_decides_nothing(clerk, first, lost):
    page = decide(clerk, lost, "note", {"text": "已电话联系，明天回复"})

    assert "已电话联系，明天回复" in page.content.decode()
    assert fresh(lost).verdict == "UNMATCHED"
    event = LineEvent.objects.get(line=lost, kind="NOTE")
    assert event.actor == first.people["FINANCE"].number


def test_after_the_last_line_the_queue_says_that_nothing_waits(clerk):
    lines = list(
        StatementLine.objects.filter(verdict__in=queries.OPEN, number__in=numbers_on(read(clerk)))
    )
    mine = [line for line in lines if line.receiving_account.account_no == "755900000221"]
    for line in mine:
        page = decide(clerk, line, "ignore", {"reason": "清理"})

    assert "没有待处理的流水" in page.content.decode()


def test_what_is_not_shared_out_waits_or_goes_back(clerk, first, lost, payment):
    shares = {"number_1": payment.number, "fen_1": "70.00", "rest": "returned"}
    page = decide(clerk, lost, "split", shares)

    assert "act=return" in page.redirect_chain[-1][0]
    assert "剩余 ¥7.00" in page.content.decode()
    assert 'value="7.00"' in page.content.decode()
    assert (fresh(lost).verdict, fresh(lost).allocated_fen) == ("UNMATCHED", 70_00)

    decide(clerk, lost, "return", {"amount_fen": "7.00", "reason": "多付"})
    assert fresh(lost).verdict == "RETURNING"
    assert lost.returns.get().amount_fen == 7_00
    assert ledger.audit() == []


def test_a_part_goes_back_and_the_rest_is_still_the_clerks(clerk, lost):
    decide(clerk, lost, "return", {"amount_fen": "7.00", "reason": "多付"})

    asked = lost.returns.get()
    assert (asked.amount_fen, asked.reason, asked.status) == (7_00, "多付", "SENDING")
    assert "剩余 ¥70.00" in read(clerk, line=lost.number)
