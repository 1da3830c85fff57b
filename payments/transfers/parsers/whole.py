"""Formats that are read in one piece: their files stay small."""

from typing import BinaryIO

from .refusals import FileTooLarge

MAX_BYTES = 32 * 1024 * 1024


def content(source: BinaryIO) -> bytes:
    """All bytes of the file; raises FileTooLarge."""
    source.seek(0)
    found = source.read(MAX_BYTES + 1)
    if len(found) > MAX_BYTES:
        raise FileTooLarge(
            f"这种格式的文件最大 {MAX_BYTES // 1024 // 1024} MB，请改为导出 CSV，或缩短日期范围"
        )
    return found
