"""A zip with one bill in it, as Alipay lets a merchant download it: detail and 汇总."""

import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from payments.transfers.parsers import cells, text, zipped
from payments.transfers.parsers.refusals import (
    BadCell,
    DamagedFile,
    UnknownFormat,
    UnsupportedStatement,
)
from payments.transfers.parsers.statement import UNKNOWN, Declared, Known, Row, Stream
from payments.transfers.parsers.sums import Tally

from . import alipay_bills, bill, personal_bills, wechat_bills

MAX_PARTS = 20
MAX_EXPANDED = 256 * 1024 * 1024  # bytes, all parts; never held at once
HEAD = 64 * 1024

_FORMATS = (wechat_bills, alipay_bills, personal_bills)
_FIRST = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
_BILLS = re.compile(rb"(?i)\.(?:csv|txt|zip|rar|7z|gz|xlsx?|pdf)$|[/\\]$")
_PACKED = re.compile(r"(?i)\.(?:zip|rar|7z|gz|tar|xlsx|jar)$")
_PATH = re.compile(r"[/\\:\x00-\x1f]|^\.*$")
_TOTALS = ("收入笔数", "收入金额(+元)", "支出笔数", "支出金额(-元)")


def recognises(head: bytes) -> bool:
    """A zip that begins with a table or another archive: a workbook begins with XML."""
    found = _FIRST.match(head)
    if not found:
        return False
    name = head[30 : 30 + int.from_bytes(found[1], "little")]
    return bool(_BILLS.search(name)) and not name.startswith((b"xl/", b"_rels/", b"docProps/"))


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """The bill inside; raises ExpandsTooFar, DamagedFile, UnsupportedStatement (facts: kind).

    Where there is a 汇总 beside an 账务明细, its totals are confirmed at the end.
    """
    archive = zipped.opened(source, max_parts=MAX_PARTS, max_bytes=MAX_EXPANDED)
    members = {_plain_name(member): member for member in archive.infolist()}
    details = [name for name in members if "汇总" not in name]
    if len(details) != 1:
        raise DamagedFile(f"压缩包里有 {len(details)} 个明细文件，应当正好一个")
    name = details[0]
    inside = zipped.unpacking(archive, members[name])
    head = inside.read(HEAD)
    form = next((one for one in _FORMATS if one.recognises(head)), None)
    if form is None:
        raise UnknownFormat(f"压缩包里的 {name[:60]} 不是微信支付或支付宝的账单，请解压后再上传")
    stream = form.open(inside, known)
    summary = next((member for one, member in members.items() if one != name), None)
    if summary and stream.format == "alipay_account":
        stream.rows = _confirmed(stream.rows, archive, summary)
    return stream


def _plain_name(member: zipfile.ZipInfo) -> str:
    """The name of a plain file that anybody can read."""
    name = zipped.name_of(member)
    reason = ""
    if member.flag_bits & 0x1:
        reason = "压缩包有密码"
    elif _PATH.search(name):
        reason = f"压缩包里有文件夹或路径（{name[:60]!r}）"
    elif _PACKED.search(name):
        reason = f"压缩包里还有压缩包（{name[:60]}）"
    if reason:
        raise UnsupportedStatement(f"{reason}，请解压后上传其中的账单", kind="archive")
    return name


def _confirmed(
    rows: Iterator[Row], archive: zipfile.ZipFile, summary: zipfile.ZipInfo
) -> Iterator[Row]:
    tally = Tally()
    for row in rows:
        tally.add(row.amount_fen)
        yield row
    declared = _declared(zipped.unpacking(archive, summary))
    if declared:
        declared.confirm(tally.declared())


def _declared(summary: BinaryIO) -> Declared | None:
    """The 合计 line of a 账务汇总; None when this is not one."""
    header: list[str] = []
    for number, line in text.numbered(summary):
        names = bill.names(line)
        if set(_TOTALS) <= set(names):
            header = names
        elif header and names[:1] == ["合计"]:
            said = dict(zip(header, line.split(","), strict=False))
            try:
                figures = [abs(cells.fen(said.get(name, "")) or 0) for name in _TOTALS]
            except ValueError:
                raise BadCell(f"汇总文件第 {number} 行的合计不是数字", row=number) from None
            credits, ins, debits, outs = figures
            return Declared(
                credits=credits // 100, credit_fen=ins, debits=debits // 100, debit_fen=outs
            )
    return None
