"""A bill on its way down: into a file while it arrives, within limits.

Only its address was signed.  WeChat's bytes are proven by the hash that stood beside it; Alipay
gives none, and its bill must prove itself to whoever reads it.
"""

import hashlib
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from payments.channels.answers import ChannelSilent

CHUNK = 256 * 1024
IN_MEMORY = 4 * 1024 * 1024  # bytes; a larger bill is a file of the disk
MAX_PACKED = 256 * 1024 * 1024
MAX_BYTES = 512 * 1024 * 1024  # unpacked; a million trades take about 300 MB
MAX_SECONDS = 600


def unpacked(chunks: Iterable[bytes], *, sha1: str) -> IO[bytes]:
    """What is inside a GZIP, as a file that stands at its beginning and is the caller's to close.

    `sha1` is of the unpacked bytes.  Raises ChannelSilent for whatever is not exactly those.
    """
    return _file(_proven(_inside(_bounded(chunks)), sha1))


def kept(chunks: Iterable[bytes]) -> IO[bytes]:
    """What comes, packed as it is and unproven, in the same way; raises ChannelSilent: too much."""
    return _file(_bounded(chunks))


def _file(parts: Iterable[bytes]) -> IO[bytes]:
    # Not a context here: who asked closes it, and without a name it is gone with its process.
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
    try:
        for part in parts:
            file.write(part)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _proven(parts: Iterable[bytes], sha1: str) -> Iterator[bytes]:
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
        yield part
    if digest.hexdigest() != sha1.lower():
        raise ChannelSilent("账单内容与渠道给出的哈希不符，未采用")


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    until, size = time.monotonic() + MAX_SECONDS, 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_PACKED or time.monotonic() > until:
            raise ChannelSilent("账单文件太大或下载太慢，未采用")
        yield chunk


def _inside(chunks: Iterable[bytes]) -> Iterator[bytes]:
    gzip, size = zlib.decompressobj(zlib.MAX_WBITS | 16), 0
    try:
        for chunk in chunks:
            rest, part = chunk, b""
            while rest or len(part) == CHUNK:
                part = gzip.decompress(rest, CHUNK)
                size += len(part)
                if size > MAX_BYTES:
                    raise ChannelSilent("账单解压后太大，未采用")
                yield part
                rest = gzip.unconsumed_tail
    except zlib.error as error:
        raise ChannelSilent("账单文件损坏，未采用") from error
    if not gzip.eof or gzip.unused_data:
        raise ChannelSilent("账单文件不完整，未采用")
