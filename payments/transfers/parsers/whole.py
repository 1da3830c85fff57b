"""Formats that are read in one piece: their files stay small."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from .refusals import FileTooLarge
from .statement import Checks, Statement, Stream, streamed

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


@dataclass(frozen=True, slots=True)
class InOnePiece:
    """A reader of whole files behind the door of those that stream."""

    recognises: Callable[[bytes], bool]
    read: Callable[[bytes, Collection[str]], Statement]

    def open(
        self,
        source: BinaryIO,
        ours: Collection[str],
        columns: Mapping[str, str] | None,
        checks: Checks,
    ) -> Stream:
        """These formats name their own fields, and always check themselves."""
        return streamed(self.read(content(source), ours))
