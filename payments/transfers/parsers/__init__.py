"""Statements: bytes → rows, pure.  The format is found by content, never by a file's name.

`stream` gives the rows of a file while it reads them, in memory that does not grow with it; `read`
returns a whole, checked `Statement`.  Both raise an `Unreadable` that says what is wrong and
where.  No file is ever read as "0 rows, fine" unless it says itself that its day was empty.
"""

import io
from collections.abc import Collection, Mapping
from typing import BinaryIO, Protocol

from .channels import alipay_bills, archive, personal_bills, wechat_bills, wechat_income
from .messages import camt053, mt940
from .refusals import (
    BadColumns,
    EmptyFile,
    FileTooLarge,
    UnknownFormat,
    Unreadable,
    UnsupportedStatement,
)
from .statement import (
    Checks,
    Declared,
    Known,
    Row,
    Source,
    Statement,
    Stream,
    Summary,
    gathered,
)
from .tables import csv_text, foreign, workbook
from .tables.preview import Preview, look, tried

__all__ = [
    "MAX_BYTES",
    "NOT_A_STATEMENT",
    "BadColumns",
    "Checks",
    "Declared",
    "FileTooLarge",
    "Preview",
    "Row",
    "Source",
    "Statement",
    "Stream",
    "Summary",
    "UnknownFormat",
    "Unreadable",
    "preview",
    "read",
    "stream",
]

MAX_BYTES = 512 * 1024 * 1024  # of any file; formats that are held whole have `held.MAX_BYTES`
# Refusals that say nothing of a statement: whatever was sent, it is none that we could read.
NOT_A_STATEMENT = (EmptyFile, FileTooLarge, UnknownFormat, UnsupportedStatement)
HEAD = 64 * 1024  # bytes shown to a format that is asked whether it recognises them


class Format(Protocol):
    """What a format's module gives; `source` is seekable and stands at its beginning."""

    def recognises(self, head: bytes, /) -> bool: ...

    def open(self, source: BinaryIO, known: Known, /) -> Stream: ...


# A new format is a module of that shape and a place here: marked containers first, text last.
FORMATS: tuple[Format, ...] = (
    archive,
    workbook,
    camt053,
    mt940,
    wechat_income,
    wechat_bills,
    alipay_bills,
    personal_bills,
    csv_text,
)

TABLES = (workbook, csv_text)

_OTHERS = (
    (b"%PDF", "pdf", "PDF 文件"),
    (b"\x89PNG", "image", "图片"),
    (b"\xff\xd8\xff", "image", "图片"),
    (b"Rar!", "archive", "RAR 压缩包"),
    (b"7z\xbc\xaf", "archive", "7z 压缩包"),
    (b"\x1f\x8b", "archive", "gzip 压缩包"),
)


def stream(
    source: BinaryIO,
    *,
    ours: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    checks: Checks = Checks.ALL,
) -> Stream:
    """A seekable file, row by row; the caller keeps it open until the last row was read.

    `ours` are our account numbers: where a file names only virtual accounts, they tell which
    account those belong to.  Whether `account_no` is ours at all remains the caller's question.
    `columns` describes a table that no bank module knows (`column_map`).  Raises Unreadable (422;
    413 when too large) at once for what is wrong with the file, and while rows are read for what
    is wrong with them; nothing else, whatever the bytes.
    """
    return _recognised(source).open(source, Known(ours, columns, checks))


def preview(source: BinaryIO, *, columns: Mapping[str, str] | None = None) -> Preview:
    """The top of a table with a guess at its columns, and what `columns` would make of all of it.

    Nothing is ever read by the guess.  Raises Unreadable for what is no table.
    """
    form = _recognised(source)
    table = next((table for table in TABLES if table is form), None)
    if table is None:
        raise foreign.refuse_as("not_a_table", "这种文件自带字段名，不需要指定各列")
    seen = look(table.first_rows(source))
    if not columns:
        return seen
    return tried(seen, lambda: table.open(source, Known(columns=columns)))


def _recognised(source: BinaryIO) -> Format:
    size = source.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise FileTooLarge(f"文件超过 {MAX_BYTES // 1024 // 1024} MB，请按更短的日期范围导出")
    source.seek(0)
    head = source.read(HEAD)
    if size <= HEAD and not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise EmptyFile
    _refuse_others(head)
    source.seek(0)
    return next(form for form in FORMATS if form.recognises(head))


def read(
    content: bytes,
    *,
    ours: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    checks: Checks = Checks.ALL,
) -> Statement:
    """The same road to its end, for a file that is in memory: whole and checked, or Unreadable."""
    with io.BytesIO(content) as source:
        return gathered(stream(source, ours=ours, columns=columns, checks=checks))


def _refuse_others(head: bytes) -> None:
    for mark, kind, title in _OTHERS:
        if head.startswith(mark):
            raise foreign.refuse_as(kind, title)
    if head.lstrip()[:200].lower().startswith((b"<html", b"<!doctype html", b"<table")):
        raise foreign.refuse_as("html", "网页格式的表格")
