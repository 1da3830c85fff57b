"""The finance clerk's page: the queue on the left, the chosen line and its candidates beside it.

One address shows everything: the query string names the filters, the chosen line and what is
about to be done with it, so that links and forms are enough and every state can be sent to a
colleague.  The script (`workbench.js`) only presses links and buttons that are on the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.timezone import now

from config.kit.admin import Look, Question, name_of
from config.kit.columns import in_shanghai, in_yuan, label
from config.kit.errors import Refusal
from payments.cashier.models import Payment
from payments.cashier.rules import Status
from payments.receiving.models import ReceivingAccount
from payments.transfers import backlog, queries
from payments.transfers.acts import ACTS, OFTEN, RETURNED, Act
from payments.transfers.backlog import Age, Sort
from payments.transfers.models import Allocation, LineEvent, LineReturn, StatementLine
from payments.transfers.rules import OPEN, ReturnStatus, Verdict
from payments.transfers.visit import Visit, kept, plain
from payments.transfers.words import EVENTS, RETURN_COLOURS, VERDICT_COLOURS, basis, told

LAST = "siyu_last_decided"  # in the session: the number of the line whose decision `u` undoes
_TABS = {"verdict", "age", "sort"}  # always on the page: what 清除 leaves
FOUND = 6  # payments shown to a clerk who searches


def show(admin: Look, request: HttpRequest) -> HttpResponse:
    """The page; with POST the act that it asked about, and then the next line."""
    visit = Visit(admin, request, now())
    chosen = visit.line(request.GET.get("line", ""))
    act = ACTS.get(request.GET.get("act", ""))
    question = None
    if chosen is not None and act is not None:
        question = act.question(
            request.POST if request.method == "POST" else None, row=chosen, request=request
        )
        if request.method == "POST" and question.is_valid():
            try:
                done = _decide(visit, act, chosen, question)
            except Refusal as refusal:
                chosen.refresh_from_db()
                question.add_error(None, str(refusal))
            else:
                return HttpResponseRedirect(_onward(visit, act, chosen, done, question))
    return _page(visit, chosen, act, question)


# --- acting -------------------------------------------------------------------------------------


@transaction.atomic
def _decide(visit: Visit, act: Act, line: StatementLine, question: Question) -> object:
    """What the service answers; of what it refuses nothing is written, not even in the log."""
    done = act.do(line, question.cleaned_data, visit.person, visit.at)
    visit.admin.log_change(visit.request, line, question.told(act.title))
    return done


def _onward(visit: Visit, act: Act, line: StatementLine, done: object, question: Question) -> str:
    """The next line of the queue, with the same filters; a line that still waits stays."""
    line.refresh_from_db()
    _say(visit, act, line, done)
    still_waits = line.verdict in OPEN
    if still_waits and question.cleaned_data.get("rest") == RETURNED:
        return visit.home(line=line.number, act="return")
    if still_waits or act.name == "note":
        return visit.home(line=line.number)
    following = backlog.following(visit.mine, visit.asked, visit.at, line=line)
    return visit.home(line=following.number) if following else visit.home()


def _say(visit: Visit, act: Act, line: StatementLine, done: object) -> None:
    """What was done, and how to take it back."""
    end = "已完成"
    if isinstance(done, LineReturn):
        asked = done.status == ReturnStatus.ASKED
        end = f"{in_yuan(done.amount_fen)} {'已提交，等待另一人复核' if asked else '已提交银行'}"
    said: str = f"{act.title}：{line.payer_name or line.number} {in_yuan(line.amount_fen)}　{end}"
    if act.name in {"assign", "split", "ignore", "take_in"} and queries.actions(line)["undo"]:
        visit.request.session[LAST] = line.number
        undo = visit.home(line=line.number, act="undo")
        said = format_html('{}　<a class="wb-undo" href="{}">撤销 <kbd>u</kbd></a>', said, undo)
    elif act.name == "undo":
        visit.request.session.pop(LAST, None)
    visit.admin.message_user(visit.request, said, messages.SUCCESS)


# --- the page -----------------------------------------------------------------------------------


def _page(
    visit: Visit, chosen: StatementLine | None, act: Act | None, question: Question | None
) -> HttpResponse:
    asked, at = visit.asked, visit.at
    place = visit.request.GET
    page = backlog.page(
        visit.mine, asked, at, after=place.get("after", ""), before=place.get("before", "")
    )
    is_open = chosen is not None
    if chosen is None and page.lines:
        chosen = page.lines[0]
    context = {
        **visit.admin.admin_site.each_context(visit.request),
        "title": "待处理流水",
        "is_fullwidth": "1",
        "is_open": is_open,
        "missing": bool(visit.request.GET.get("line")) and not is_open,
        "filters": _filters(visit),
        **_tabs(visit),
        "rows": _rows(visit, page.lines, chosen),
        "newer": page.has_before and page.lines and _turn(visit, before=page.lines[0].number),
        "older": page.has_after and page.lines and _turn(visit, after=page.lines[-1].number),
        "list_link": visit.link(),
        "last": _last(visit, chosen),
        "detail": _detail(visit, chosen, act, question) if chosen is not None else None,
    }
    return TemplateResponse(visit.request, "admin/payments/queue.html", context)


def _turn(visit: Visit, **place: str) -> str:
    return f"?{urlencode(kept(visit.asked) | place)}"


def _filters(visit: Visit) -> dict[str, Any]:
    asked = visit.asked
    accounts = ReceivingAccount.objects.seen_by(visit.person).order_by("account_no")[:200]
    said = kept(asked)
    return {
        "said": said,
        "accounts": list(accounts),
        "sorts": Sort.choices,
        "is_set": bool(said.keys() - _TABS),
        "clear": f"?{urlencode({name: said[name] for name in said.keys() & _TABS})}",
    }


def _tabs(visit: Visit) -> dict[str, Any]:
    asked = visit.asked
    counts = backlog.counts(visit.mine, asked, visit.at)

    def tab(name: str, value: str, title: str, count: int | None) -> dict[str, Any]:
        others = {key: said for key, said in kept(asked).items() if key != name}
        return {
            "title": title,
            "count": count,
            "link": f"?{urlencode(others | ({name: value} if value else {}))}",
            "is_on": getattr(asked, name) == value,
        }

    verdicts = [("", "全部"), *((str(one), one.label) for one in OPEN)]
    ages = [(str(one), one.label) for one in Age]
    return {
        "total": counts[""] if not asked.verdict else counts[asked.verdict],
        "tabs": [tab("verdict", value, title, counts[value]) for value, title in verdicts],
        "ages": [
            tab("age", "", "不限时间", None),
            *(tab("age", value, title, counts[value]) for value, title in ages),
        ],
    }


def _rows(
    visit: Visit, lines: Sequence[StatementLine], chosen: StatementLine | None
) -> list[dict[str, Any]]:
    read = queries.sight(lines, visit.person)
    return [_row(visit, line, read.reasons(line), chosen) for line in lines]


def _row(
    visit: Visit, line: StatementLine, reasons: Sequence[str], chosen: StatementLine | None
) -> dict[str, Any]:
    return {
        "line": line,
        "amount": in_yuan(queries.left_fen(line) if line.is_posted else line.amount_fen),
        "verdict": verdict_label(line),
        "age": ago(line.booked_at, visit.at),
        "is_late": (visit.at - line.booked_at).days >= 3,
        "reason": reasons[0] if reasons else "",
        "link": visit.link(line=line.number),
        "is_chosen": chosen is not None and chosen.pk == line.pk,
    }


def _last(visit: Visit, chosen: StatementLine | None) -> dict[str, str] | None:
    """What this person decided last, while it can be undone and is not on the page itself."""
    number = visit.request.session.get(LAST, "")
    line = visit.line(number)
    if line is None or line == chosen or line.decided_by != visit.person.number:
        return None
    if not queries.actions(line)["undo"]:
        return None
    return {
        "title": f"{line.payer_name or line.number} {in_yuan(line.amount_fen)}",
        "link": visit.link(line=line.number, act="undo"),
    }


def _detail(
    visit: Visit, line: StatementLine, act: Act | None, question: Question | None
) -> dict[str, Any]:
    may, left = may_now(line), queries.left_fen(line)
    read = queries.sight([line], visit.person)
    find = visit.request.GET.get("find", "").strip()
    return {
        "line": line,
        "amount": in_yuan(line.amount_fen),
        "left": in_yuan(left) if line.is_posted and left != line.amount_fen else "",
        "given": in_yuan(line.allocated_fen) if line.allocated_fen else "",
        "returned": in_yuan(line.returned_fen) if line.returned_fen else "",
        "set_aside": in_yuan(line.set_aside_fen) if line.set_aside_fen else "",
        "left_plain": plain(left),
        "verdict": verdict_label(line),
        "reasons": read.reasons(line),
        "basis": basis(read.facts(line)),
        "is_waiting": line.verdict in OPEN,
        "booked": in_shanghai(line.booked_at),
        "age": ago(line.booked_at, visit.at),
        "others": [text for text in dict.fromkeys(line.texts) if text and text != line.remark],
        "may": may,
        "acts": [
            {"act": one, "link": visit.link(line=line.number, act=one.name)}
            for one in ACTS.values()
            if one.key and may[one.may]
        ],
        "act": act if question is not None else None,
        "question": question,
        "often": OFTEN,
        "ask": _asking(visit, line, act) if question is not None and act is not None else None,
        "cancel": visit.link(line=line.number),
        "find": find,
        "where": visit.where,
        "candidates": candidates(visit, line, find) if may["match"] else [],
        "originals": _originals(visit, line, find) if may["reverse"] else [],
        "paid": _paid(line),
        "returns": _returns(line),
        "history": _history(line),
    }


def may_now(line: StatementLine) -> dict[str, bool]:
    return {**queries.actions(line), "note": True}


def _asking(visit: Visit, line: StatementLine, act: Act) -> dict[str, Any]:
    """What is about to happen, in words; for one payment also what becomes of its amount."""
    number = visit.request.POST.get("payment") or visit.request.GET.get("payment", "")
    if act.name != "assign":
        return {"lead": act.lead}
    seen = (
        queries.assignable(visit.person)
        .filter(number=number)
        .select_related("payer", "transfer_intent")
    )
    payment = seen.first()
    if payment is None:
        return {"lead": "请先选择一张支付单。"}
    return {"lead": "", "to": _compared(line, payment, visit.at)}


def _paid(line: StatementLine) -> list[dict[str, Any]]:
    live = Allocation.objects.filter(line=line, undone_at=None).select_related("payment")
    return [
        {"payment": one.payment, "amount": in_yuan(one.amount_fen)} for one in live.order_by("pk")
    ]


def _returns(line: StatementLine) -> list[dict[str, Any]]:
    rows = LineReturn.objects.filter(line=line).annotate(asker=name_of("asked_by"))
    return [
        {
            "return": one,
            "amount": in_yuan(one.amount_fen),
            "status": label(
                one.get_status_display(), RETURN_COLOURS.get(ReturnStatus(one.status), "")
            ),
            "asker": one.asker or one.asked_by,
        }
        for one in rows.order_by("-pk")
    ]


def _history(line: StatementLine) -> list[dict[str, Any]]:
    """The newest first; who did it by name."""
    events = LineEvent.objects.filter(line=line).annotate(who=name_of("actor"))
    return [
        {
            "at": in_shanghai(event.at),
            "kind": EVENTS.get(event.kind, event.kind),
            "who": event.who or event.actor or "系统",
            "told": told(event),
        }
        for event in events.order_by("-pk")[:12]
    ]


def verdict_label(line: StatementLine) -> str:
    return label(line.get_verdict_display(), VERDICT_COLOURS.get(Verdict(line.verdict), ""))


def ago(then: datetime, at: datetime) -> str:
    minutes = max(0, int((at - then).total_seconds()) // 60)
    if minutes < 60:
        return f"{minutes} 分钟"
    if minutes < 24 * 60:
        return f"{minutes // 60} 小时"
    return f"{minutes // 1440} 天"


# --- candidates ---------------------------------------------------------------------------------


def candidates(visit: Visit, line: StatementLine, find: str = "") -> list[dict[str, Any]]:
    """Payments the line may be for that this person may see, the likeliest first, numbered.

    Ranked anew against what is unpaid now; with `find`, what the clerk searched for instead.
    """
    seen = queries.assignable(visit.person).filter(method=queries.METHOD)
    if find:
        payments = list(
            _searched(seen, find).select_related("payer", "transfer_intent").order_by("-pk")[:FOUND]
        )
        notes: Mapping[str, Mapping[str, Any]] = {}
    else:
        ranked = [asdict(one) for one in queries.candidates(line, visit.person)]
        noted = {one["payment"]: one for one in line.candidates}
        notes = {one["payment"]: noted.get(one["payment"], {}) | one for one in ranked}
        notes = {**notes, **{name: one for name, one in noted.items() if name not in notes}}
        rows = seen.filter(number__in=list(notes)).select_related("payer", "transfer_intent")
        found = {row.number: row for row in rows}
        payments = [found[number] for number in notes if number in found]
    shown = [
        _compared(line, payment, visit.at)
        | {
            "why": _words(notes.get(payment.number, {}).get("why")),
            "why_not": _words(notes.get(payment.number, {}).get("why_not")),
            "score": notes.get(payment.number, {}).get("score"),
            "link": visit.link(line=line.number, act="assign", payment=payment.number),
        }
        for payment in payments
    ]
    return [one | {"n": n} for n, one in enumerate(shown, 1)]


def _originals(visit: Visit, line: StatementLine, find: str) -> list[dict[str, Any]]:
    """Lines that a reversal may take back, numbered."""
    rows = queries.originals(visit.person, line, find)[:FOUND]
    return [
        {
            "n": n,
            "line": one,
            "amount": in_yuan(one.amount_fen),
            "verdict": verdict_label(one),
            "booked": in_shanghai(one.booked_at),
            "is_same": bool(line.payer_account) and one.payer_account == line.payer_account,
            "link": visit.link(line=line.number, act="reverse", original=one.number),
        }
        for n, one in enumerate(rows, 1)
    ]


def _searched(payments: QuerySet[Payment], find: str) -> QuerySet[Payment]:
    named = (
        Q(number__istartswith=find)
        | Q(reference__istartswith=find)
        | Q(transfer_intent__code=find)
        | Q(payer__nickname__icontains=find)
    )
    digits = find.replace(",", "").lstrip("¥")
    if digits.replace(".", "", 1).isdecimal() and len(digits) < 12:
        whole, _, cents = digits.partition(".")
        named |= Q(amount_fen=int(whole or 0) * 100 + int((cents + "00")[:2]))
    return payments.filter(named)


def _compared(line: StatementLine, payment: Payment, at: datetime) -> dict[str, Any]:
    """A payment beside the line: what is asked for, what came, and the difference in words."""
    is_open = payment.status == Status.WAITING
    asked_fen = payment.outstanding_fen if is_open else 0
    left = queries.left_fen(line)
    more = left - asked_fen
    if not is_open:
        kind, words = "over", f"已{payment.get_status_display()}，全部转为应退款"
    elif more == 0:
        kind, words = "even", "正好付清"
    elif more < 0:
        kind, words = "short", f"还差 {in_yuan(-more)}"
    else:
        kind, words = "over", f"多出 {in_yuan(more)}，转为应退款"
    return {
        "payment": payment,
        "is_open": is_open,
        "status": payment.get_status_display(),
        "came": in_yuan(left),
        "outstanding": in_yuan(asked_fen),
        "asked": in_yuan(payment.amount_fen),
        "is_part_paid": payment.received_fen > 0 and is_open,
        "difference": f"{'+' if more > 0 else '−' if more < 0 else ''}{in_yuan(abs(more))}",
        "kind": kind,
        "words": words,
        "age": ago(payment.opened_at, at),
        "hinted": _hinted(payment),
    }


def _hinted(payment: Payment) -> str:
    """That the buyer says he has paid; no proof, but a reason to look at it first."""
    intent = getattr(payment, "transfer_intent", None)
    if intent is None or intent.hinted_at is None:
        return ""
    return f"买家称已转账（{in_shanghai(intent.hinted_at)}）"


def _words(said: str | Sequence[str] | None) -> list[str]:
    if not said:
        return []
    return said.split("；") if isinstance(said, str) else list(said)
