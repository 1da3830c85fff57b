"""What the sandbox remembers: facts on disk, one JSON line each, and the requests it saw."""

import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any
from zoneinfo import ZoneInfo

Fact = dict[str, Any]
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Journal:
    """Append-only; `apply` functions turn a fact into state, now and again after a restart."""

    def __init__(self, path: Path) -> None:
        self.lock = RLock()
        self.requests: deque[Fact] = deque(maxlen=20_000)
        self._apply: dict[str, Callable[[Fact], None]] = {}
        self._path = path
        self._file = path.open("a", encoding="utf-8")
        self._ahead = 0.0

    def on(self, kind: str, apply: Callable[[Fact], None]) -> None:
        self._apply[kind] = apply

    def record(self, kind: str, **fact: Any) -> None:
        """Make a fact true and remember it."""
        with self.lock:
            self._apply[kind](fact)
            self._file.write(json.dumps({"kind": kind, **fact}, ensure_ascii=False) + "\n")
            self._file.flush()

    def replay(self) -> None:
        """Live through the file again; a line cut short by a crash is the last one, and dropped."""
        text = self._path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            self._file.write("\n")
        for line in text.split("\n"):
            try:
                fact = json.loads(line)
            except ValueError:
                continue
            self._apply[fact.pop("kind")](fact)

    def forget(self) -> None:
        """Reset: the facts so far no longer count."""
        with self.lock:
            self._file.truncate(0)
            self.requests.clear()
            self._ahead = 0.0

    def close(self) -> None:
        with self.lock:
            self._file.close()

    # The world's clock, which a test may move on.

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        with self.lock:
            self._ahead += seconds
