"""OLE2 compound files ([MS-CFB]): one stream of the small file system inside."""

import struct

from payments.transfers.parsers.refusals import DamagedFile, UnsupportedStatement

_LAST = 0xFFFF_FFFA  # from here on: no sector, but a mark
_ENTRY = 128  # bytes of a directory entry
_SMALL = 4096  # shorter streams lie in the mini stream


def stream_of(content: bytes, name: str) -> bytes:
    """The bytes of that stream; struct.error or DamagedFile where the container is broken."""
    disk = _Disk(content)
    entries = disk.directory()
    if name not in entries:
        raise UnsupportedStatement("不是 Excel 97 之后的工作簿，请另存为 xlsx", kind="xls")
    start, size = entries[name]
    if size >= _SMALL:
        found = disk.chain(start)
    else:
        found = disk.mini_chain(start, entries["Root Entry"][0])
    if len(found) < size:
        raise DamagedFile("xls 工作簿被截断")
    return found[:size]


class _Disk:
    """Sectors and the table of which follows which."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        shift = struct.unpack_from("<H", content, 30)[0]
        if shift not in {9, 12}:
            raise DamagedFile("xls 文件头有误")
        self.size = 1 << shift
        (self.first_directory,) = struct.unpack_from("<I", content, 48)
        (self.first_mini,) = struct.unpack_from("<I", content, 60)
        self.following: list[int] = []
        for sector in self._table_sectors():
            self.following += struct.unpack(f"<{self.size // 4}I", self.sector(sector))

    def _table_sectors(self) -> list[int]:
        found = list(struct.unpack_from("<109I", self.content, 76))
        (more,) = struct.unpack_from("<I", self.content, 68)
        while more < _LAST:
            numbers = struct.unpack(f"<{self.size // 4}I", self.sector(more))
            found += numbers[:-1]
            more = numbers[-1]
            self._bounded(len(found))
        return [number for number in found if number < _LAST]

    def _bounded(self, sectors: int) -> None:
        """A chain in a circle would never end."""
        if sectors > len(self.content) // self.size + 256:
            raise DamagedFile("xls 文件的扇区链成环")

    def sector(self, number: int) -> bytes:
        found = self.content[(number + 1) * self.size : (number + 2) * self.size]
        # The last sector of a file may be short.
        return found.ljust(self.size, b"\0") if found else self._missing()

    def _missing(self) -> bytes:
        raise DamagedFile("xls 工作簿被截断")

    def chain(self, sector: int) -> bytes:
        parts: list[bytes] = []
        while sector < _LAST:
            parts.append(self.sector(sector))
            sector = self.following[sector]
            self._bounded(len(parts))
        return b"".join(parts)

    def mini_chain(self, sector: int, root: int) -> bytes:
        """Streams under 4096 bytes, in pieces of 64."""
        pieces = self.chain(root)
        table = self.chain(self.first_mini)
        following = struct.unpack(f"<{len(table) // 4}I", table)
        parts: list[bytes] = []
        while sector < _LAST:
            parts.append(pieces[sector * 64 : sector * 64 + 64])
            sector = following[sector]
            if len(parts) > _SMALL // 64:
                raise DamagedFile("xls 文件的扇区链成环")
        return b"".join(parts)

    def directory(self) -> dict[str, tuple[int, int]]:
        """name: (first sector, bytes) of every stream and of the root."""
        table = self.chain(self.first_directory)
        found: dict[str, tuple[int, int]] = {}
        for at in range(0, len(table), _ENTRY):
            length, kind = struct.unpack_from("<HB", table, at + 64)
            start, size = struct.unpack_from("<II", table, at + 116)
            if kind in {2, 5} and 2 <= length <= 64:
                name = table[at : at + length - 2].decode("utf-16-le")
                found.setdefault(name, (start, size))
        return found
