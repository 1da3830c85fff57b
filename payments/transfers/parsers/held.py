"""Formats that are held whole while they are read: their files stay small."""

from typing import BinaryIO

from .refusals import FileTooLarge

MAX_BYTES = 32 * 1024 * 1024


def content(source: BinaryIO, max_bytes: int = MAX_BYTES) -> bytes:
    """All bytes of the file; raises FileTooLarge."""
    source.seek(0)
    found = source.read(max_bytes + 1)
    if len(found) > max_bytes:
        raise FileTooLarge(
            f"这种格式的文件最大 {max_bytes // 1024 // 1024} MB，请改为导出 CSV，或缩短日期范围"
        )
    return found
