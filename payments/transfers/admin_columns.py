"""The page on which a person says what the columns of an unknown bank's table mean.

A sample, the meaning of its columns, how it would be read, and only then the map is kept.  Between
the steps the sample travels in the page itself, packed and signed for the one who uploaded it, so
that nothing of it is left on the server.
"""

import io
import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminFileFieldWidget

from config.kit.admin import Look, Question, viewer_of
from config.kit.columns import in_shanghai, in_yuan
from config.kit.errors import Refusal, StaleState
from payments.receiving.models import ReceivingAccount
from payments.receiving.rules import COLUMN_ROLES
from payments.transfers import column_maps, parsers
from payments.transfers.parsers import BadColumns, Preview, Row

LARGEST_SAMPLE = 4 * 1_048_576  # bytes
LARGEST_PACKED = 600_000  # bytes; in base64 it stays below DATA_UPLOAD_MAX_MEMORY_SIZE
SAMPLE_LASTS = 2 * 3600  # seconds between upload and keeping
SHOWN_LINES = 12  # of the file, beside the header
SHOWN_VALUES = 3  # of each column
MANY = "remark"  # the role that several columns may have


TOO_LARGE = "样本太大，请只导出几天的流水（压缩后不超过 600 KB）"

# --- the first step -----------------------------------------------------------------------------


class Sample(Question):
    account_no = forms.ChoiceField(label="收款账户")
    file = forms.FileField(
        label="样本文件",
        widget=UnfoldAdminFileFieldWidget,
        help_text="这家银行网银导出的 CSV、xlsx 或 xls 明细，几天的流水就够",
    )

    def prepare(self) -> None:
        accounts = _accounts(self.request).order_by("account_no")
        field = self.fields["account_no"]
        field.choices = [  # type: ignore[attr-defined]
            ("", "请选择"),
            *((one.account_no, f"{one.account_no} {one.account_name}") for one in accounts),
        ]
        field.initial = self.request.GET.get("account_no", "")


def _accounts(request: HttpRequest) -> Any:
    return ReceivingAccount.objects.seen_by(viewer_of(request))


def show(model_admin: Look, request: HttpRequest) -> HttpResponse:
    if "sample" in request.POST:
        return _said(model_admin, request)
    is_sent = request.method == "POST"
    form = Sample(
        request.POST if is_sent else None,
        request.FILES if is_sent else None,
        row=None,
        request=request,
    )
    if is_sent and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            if file.size > LARGEST_SAMPLE:
                raise parsers.FileTooLarge(TOO_LARGE)
            draft = _begun(request, form.cleaned_data["account_no"], file.read())
        except Refusal as refusal:
            form.add_error("file", str(refusal))
        else:
            return _page(model_admin, request, draft)
    return _answer(model_admin, request, {"form": form})


# --- the sample between the steps ---------------------------------------------------------------


def _signer(request: HttpRequest) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=f"payments.columns:{viewer_of(request).pk}")


def _packed(request: HttpRequest, content: bytes) -> str:
    packed = zlib.compress(content, 9)
    if len(packed) > LARGEST_PACKED:
        raise parsers.FileTooLarge(TOO_LARGE)
    return _signer(request).sign(urlsafe_b64encode(packed).decode())


def _unpacked(request: HttpRequest, sample: str) -> bytes:
    """Only what we packed ourselves is unpacked, so it is never larger than it was."""
    try:
        packed = _signer(request).unsign(sample, max_age=SAMPLE_LASTS)
    except signing.BadSignature:
        raise StaleState("样本已过期，请重新上传") from None
    return zlib.decompress(urlsafe_b64decode(packed))


# --- what was said so far -----------------------------------------------------------------------


@dataclass(slots=True)
class Draft:
    account: ReceivingAccount
    content: bytes
    sample: str  # the content, as the page carries it
    seen: Preview
    header_row: int  # from 1
    columns: dict[str, str]  # role → header text
    is_guess: bool = True  # nobody has said it yet
    problem: str = ""
    is_shown: bool = False  # with how the sample would be read

    @property
    def header(self) -> list[str]:
        return self.seen.header(self.header_row)

    def show(self) -> None:
        self.seen = parsers.preview(io.BytesIO(self.content), columns=self.columns)
        self.problem = self.seen.problem
        self.is_shown = True


def _begun(request: HttpRequest, account_no: str, content: bytes) -> Draft:
    seen = parsers.preview(io.BytesIO(content))
    likely = next(iter([*seen.candidates, *_possible(seen)]), 0)
    if not likely:
        raise parsers.UnknownFormat("前 40 行里没有像表头的一行，请确认文件是流水明细")
    return Draft(
        account=_accounts(request).get(account_no=account_no),
        content=content,
        sample=_packed(request, content),
        seen=seen,
        header_row=likely,
        columns=seen.guessed(likely),
    )


def _possible(seen: Preview) -> list[int]:
    """Rows that could be a header: three names or more."""
    rows = range(1, len(seen.rows) + 1)
    return [row for row in rows if len(list(filter(None, seen.header(row)))) > 2]


def _said(model_admin: Look, request: HttpRequest) -> HttpResponse:
    """Sent back: another header row, a look at the result, or the map is to be kept."""
    sent = request.POST
    try:
        content = _unpacked(request, sent["sample"])
        draft = _begun(request, sent.get("account_no", ""), content)
    except (Refusal, ReceivingAccount.DoesNotExist) as refusal:
        told = str(refusal) if isinstance(refusal, Refusal) else "请选择收款账户"
        model_admin.message_user(request, told, messages.ERROR)
        return HttpResponseRedirect(request.path)
    row = sent.get("header_row", "")
    if row.isdecimal() and int(row) in _possible(draft.seen):
        draft.header_row = int(row)
    if sent.get("step") == "header":
        draft.columns = draft.seen.guessed(draft.header_row)
        return _page(model_admin, request, draft)
    draft.is_guess = False
    try:
        draft.columns = _roles(draft.header, sent)
        if sent.get("step") == "keep" and sent.get("shown") == _written(draft):
            _keep(model_admin, request, draft)
            return HttpResponseRedirect(
                f"{reverse('admin:payments_statement_upload')}?account_no={draft.account}"
            )
        draft.show()
    except Refusal as refusal:
        draft.problem = str(refusal)
    return _page(model_admin, request, draft)


def _roles(header: Sequence[str], sent: Mapping[str, Any]) -> dict[str, str]:
    columns: dict[str, str] = {}
    remarks = 0
    for place, name in enumerate(header):
        role = sent.get(f"role_{place}", "")
        if role not in COLUMN_ROLES:
            continue
        if role == MANY:
            remarks += 1
            role = MANY if remarks == 1 else f"{MANY}{remarks}"
        if role in columns:
            raise BadColumns(f"“{columns[role]}”和“{name}”都选了{COLUMN_ROLES[role]}")
        columns[role] = name
    if not columns:
        raise BadColumns("请至少选出日期和金额")
    return columns


def _written(draft: Draft) -> str:
    """What was shown, so that nothing is kept that has changed since."""
    return json.dumps([draft.header_row, draft.columns], ensure_ascii=False, sort_keys=True)


def _keep(model_admin: Look, request: HttpRequest, draft: Draft) -> None:
    before, account = draft.account.columns, draft.account
    with transaction.atomic():
        column_maps.keep(account=account, columns=draft.columns, sample=io.BytesIO(draft.content))
        model_admin.log_change(
            request, account, f"列对照：{_in_words(before)} → {_in_words(draft.columns)}"
        )
    model_admin.message_user(
        request, "列对照已保存。现在可以上传这家银行的流水，请选择同一收款账户。", messages.SUCCESS
    )


def _in_words(columns: Mapping[str, str]) -> str:
    return "、".join(f"{_title(role)}={name}" for role, name in columns.items()) or "无"


def _title(role: str) -> str:
    return COLUMN_ROLES[MANY if role.startswith(MANY) else role].partition("（")[0]


# --- the page -----------------------------------------------------------------------------------


def _page(model_admin: Look, request: HttpRequest, draft: Draft) -> HttpResponse:
    seen, header = draft.seen, draft.header
    first = max(0, draft.header_row - SHOWN_LINES)
    totals = seen.totals
    page = {
        "draft": draft,
        "known": seen.known,
        "lines": [
            {"number": number, "cells": cells, "is_header": number == draft.header_row}
            for number, cells in enumerate(seen.rows, start=1)
            if first < number <= draft.header_row + SHOWN_LINES
        ],
        "possible": _possible(seen),
        "columns": [
            _column(draft, place, name, header) for place, name in enumerate(header) if name
        ],
        "shown": _written(draft) if draft.is_shown and not draft.problem else "",
        "read": [_line(row) for row in seen.read] if draft.is_shown else [],
        "totals": totals
        and {
            "count": totals.count,
            "in": f"收入 {totals.credits} 笔 {in_yuan(totals.credit_fen)}",
            "out": f"支出 {totals.debits} 笔 {in_yuan(totals.debit_fen)}",
        },
    }
    return _answer(model_admin, request, page)


def _column(draft: Draft, place: int, name: str, header: Sequence[str]) -> dict[str, Any]:
    chosen = next((role for role, title in draft.columns.items() if title == name), "")
    chosen = MANY if chosen.startswith(MANY) else chosen
    below = (row[place].strip() for row in draft.seen.rows[draft.header_row :] if place < len(row))
    return {
        "place": place,
        "name": name,
        "values": [value for value in below if value][:SHOWN_VALUES],
        "is_twice": header.count(name) > 1,
        "chosen": chosen,
        "is_guess": bool(chosen) and draft.is_guess,
        "roles": [
            (role, f"{title} · 建议" if draft.is_guess and role == chosen else title)
            for role, title in COLUMN_ROLES.items()
        ],
    }


def _line(row: Row) -> dict[str, Any]:
    return {
        "at": in_shanghai(row.booked_at),
        "way": "收" if row.amount_fen > 0 else "支",
        "amount": in_yuan(abs(row.amount_fen)),
        "balance": in_yuan(row.balance_fen),
        "name": row.payer_name,
        "account": row.payer_account,
        "remark": " ／ ".join(dict.fromkeys(text.strip() for text in row.texts)),
        "serial": row.serial or "",
        "is_in": row.amount_fen > 0,
    }


def _answer(model_admin: Look, request: HttpRequest, page: Mapping[str, Any]) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "列对照",
        "is_fullwidth": "1",
        "upload": reverse("admin:payments_statement_upload"),
        "back": reverse("admin:payments_statement_changelist"),
        **page,
    }
    return TemplateResponse(request, "admin/payments/columns.html", context)
