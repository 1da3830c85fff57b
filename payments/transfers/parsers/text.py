"""Bytes → text, strictly: a wrong encoding is a refusal, never a question mark."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from .refusals import DamagedFile, WrongEncoding

CHUNK = 256 * 1024  # bytes read at a time
MAX_LINE = 100_000  # characters; a statement line has some hundred
WITNESSES = 1024 * 1024  # bytes behind a flaw that tell which encoding it is a flaw of

_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(content: bytes, *, european: bool = False) -> str:
    """By byte-order mark, else UTF-8, else GB18030 (or Latin-1, where a format allows European).

    No guessing by statistics between Chinese encodings: on short files such guesses are wrong.
    Raises WrongEncoding.
    """
    encoding = _marked(content)
    try:
        return _whole(content.decode(encoding), 1)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise WrongEncoding from error
        _refuse_damaged(
            content[: error.start], content[error.start : error.start + WITNESSES], line=1
        )
    try:
        chinese = content.decode("gb18030")
    except UnicodeDecodeError:
        chinese = ""
    if chinese and not (european and _is_accident(chinese)):
        return _whole(chinese, 1)
    if european:
        return _whole(content.decode("latin-1"), 1)
    raise WrongEncoding


def encoding_of(source: BinaryIO) -> str:
    """The same decision from a file's first pass, at the speed of a disk; raises WrongEncoding."""
    source.seek(0)
    content = source.read(CHUNK)
    encoding = _marked(content)
    if encoding != "utf-8":
        return encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, good = 1, 0
    while True:
        pending = decoder.getstate()[0]
        try:
            found = decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:
            flawed = pending + content
            more = source.read(WITNESSES)
            _refuse_damaged(
                flawed[: error.start], flawed[error.start :] + more, line=line, good=good
            )
            return "gb18030"
        if not content:
            return "utf-8"
        line += content.count(b"\n")
        good += (len(content) - len(found)) // 2  # Chinese takes three bytes
        content = source.read(CHUNK)


def lines(source: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines with their ends; one over MAX_LINE is cut there.  Raises WrongEncoding.

    Ends are \\n, or \\r where most lines of the first chunk end so.
    """
    end = ""
    rest, cut, number = "", False, 1
    for part in _decoded(source, encoding):
        if not end:
            end = _end_of(part)
        found = (rest + part).split(end)
        rest = found.pop()
        for line in found:
            if cut:  # the tail of a line that was given already
                cut = False
            else:
                yield (line + end)[: MAX_LINE + 1]
        number += len(found)
        if len(rest) > MAX_LINE:
            if not cut:
                yield rest[: MAX_LINE + 1]
            rest, cut = "", True
    if rest and not cut:
        yield rest


def _end_of(text: str) -> str:
    returns = text.count("\r") - text.count("\r\n")
    return "\r" if returns > text.count("\n") else "\n"


def numbered(source: BinaryIO) -> Iterator[tuple[int, str]]:
    """Every line with its number from 1, without its end; raises WrongEncoding, DamagedFile."""
    for number, line in enumerate(lines(source, encoding_of(source)), start=1):
        if len(line) > MAX_LINE:
            raise too_long(number)
        yield number, line.rstrip("\r\n")


def too_long(number: int) -> DamagedFile:
    """The refusal for a line that `lines` had to cut."""
    return DamagedFile(f"第 {number} 行超过 {MAX_LINE} 个字符，不是明细", row=number)


def top(head: bytes, count: int) -> list[str]:
    """So many lines of a file's first bytes, as far as they can be read."""
    encoding = _marked(head)
    if encoding == "utf-8" and not _is_utf_8(head):
        encoding = "gb18030"
    found = codecs.getincrementaldecoder(encoding)("ignore").decode(head)
    return [line[:MAX_LINE] for line in found.splitlines()[:count]]


def _is_utf_8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(source: BinaryIO, encoding: str) -> Iterator[str]:
    source.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        content = source.read(CHUNK)
        try:
            part = _whole(decoder.decode(content, final=not content), line)
        except UnicodeDecodeError as error:
            raise WrongEncoding from error
        if part:
            yield part
            line += part.count("\n")
        if not content:
            return


def _marked(head: bytes) -> str:
    return next((name for mark, name in _MARKED if head.startswith(mark)), "utf-8")


def _refuse_damaged(sound: bytes, behind: bytes, *, line: int, good: int = 0) -> None:
    """UTF-8 with a flaw stays UTF-8: as GB18030 it would decode to wrong names without an error.

    `sound` is UTF-8 as far as it goes and begins on that line, behind `good` characters that were
    not ASCII; `behind` begins with the flaw.
    """
    seen = sound.decode() + behind.decode("utf-8", "replace")
    flaws = seen.count("\ufffd")
    good += len(seen) - len(seen.encode("ascii", "ignore")) - flaws
    if good > flaws:
        line += sound.count(b"\n")
        raise WrongEncoding(f"第 {line} 行的 UTF-8 编码不完整：文件被截断或损坏", row=line)


def _is_accident(text: str) -> bool:
    """Accented Latin letters also decode as GB18030, but hardly ever to everyday characters."""
    high = "".join(letter for letter in text if not letter.isascii())
    return len(high.encode("gb2312", "ignore")) < len(high)


def _whole(text: str, line: int) -> str:
    """The same text, which begins on that line; raises WrongEncoding for what no text has."""
    if "\0" in text:
        raise WrongEncoding("文件含有 NUL 字符：不是文本，或缺少编码标记的 UTF-16")
    if "\ufffd" in text:
        line += text.count("\n", 0, text.index("\ufffd"))
        raise WrongEncoding(f"第 {line} 行有无法还原的字符（U+FFFD）：文件曾被错误转码", row=line)
    return text
