"""Where channels post what they have to tell: kept, for the test to hand over when it likes.

The shop itself cannot be posted to from outside: it lives in the test's transaction.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


class Letter(NamedTuple):
    headers: dict[str, str]
    body: bytes


@dataclass
class Postbox:
    url: str
    letters: list[Letter] = field(default_factory=list)

    def wait(self, count: int = 1) -> list[Letter]:
        """All there are, once there are so many; out of the box."""
        deadline = time.monotonic() + 10
        while len(self.letters) < count:
            assert time.monotonic() < deadline, f"{len(self.letters)} of {count} letters"
            time.sleep(0.01)
        taken, self.letters[:] = list(self.letters), []
        return taken


@contextmanager
def postbox(path: str, *, says: bytes = b"") -> Iterator[Postbox]:
    """At that path; whoever posts is told `says`, so that it does not post again."""

    class Slot(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            box.letters.append(Letter(dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(says)))
            self.end_headers()
            self.wfile.write(says)

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slot)
    box = Postbox(f"http://127.0.0.1:{server.server_port}{path}")
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
