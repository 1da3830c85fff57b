"""Bytes → lines of text while they are read; the rules of `text`, in bounded memory.

The encoding is decided by the first 64 KB: a bill's own Chinese header stands there, and Chinese
in GB18030 is no valid UTF-8.  What is wrong further down is a refusal, never a question mark.
"""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from . import cells
from .refusals import DamagedFile, WrongEncoding

CHUNK = 64 * 1024  # bytes
MAX_LINE = 100_000  # characters; a bill's line has some hundred
HEADER_WITHIN = 40  # lines

_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(source: BinaryIO) -> Iterator[tuple[int, str]]:
    """Every line with its number from 1, without its end; raises WrongEncoding, DamagedFile."""
    number = 1
    rest = ""
    for text in _decoded(source):
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield number, _short(line, number)
            number += 1
        _short(rest, number)
    if rest:
        yield number, rest


def _decoded(source: BinaryIO) -> Iterator[str]:
    chunk = source.read(CHUNK)
    decoder = codecs.getincrementaldecoder(_encoding(chunk))()
    unified = io.IncrementalNewlineDecoder(decoder, translate=True)
    line = 1
    try:
        while chunk:
            text = _whole(unified.decode(chunk), line)
            line += text.count("\n")
            yield text
            chunk = source.read(CHUNK)
        yield _whole(unified.decode(b"", final=True), line)
    except UnicodeError as error:
        raise WrongEncoding(
            f"第 {line} 行之后的文字编码有误：文件被截断或损坏", row=line
        ) from error


def _encoding(head: bytes) -> str:
    marked = next((name for mark, name in _MARKED if head.startswith(mark)), None)
    if marked:
        return marked
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


def _whole(text: str, line: int) -> str:
    if "\0" in text:
        raise WrongEncoding("文件含有 NUL 字符：不是文本，或缺少编码标记的 UTF-16")
    if "\ufffd" in text:
        line += text.count("\n", 0, text.index("\ufffd"))
        raise WrongEncoding(f"第 {line} 行有无法还原的字符（U+FFFD）：文件曾被错误转码", row=line)
    return text


def _short(line: str, number: int) -> str:
    if len(line) > MAX_LINE:
        raise DamagedFile(f"第 {number} 行长达 {len(line)} 个字符，不是明细", row=number)
    return line


def top(head: bytes) -> list[str]:
    """The first lines of a file, of its first bytes and as far as they can be read."""
    decoder = codecs.getincrementaldecoder(_encoding(head))("ignore")
    text = decoder.decode(head[:CHUNK]).replace("\r\n", "\n").replace("\r", "\n")
    return [line[:MAX_LINE] for line in text.split("\n", HEADER_WITHIN)[:HEADER_WITHIN]]


def names(line: str) -> list[str]:
    """A header line as `cells.name` leaves each name; no empty ones at its end."""
    found = [cells.name(cell.strip('"')) for cell in line.split(",")]
    while found and not found[-1]:
        found.pop()
    return found


def is_headed(head: bytes, needed: frozenset[str]) -> bool:
    """A header line with these names is among the first lines."""
    return any(needed <= set(names(line)) for line in top(head))
