"""A request is taken in whole before the application looks at it.

The web server calls the application as soon as the head of a request is there, and whoever reads
the body waits for the client, who may be slow, or gone without a word.  So many threads take
requests in, and one at a time answers, but for those that wait for WeChat or a bank, and a large
upload, which goes on beside the others.  A body is read also where the answer will not depend on
it: a client that is still sending while the connection is closed loses the answer.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from config.kit.outside import aside, turn

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]

IN_MEMORY = 1_048_576  # bytes of a body; the rest of a larger one waits on disk
AT_ONCE = 65_536
MOST = 544 * 1_048_576  # bytes read of what is refused; who sends more may miss the answer


class Reception:
    """The WSGI application of a worker process."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        with SpooledTemporaryFile(IN_MEMORY) as body:
            if not _take_in(environ, body):
                start("400 Bad Request", [("Content-Length", "0")])
                return [b""]
            environ["wsgi.input"] = body
            with aside() if _declared(environ) > IN_MEMORY else turn(), _connected():
                return self._answer(environ, start)

    def _answer(self, environ: dict[str, Any], start: Start) -> list[bytes]:
        """All of it at once, or a slow reader would hold the worker as a slow sender would."""
        response = self._application(environ, start)
        try:
            return [b"".join(response)]
        finally:
            getattr(response, "close", lambda: None)()


_idle: list[BaseDatabaseWrapper] = []  # connections of the threads whose turn is over


@contextmanager
def _connected() -> Iterator[None]:
    """Django gives each thread a connection; here it goes with the turn, so few are opened."""
    try:
        connections[DEFAULT_DB_ALIAS] = _idle.pop()
    except IndexError:
        connections[DEFAULT_DB_ALIAS].inc_thread_sharing()
    try:
        yield
    finally:
        _idle.append(connections[DEFAULT_DB_ALIAS])
        del connections[DEFAULT_DB_ALIAS]


def longest(path: str) -> int:
    """Bytes of an upload to this path."""
    larger = (most for start, most in settings.LARGE_UPLOADS.items() if path.startswith(start))
    return max(larger, default=settings.MAX_UPLOAD_BYTES)


def _declared(environ: dict[str, Any]) -> int:
    """Bytes of the body; -1 for what is no number."""
    said = environ.get("CONTENT_LENGTH") or "0"
    return int(said) if said.isdecimal() else -1


def _take_in(environ: dict[str, Any], body: IO[bytes]) -> bool:
    """False for half a request, whose client is gone.

    Nothing is kept of what is refused anyhow: a body that is too long, or of unknown length, which
    may be half of one without anybody's knowing.
    """
    declared = _declared(environ)
    is_chunked = "HTTP_TRANSFER_ENCODING" in environ
    if not 0 <= declared <= MOST or not (declared or is_chunked):
        return True
    is_kept = not is_chunked and declared <= longest(environ.get("PATH_INFO", ""))
    size = 0
    while size <= MOST and (chunk := environ["wsgi.input"].read(AT_ONCE)):
        size += len(chunk)
        if is_kept:
            body.write(chunk)
    body.seek(0)
    return is_chunked or size == declared
