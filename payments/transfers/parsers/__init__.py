"""Bank statements: bytes → rows, pure.  The format is found by content, never by a file's name.

`read` returns a whole, checked `Statement` or raises an `Unreadable` that says what is wrong and
where.  No file is ever read as "0 rows, fine" unless it says itself that its day was empty.
"""

import io
from collections.abc import Collection

from . import (
    alipay_bills,
    archive,
    camt053,
    csv_text,
    foreign,
    mt940,
    personal_bills,
    wechat_bills,
    wechat_income,
    xlsx,
)
from .refusals import EmptyFile, FileTooLarge, Unreadable
from .statement import Declared, Row, Statement, Stream

__all__ = ["MAX_BYTES", "Declared", "Row", "Statement", "Unreadable", "read"]

MAX_BYTES = 20 * 1024 * 1024
HEAD = 64 * 1024  # bytes shown to a format that is asked whether it recognises them

# A new format is a module with `recognises(head)`, `open(source, ours, columns)` and a place here:
# marked containers first, free text last.
STREAMED = (
    archive,
    camt053,
    mt940,
    wechat_income,
    wechat_bills,
    alipay_bills,
    personal_bills,
)
FORMATS = (xlsx, csv_text)

_OTHERS = (
    (b"%PDF", "pdf", "PDF 文件"),
    (b"\x89PNG", "image", "图片"),
    (b"\xff\xd8\xff", "image", "图片"),
    (b"Rar!", "archive", "RAR 压缩包"),
    (b"7z\xbc\xaf", "archive", "7z 压缩包"),
    (b"\x1f\x8b", "archive", "gzip 压缩包"),
)


def read(content: bytes, *, ours: Collection[str] = ()) -> Statement:
    """Raises Unreadable (422; 413 when too large); nothing else, whatever the bytes.

    `ours` are our account numbers: where a file names only virtual accounts, they tell which
    account those belong to.  Whether `account_no` is ours at all remains the caller's question.
    """
    if len(content) > MAX_BYTES:
        raise FileTooLarge(f"文件超过 {MAX_BYTES // 1024 // 1024} MB，请按更短的日期范围导出")
    if not content.strip(b" \t\r\n\xef\xbb\xbf"):
        raise EmptyFile
    head = content[:HEAD]
    _refuse_others(head, content)
    streamed = next((form for form in STREAMED if form.recognises(head)), None)
    if streamed:
        return _exhausted(streamed.open(io.BytesIO(content), ours))
    return next(form for form in FORMATS if form.recognises(head)).read(content, ours)


def _exhausted(stream: Stream) -> Statement:
    rows = tuple(stream.rows)
    summary = stream.summary
    return Statement(
        format=stream.format,
        account_no="、".join(summary.accounts) or None,
        accounts=summary.accounts,
        rows=rows,
        opening_fen=summary.opening_fen,
        closing_fen=summary.closing_fen,
        booked_from=summary.booked_from,
        booked_until=summary.booked_until,
        declared=summary.declared,
        not_booked=summary.not_booked,
    )


def _refuse_others(head: bytes, content: bytes) -> None:
    for mark, kind, title in _OTHERS:
        if head.startswith(mark):
            raise foreign.refuse_as(kind, title)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        personal = b"China Construction Bank" in content
        title = "建设银行个人流水（旧版 xls）" if personal else "旧版 Excel 工作簿（.xls）"
        raise foreign.refuse_as("ccb_personal" if personal else "xls", title)
    if head.lstrip()[:200].lower().startswith((b"<html", b"<!doctype html", b"<table")):
        raise foreign.refuse_as("html", "网页格式的表格")
