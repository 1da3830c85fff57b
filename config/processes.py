"""One terminal for several processes: started together, restarted when they die, none left behind.

Each process is the leader of a session of its own, so that Ctrl-C reaches the supervisor alone.
Should the supervisor be killed, the kernel kills the leaders, and the reaper, which notices that
its pipe has ended, kills whatever they had started.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN = 90.0  # seconds
QUICK = 10.0  # seconds; who dies sooner may not have worked at all
QUICK_DEATHS = 5
LOG_LIMIT = 5 * 2**20  # bytes; a longer log is set aside at the next start
IMPORTANT = re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback|[A-Za-z.]+(Error|Exception):)")
COLOURS = (36, 33, 35, 32, 34, 31)

# PR_SET_PDEATHSIG, SIGKILL; then look whether the parent died before that.
_TETHER = """
import ctypes, os, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl: prctl(1, 9)
if os.getppid() != int(sys.argv[1]): os._exit(1)
try: os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error: sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""
# Reads "+12" when a group begins and "-12" when it has ended; at the end of input kills the rest.
_REAPER = """
import os, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try: os.killpg(group, 9)
    except OSError: pass
"""


class ProcessError(RuntimeError):
    """The processes cannot run; the text is for the person at the terminal."""


@dataclass(frozen=True)
class Process:
    """What to run.  `env` comes on top of the supervisor's own environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    # A URL that answers 2xx or 3xx, or a function that says so; None: ready once started.
    ready: Callable[[], bool] | str | None = None
    grace: float = 10.0  # seconds between SIGTERM and SIGKILL


def require_free(ports: Sequence[int], host: str = "127.0.0.1") -> None:
    """Raise `ProcessError` for a port in use, naming a PORT with which all of them are free."""
    for port in ports:
        if _is_free(host, port):
            continue
        steps = range(100, 65536 - max(ports), 100)
        free = (s for s in steps if all(_is_free(host, other + s) for other in ports))
        step = next(free, None)
        advice = f"; try PORT={ports[0] + step} make demo" if step is not None else ""
        raise ProcessError(f"port {port} is in use{advice}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise ProcessError(f"port {port} is not for ordinary users; try PORT=8000") from None
        except OSError:
            return False
    return True


class Supervisor:
    """Runs the processes until a signal, a call of `stop()`, or the end of its patience."""

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        logs: Path,
        quiet: bool = False,
        stop_order: Sequence[str] = (),
        terminal: IO[str] | None = None,
    ) -> None:
        """`quiet` shows errors only; the logs hold everything.  Names not in `stop_order` stop
        after those in it, the last started first."""
        self._terminal = Terminal(terminal or sys.stdout, [one.name for one in processes], quiet)
        self._children = [Child(one, logs, self._terminal) for one in processes]
        by_name = {child.name: child for child in reversed(self._children)}
        self._stop_order = [by_name.pop(name) for name in stop_order] + list(by_name.values())
        self._asked = 0
        self._failure: str | None = None

    def stop(self) -> None:
        """Ask `run()` to end; from any thread."""
        self._asked += 1

    def run(self, then: Callable[[], None] | None = None) -> int:
        """Start everything, do `then` once all are ready, and stay; return an exit code.

        From the main thread: the processes end with the thread that started them.
        """
        with self._on_signals(), _reaper() as reaper:
            try:
                for child in self._children:
                    child.start(reaper)
                self._await_ready()
                self._stay(then)
            except ProcessError as error:
                self._terminal.say(str(error))
                return 1
            finally:
                self._stop_all()
        return 0

    @contextlib.contextmanager
    def _on_signals(self) -> Iterator[None]:
        def ask(*_: object) -> None:
            self._asked += 1

        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, ask) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _await_ready(self) -> None:
        waiting, since = list(self._children), time.monotonic()
        while waiting and not self._asked:
            for child in list(waiting):
                child.revive()
                if child.is_ready():
                    waiting.remove(child)
                    self._terminal.say(f"{child.name} is ready ({child.age():.1f} s)")
            if waiting and time.monotonic() - since > READY_WITHIN:
                raise ProcessError(waiting[0].complain(f"is not ready after {READY_WITHIN:.0f} s"))
            time.sleep(0.1)

    def _stay(self, then: Callable[[], None] | None) -> None:
        if then is not None and not self._asked:
            threading.Thread(target=self._do, args=[then], daemon=True).start()
        while not self._asked:
            for child in self._children:
                child.revive()
            time.sleep(0.1)
        if self._failure is not None:
            raise ProcessError(self._failure)

    def _do(self, then: Callable[[], None]) -> None:
        try:
            then()
        except ProcessError as error:
            self._failure = str(error)
        except BaseException:
            self._failure = traceback.format_exc().rstrip()
        if self._failure is not None:
            self.stop()

    def _stop_all(self) -> None:
        """One after the other.  A second signal ends the patience."""
        asked = self._asked
        for child in self._stop_order:
            child.stop(impatient=lambda: self._asked > asked)


class Terminal:
    """Lines of several processes in one place, each with its name in front."""

    def __init__(self, stream: IO[str], names: Sequence[str], quiet: bool) -> None:
        self._stream = stream
        self._quiet = quiet
        self._width = max((len(name) for name in ("siyu", *names)), default=0)
        self._colours = dict(zip(names, COLOURS * len(names), strict=False))
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        for line in text.splitlines():
            self._write("siyu", line)

    def pass_on(self, name: str, line: str) -> None:
        if not self._quiet or IMPORTANT.search(line):
            self._write(name, line)

    def _write(self, name: str, line: str) -> None:
        front = f"{name:<{self._width}} |"
        if self._coloured:
            front = f"\033[{self._colours.get(name, 1)}m{front}\033[0m"
        # A closed terminal (SIGHUP) is no reason to leave processes behind.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{front} {line}\n")
            self._stream.flush()


class Child:
    """One process, its log, and how often it died."""

    def __init__(self, process: Process, logs: Path, terminal: Terminal) -> None:
        self.name = process.name
        self._process = process
        self._terminal = terminal
        self._log = logs / f"{process.name}.log"
        self._last: deque[str] = deque(maxlen=12)
        self._running: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._started = 0.0
        self._again_at: float | None = None

    def age(self) -> float:
        return time.monotonic() - self._started

    def start(self, reaper: IO[str]) -> None:
        self._reaper = reaper
        self._log.parent.mkdir(parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.rename(self._log.with_suffix(".log.1"))
        self._launch()

    def _launch(self) -> None:
        tether = [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid())]
        self._again_at = None
        self._started = time.monotonic()
        self._running = subprocess.Popen(
            [*tether, *self._process.argv],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._process.env},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._tell_reaper("+")
        assert self._running.stdout is not None
        threading.Thread(target=self._pump, args=[self._running.stdout], daemon=True).start()

    def _tell_reaper(self, sign: str) -> None:
        assert self._running is not None
        with contextlib.suppress(OSError):
            self._reaper.write(f"{sign}{self._running.pid}\n")
            self._reaper.flush()

    def _pump(self, output: IO[bytes]) -> None:
        with output, self._log.open("ab") as log:
            for raw in output:
                with contextlib.suppress(OSError):  # a full disk: the terminal still shows it
                    log.write(raw)
                    log.flush()
                line = raw.decode(errors="replace").rstrip()
                self._last.append(line)
                self._terminal.pass_on(self.name, line)

    def revive(self) -> None:
        """Start it again if it has died, later each time; `ProcessError` when that is no use."""
        assert self._running is not None
        if self._again_at is not None:
            if time.monotonic() >= self._again_at:
                self._launch()
        elif self._running.poll() is not None:
            self._bury()
            self._deaths = self._deaths + 1 if self.age() < QUICK else 1
            how = _how_it_ended(self._running.returncode)
            if self._deaths >= QUICK_DEATHS:
                raise ProcessError(self.complain(f"keeps dying ({how})"))
            pause = 0.2 * 2**self._deaths
            self._again_at = time.monotonic() + pause
            self._terminal.say(f"{self.name} ended ({how}), starting again in {pause:.1f} s")

    def is_ready(self) -> bool:
        if self._again_at is not None:
            return False
        ready = self._process.ready
        if isinstance(ready, str):
            return _answers(ready)
        return ready is None or ready()

    def complain(self, what: str) -> str:
        time.sleep(0.2)  # its last words may still be on their way
        words = "".join(f"\n  {line}" for line in self._last)
        return f"{self.name} {what}; its log {self._log} ends with:{words}"

    def stop(self, impatient: Callable[[], bool]) -> None:
        running = self._running
        if running is None or self._again_at is not None:
            return
        running.terminate()
        deadline = time.monotonic() + self._process.grace
        while running.poll() is None and time.monotonic() < deadline and not impatient():
            time.sleep(0.05)
        if running.poll() is None:
            # For one, a Celery worker whose Redis is gone never ends by itself.
            self._terminal.say(f"{self.name} does not end and is killed")
            running.kill()
            running.wait()
        self._bury()

    def _bury(self) -> None:
        """The leader is dead; so shall be whatever it had started."""
        assert self._running is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._running.pid, signal.SIGKILL)
        self._tell_reaper("-")


def _how_it_ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


# Our own addresses are not asked for through a proxy.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=2) as answer:
            return bool(answer.status < 400)
    except OSError:  # URLError and HTTPError are
        return False


@contextlib.contextmanager
def _reaper() -> Iterator[IO[str]]:
    argv = [sys.executable, "-I", "-S", "-c", _REAPER]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, text=True, start_new_session=True, cwd="/"
    ) as reaper:
        assert reaper.stdin is not None
        yield reaper.stdin
