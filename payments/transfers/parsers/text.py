"""Bytes → text, strictly: a wrong encoding is a refusal, never a question mark."""

import codecs

from .refusals import WrongEncoding

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
    encoding = next((name for mark, name in _MARKED if content.startswith(mark)), "utf-8")
    try:
        return _whole(content.decode(encoding))
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise WrongEncoding from error
        _refuse_damaged(content, error.start)
    try:
        chinese = content.decode("gb18030")
    except UnicodeDecodeError:
        chinese = ""
    if chinese and not (european and _is_accident(chinese)):
        return _whole(chinese)
    if european:
        return _whole(content.decode("latin-1"))
    raise WrongEncoding


def _refuse_damaged(content: bytes, start: int) -> None:
    """UTF-8 with a flaw stays UTF-8: as GB18030 it would decode to wrong names without an error."""
    good = len(content.decode("utf-8", "ignore")) - len(content.decode("ascii", "ignore"))
    flaws = content.decode("utf-8", "replace").count("\ufffd")
    if good > flaws:
        line = content.count(b"\n", 0, start) + 1
        raise WrongEncoding(f"第 {line} 行的 UTF-8 编码不完整：文件被截断或损坏", row=line)


def _is_accident(text: str) -> bool:
    """Accented Latin letters also decode as GB18030, but hardly ever to everyday characters."""
    high = "".join(letter for letter in text if not letter.isascii())
    return len(high.encode("gb2312", "ignore")) < len(high)


def _whole(text: str) -> str:
    if "\0" in text:
        raise WrongEncoding("文件含有 NUL 字符：不是文本，或缺少编码标记的 UTF-16")
    if "\ufffd" in text:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        raise WrongEncoding(f"第 {line} 行有无法还原的字符（U+FFFD）：文件曾被错误转码", row=line)
    return text
