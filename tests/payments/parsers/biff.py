"""Old Excel workbooks, written as [MS-XLS] says."""

import struct

SECTOR = 512
LAST, FAT_SECTOR = 0xFFFF_FFFE, 0xFFFF_FFFD


def xls(*sheets, hidden=(), cut=8000, dates=()):
    """A workbook of those sheets (lists of rows); shared strings go on in a new record at `cut`.

    Numbers at (row, column) of `dates` have a format that shows a moment.
    """
    texts = list(dict.fromkeys(c for rows in sheets for row in rows for c in row if _is_text(c)))
    bodies = [_sheet(rows, texts, set(dates)) for rows in sheets]
    shared = _shared(texts, cut)
    formats = record(0xE0, struct.pack("<HH16x", 0, 0)) + record(0xE0, struct.pack("<HH16x", 0, 22))
    names = [_name(f"表{i}") for i in range(len(sheets))]
    head = len(_bof(5)) + len(formats) + sum(4 + 6 + len(n) for n in names) + len(shared) + 4
    book, at = _bof(5) + formats, head
    for i, (name, body) in enumerate(zip(names, bodies, strict=True)):
        book += record(0x85, struct.pack("<IBB", at, int(i in hidden), 0) + name)
        at += len(body)
    return ole(book + shared + record(0x0A) + b"".join(bodies))


def record(kind, payload=b""):
    return struct.pack("<HH", kind, len(payload)) + payload


def ole(book, name="Workbook"):
    """The stream in a container with one table sector; books under 4096 bytes are filled up."""
    book = book.ljust(4096, b"\0")
    count = -(-len(book) // SECTOR)
    assert count + 2 <= SECTOR // 4, "one sector of table is enough for tests"
    table = [FAT_SECTOR, LAST, *range(3, 2 + count), LAST]
    header = bytearray(SECTOR)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<HHHHH", header, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIII", header, 44, 1, 1, 0, 4096, LAST, 0, LAST, 0)
    header[76:] = struct.pack("<I", 0) + b"\xff" * (SECTOR - 80)
    fat = struct.pack(f"<{len(table)}I", *table).ljust(SECTOR, b"\xff")
    directory = _entry("Root Entry", 5, LAST, 0, child=1) + _entry(name, 2, 2, len(book))
    return bytes(header) + fat + directory.ljust(SECTOR, b"\0") + book.ljust(count * SECTOR, b"\0")


def _entry(name, kind, start, size, child=0xFFFF_FFFF):
    text = name.encode("utf-16-le") + b"\0\0"
    siblings = struct.pack("<III", 0xFFFF_FFFF, 0xFFFF_FFFF, child)
    place = struct.pack("<II", start, size) + bytes(4)
    return (
        text.ljust(64, b"\0")
        + struct.pack("<HBB", len(text), kind, 1)
        + siblings
        + (bytes(36) + place)
    )


def _bof(kind):
    return record(0x809, struct.pack("<HHHHII", 0x600, kind, 0x0DBB, 1996, 0, 6))


def _is_text(cell):
    return isinstance(cell, str) and cell != ""


def _sheet(rows, texts, dates):
    body = _bof(0x10)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            if _is_text(cell):
                body += record(0xFD, struct.pack("<HHHI", y, x, 0, texts.index(cell)))
            elif cell != "":
                body += record(0x203, struct.pack("<HHHd", y, x, int((y, x) in dates), cell))
    return body + record(0x0A)


def _name(text):
    return struct.pack("<BB", len(text), 1) + text.encode("utf-16-le")


def _shared(texts, cut):
    """Each string wide or narrow as Excel chooses; a cut inside one says its width again."""
    parts, current = [], struct.pack("<II", len(texts), len(texts))
    for text in texts:
        wide = 0 if all(ord(letter) < 256 for letter in text) else 1
        if len(current) + 3 > cut:
            parts.append(current)
            current = b""
        current += struct.pack("<HB", len(text), wide)
        for letter in text:
            if len(current) + 2 > cut:
                parts.append(current)
                current = bytes([wide])
            current += letter.encode("utf-16-le" if wide else "latin-1")
    parts.append(current)
    return b"".join(record(0x3C if i else 0xFC, part) for i, part in enumerate(parts))
