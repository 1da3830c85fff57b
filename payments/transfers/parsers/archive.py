"""A zip with one bill in it, as Alipay lets a merchant download it: detail and 汇总.

Measured before anything is unpacked, and unpacked while it is read.  Alipay writes names in GBK
without saying so.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from . import alipay_bills, cells, lines, personal_bills, wechat_bills
from .refusals import BadCell, DamagedFile, ExpandsTooFar, UnknownFormat, UnsupportedStatement
from .running import Totals
from .statement import Checks, Declared, Row, Stream

MAX_PARTS = 20
MAX_EXPANDED = 256 * 1024 * 1024  # bytes, all parts; never held at once
MAX_RATIO = 200  # of one part over 1 MB; bills pack 5 to 30 times
HEAD = 64 * 1024

_FORMATS = (wechat_bills, alipay_bills, personal_bills)
_FIRST = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
_BILLS = re.compile(rb"(?i)\.(?:csv|txt|zip|rar|7z|gz|xlsx?|pdf)$|[/\\]$")
_PACKED = re.compile(r"(?i)\.(?:zip|rar|7z|gz|tar|xlsx|jar)$")
_PATH = re.compile(r"[/\\:\x00-\x1f]|^\.*$")
_TOTALS = ("收入笔数", "收入金额(+元)", "支出笔数", "支出金额(-元)")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
)


def recognises(head: bytes) -> bool:
    """A zip that begins with a table or another archive: a workbook begins with XML."""
    found = _FIRST.match(head)
    if not found:
        return False
    name = head[30 : 30 + int.from_bytes(found[1], "little")]
    return bool(_BILLS.search(name)) and not name.startswith((b"xl/", b"_rels/", b"docProps/"))


def open(
    source: BinaryIO,
    ours: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    checks: Checks = Checks.ALL,
) -> Stream:
    """The bill inside; raises ExpandsTooFar, DamagedFile, UnsupportedStatement (facts: kind).

    Where there is a 汇总 beside an 账务明细, its totals are confirmed at the end.
    """
    _count(source)
    with _broken_is_damaged():
        archive = zipfile.ZipFile(source)
    members = {_name(member): member for member in _measured(archive.infolist())}
    details = [name for name in members if "汇总" not in name]
    if len(details) != 1:
        raise DamagedFile(f"压缩包里有 {len(details)} 个明细文件，应当正好一个")
    name = details[0]
    head = _unpacked(archive, members[name]).read(HEAD)
    form = next((one for one in _FORMATS if one.recognises(head)), None)
    if form is None:
        raise UnknownFormat(f"压缩包里的 {name[:60]} 不是微信支付或支付宝的账单，请解压后再上传")
    stream = form.open(_unpacked(archive, members[name]), ours, columns)
    summary = next((member for one, member in members.items() if one != name), None)
    if summary and stream.format == "alipay_account":
        stream.rows = _confirmed(stream.rows, archive, summary)
    return stream


def _count(source: BinaryIO) -> None:
    """Before zipfile builds an object for each of them."""
    source.seek(0)
    found, rest = 0, b""
    while chunk := source.read(1024 * 1024):
        found += (rest + chunk).count(b"PK\x01\x02")
        rest = chunk[-3:]
        if found > MAX_PARTS:
            raise ExpandsTooFar(f"压缩包内的文件超过 {MAX_PARTS} 个")
    source.seek(0)


def _name(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return member.filename


def _measured(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """By names and declared sizes, which unpacking never exceeds."""
    if len({_name(member) for member in members}) != len(members):
        raise DamagedFile("压缩包内有重名文件")
    if sum(member.file_size for member in members) > MAX_EXPANDED:
        raise ExpandsTooFar(f"文件解压后超过 {MAX_EXPANDED // 1024 // 1024} MB")
    for member in members:
        name = _named(member)
        if member.file_size > max(1024 * 1024, member.compress_size * MAX_RATIO):
            raise ExpandsTooFar(f"压缩包内的 {name[:60]} 压缩比异常")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise DamagedFile("压缩方式少见，不是支付宝下载的文件")
    return members


def _named(member: zipfile.ZipInfo) -> str:
    """The name of a plain file that anybody can read."""
    name = _name(member)
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


class _Member(io.RawIOBase):
    """One file of the archive while it is unpacked; what is wrong with it is a refusal."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        super().__init__()
        with _broken_is_damaged():
            self._part = archive.open(member)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _broken_is_damaged():
            chunk = self._part.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    return io.BufferedReader(_Member(archive, member), HEAD)


@contextmanager
def _broken_is_damaged() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise DamagedFile("压缩结构损坏、加密或被截断，不是完整的 zip 文件") from error


def _confirmed(
    rows: Iterator[Row], archive: zipfile.ZipFile, summary: zipfile.ZipInfo
) -> Iterator[Row]:
    totals = Totals()
    for row in rows:
        totals.add(row.amount_fen)
        yield row
    declared = _declared(_unpacked(archive, summary))
    if declared:
        totals.confirm(declared)


def _declared(summary: BinaryIO) -> Declared | None:
    """The 合计 line of a 账务汇总; None when this is not one."""
    header: list[str] = []
    for number, line in lines.read(summary):
        names = lines.names(line)
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
