"""Zip archives: measured before anything is unpacked, within limits of our own while it is."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from .refusals import DamagedFile, ExpandsTooFar

MAX_RATIO = 200  # of one part over 1 MB; sheets and bills pack 5 to 30 times

_CHUNK = 64 * 1024
_ENTRY = b"PK\x01\x02"  # opens each part's entry in the directory
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    ArithmeticError,
    struct.error,
)


def opened(source: BinaryIO, *, max_parts: int, max_bytes: int) -> zipfile.ZipFile:
    """The archive, whose parts together unpack into at most `max_bytes`.

    By the declared sizes, which unpacking never exceeds.  Raises ExpandsTooFar, DamagedFile.
    """
    _count(source, max_parts)
    with broken_is_damaged():
        archive = zipfile.ZipFile(source)
    members = archive.infolist()
    if len({name_of(member).lower() for member in members}) != len(members):
        raise DamagedFile("压缩包内有重名文件")
    if sum(member.file_size for member in members) > max_bytes:
        raise ExpandsTooFar(f"文件解压后超过 {max_bytes // 1024 // 1024} MB，请改为导出 CSV")
    for member in members:
        if member.file_size > max(1024 * 1024, member.compress_size * MAX_RATIO):
            raise ExpandsTooFar(f"压缩包内的 {name_of(member)[:60]} 压缩比异常")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise DamagedFile("压缩方式少见，请重新导出")
    return archive


def _count(source: BinaryIO, max_parts: int) -> None:
    """Before zipfile builds an object for each of them."""
    source.seek(0)
    found, rest = 0, b""
    while chunk := source.read(1024 * 1024):
        found += (rest + chunk).count(_ENTRY)
        rest = chunk[1 - len(_ENTRY) :]
        if found > max_parts:
            raise ExpandsTooFar(f"压缩包内的文件超过 {max_parts} 个")
    source.seek(0)


def name_of(member: zipfile.ZipInfo) -> str:
    """Chinese exporters write names in GBK without saying so."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return member.filename


def whole(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """All bytes of one part; raises DamagedFile."""
    # Without a number, read() unpacks everything there is before it looks at the declared size.
    with broken_is_damaged(), archive.open(member) as part:
        return part.read(member.file_size + 1)


def unpacking(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """One part as a seekable file that is unpacked while it is read; reading raises DamagedFile."""
    return io.BufferedReader(_Member(archive, member), _CHUNK)


class _Member(io.RawIOBase):
    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        super().__init__()
        with broken_is_damaged():
            self._part = archive.open(member)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with broken_is_damaged():
            return self._part.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        with broken_is_damaged():
            chunk = self._part.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextmanager
def broken_is_damaged() -> Iterator[None]:
    """Whatever the zip library says of a broken archive is a DamagedFile."""
    try:
        yield
    except _BROKEN as error:
        raise DamagedFile("压缩结构损坏、加密或被截断，不是完整的 zip 或 xlsx 文件") from error
