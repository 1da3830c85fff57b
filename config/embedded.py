"""PostgreSQL and Redis (Valkey) from their pip wheels, for the trial and the tests.

A program *uses* the engines of a folder by holding a shared lock there, which the kernel takes
back however the program ends.  Each engine has a guardian: this module, run as a small process of
its own.  It starts the engine, starts it again when it dies, and stops it when nobody uses it.
"""

import atexit
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from config.engines import (
    Engine,
    EngineError,
    Patience,
    Postgres,
    Valkey,
    environment,
    plain,
    reason_in,
    running_as,
    socket_folder,
    taken,
)

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".data"
LOG_LIMIT = 5 * 2**20  # bytes; a longer log is set aside at the next start
QUICK_DEATHS = 5
QUICK = 3.0  # seconds


# --- what programs call -------------------------------------------------------------------------


def celery_broker_url(redis_url: str) -> str:
    """The same Redis as Celery writes it: `unix:///path?db=1` is its `redis+socket:///path`."""
    url = urlsplit(redis_url)
    if url.scheme != "unix":
        return redis_url
    query = [("virtual_host" if key == "db" else key, value) for key, value in parse_qsl(url.query)]
    # urlunsplit knows neither scheme and would swallow the empty host.
    broker = f"redis+socket://{url.netloc}{url.path}"
    return f"{broker}?{urlencode(query)}" if query else broker


@dataclass(frozen=True)
class Engines:
    """Both engines of one folder, in use by this program until `stop()` or its end."""

    postgres: "Use"
    redis: "Use"

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.redis.url

    def stop(self) -> None:
        """Stop using them; return once they are down, unless another program uses them too."""
        self.redis.stop()
        self.postgres.stop()


def engines(home: Path, *, throwaway: bool = False) -> Engines:
    """Use the engines of a folder, started if they are not running.  Raises `EngineError`.

    Throwaway engines do not sync to disk and remove their files when they stop.
    """
    postgres = Use(Postgres(home, throwaway=throwaway))
    try:
        return Engines(postgres, Use(Valkey(home, throwaway=throwaway)))
    except EngineError:
        postgres.stop()
        raise


def ensure(home: Path = DATA) -> None:
    """Set DATABASE_URL and REDIS_URL to engines of this clone where they are not set.

    For entry points: an engine that cannot start ends the program with one line.  Production gets
    no engine from here: a variable that was forgotten must not look like an empty shop.
    """
    if os.environ.get("SIYU_ENV", "production") == "production":
        return
    try:
        for variable, engine in (("DATABASE_URL", Postgres), ("REDIS_URL", Valkey)):
            if not os.environ.get(variable):
                use = Use(engine(home))
                os.environ[variable] = use.url
                atexit.register(use.stop)
    except EngineError as error:
        raise SystemExit(f"siyu: {error}") from None


class Use:
    """One program's use of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pid = os.getpid()
        self._guardian: subprocess.Popen[bytes] | None = None  # if this program started it
        try:
            engine.home.mkdir(parents=True, exist_ok=True, mode=0o711)
            with ExitStack() as undo:
                self._users = undo.enter_context(engine.file("users"))
                # Waits for a guardian that is just stopping its engine.
                fcntl.flock(self._users, fcntl.LOCK_SH)
                with engine.file("starting") as turn:
                    fcntl.flock(turn, fcntl.LOCK_EX)
                    self._join()
                self.url = str(engine.state()["url"])
                undo.pop_all()
        except OSError as error:
            raise EngineError(f"{engine.label} could not start: {plain(error)}") from None

    @property
    def pid(self) -> int:
        """The server's process, which changes when the guardian had to start it again."""
        return int(self._engine.state()["pid"])

    def stop(self) -> None:
        if self._users.closed or os.getpid() != self._pid:
            return  # a fork shares its parent's lock and must not give it back
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._users.close()  # another program uses it: its guardian stays
            return
        with suppress(FileNotFoundError):  # the folder was removed
            self._dismiss()
        self._users.close()
        if self._guardian is not None:
            self._guardian.wait(10)

    def _dismiss(self) -> None:
        """Nobody else uses it: end its guardian, and wait for that."""
        patience = Patience(f"waiting for {self._engine.label} to stop")
        # Both opened before: throwaway engines remove the files with the folder.
        with self._engine.file("guardian") as guardian, self._engine.file("alive") as alive:
            if taken(guardian):
                os.kill(int(self._engine.state()["guardian"]), signal.SIGTERM)
            while taken(alive) and patience.lasts(90):
                pass

    def _join(self) -> None:
        """Attach to the running engine, or start it once the last of an earlier one is gone."""
        engine, patience = self._engine, Patience(f"waiting for {self._engine.label}")
        while engine.held("alive"):
            if engine.held("guardian") and engine.answers():
                return
            if not patience.lasts(120):
                raise EngineError(f"{engine.label} neither stops nor starts (log: {engine.log})")
        self._start()

    def _start(self) -> None:
        engine = self._engine
        mode = "throwaway" if engine.throwaway else "kept"
        argv = [sys.executable, "-m", "config.embedded", engine.name, str(engine.home.parent), mode]
        # Not a program of the shop: `ensure()` inside it would wait for itself.
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": path, "SIYU_ENV": "production"}
        self._guardian = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=env,
            cwd="/",
            start_new_session=True,
        )
        assert self._guardian.stdout is not None
        with self._guardian.stdout as line:
            answer = line.readline().decode()
        if answer != "ready\n":
            self._guardian.wait(10)
            raise EngineError(answer.strip() or f"{engine.label} could not start")


# --- the guardian -------------------------------------------------------------------------------


class Guardian:
    """Runs one engine for as long as somebody uses it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dismissed = False
        self._deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._dismiss)

    def _dismiss(self, *_: object) -> None:
        self._dismissed = True

    def start(self) -> None:
        engine = self._engine
        self._lock = engine.file("guardian")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._alive = engine.file("alive")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._users = engine.file("users")
        if engine.log.exists() and engine.log.stat().st_size > LOG_LIMIT:
            engine.log.rename(engine.log.with_suffix(".log.1"))
        self._sockets = socket_folder(engine.home, engine.account)
        written = engine.log.stat().st_size if engine.log.exists() else 0
        try:
            engine.prepare(self._sockets)
            self._launch()
            self._await_ready(written)
        except (EngineError, OSError):
            self.stop()
            raise

    def _launch(self) -> None:
        engine = self._engine
        with engine.log.open("ab") as log:
            self._process = subprocess.Popen(
                engine.argv(self._sockets),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment(),
                start_new_session=True,
                pass_fds=[self._alive.fileno()],
                # Safe: a guardian has one thread.  Runs after the change of user, which would
                # clear the signal.
                preexec_fn=_die_with_parent(engine.stop_signal),  # noqa: PLW1509
                **running_as(engine.account),
            )
        self._started = time.monotonic()
        state = {
            "url": engine.url(self._sockets),
            "sockets": str(self._sockets),
            "pid": self._process.pid,
            "guardian": os.getpid(),
        }
        new = engine.home / "state.new"
        new.touch(0o600)
        new.write_text(json.dumps(state))
        new.rename(engine.home / "state.json")

    def _await_ready(self, written: int) -> None:
        engine, patience = self._engine, Patience(f"{self._engine.label} is recovering")
        while not engine.ready(self._sockets):
            assert self._process is not None
            if self._process.poll() is not None:
                with engine.log.open("rb") as log:
                    log.seek(written)
                    reason = reason_in(log.read().decode(errors="replace"))
                if shutil.disk_usage(engine.data).free < 2**20:
                    reason = f"no space left in {engine.data}"
                raise EngineError(f"{engine.label} could not start: {reason} (log: {engine.log})")
            if self._dismissed or not patience.lasts(600):
                raise EngineError(f"{engine.label} did not become ready (log: {engine.log})")

    def watch(self) -> None:
        """Until nobody uses the engine, or it keeps dying."""
        assert self._process is not None
        while not self._dismissed and not self._nobody_left():
            time.sleep(0.2)
            if self._process.poll() is not None and not self._launch_again():
                return

    def _launch_again(self) -> bool:
        quick = time.monotonic() - self._started < QUICK
        self._deaths = self._deaths + 1 if quick else 1
        if self._deaths > QUICK_DEATHS:
            with self._engine.log.open("a") as log:
                log.write(f"siyu: {self._engine.label} keeps dying and is not started again\n")
            return False
        time.sleep(0.1 * 2**self._deaths)
        self._launch()
        return True

    def _nobody_left(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        try:  # the folder was removed under us, and its data with it
            there = (self._engine.home / "users").stat()
        except OSError:
            return True
        return there.st_ino != os.fstat(self._users.fileno()).st_ino

    def stop(self) -> None:
        engine, process = self._engine, self._process
        (engine.home / "state.json").unlink(missing_ok=True)
        if process is not None and process.poll() is None:
            process.send_signal(engine.stop_signal)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)
        if engine.throwaway:
            shutil.rmtree(engine.data.resolve(), ignore_errors=True)
            shutil.rmtree(engine.home, ignore_errors=True)
            with suppress(OSError):
                engine.home.parent.rmdir()


def _die_with_parent(number: signal.Signals) -> Any:
    libc = ctypes.CDLL(None)
    prctl = getattr(libc, "prctl", None)  # Linux
    parent = os.getpid()

    def arm() -> None:
        if prctl is not None:
            prctl(1, number)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return arm


def _answer(line: str) -> None:
    """One line for the program that waits; after it, its terminal is not ours any more."""
    sys.stdout.write(" ".join(line.split()) + "\n")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for terminal in (1, 2):
        os.dup2(nowhere, terminal)


def main(name: str, home: str, mode: str) -> None:
    kind = Postgres if name == Postgres.name else Valkey
    engine = kind(Path(home), throwaway=mode == "throwaway")
    guardian = Guardian(engine)
    try:
        guardian.start()
    except EngineError as error:
        return _answer(str(error))
    except OSError as error:
        return _answer(f"{engine.label} could not start in {engine.home}: {plain(error)}")
    _answer("ready")
    try:
        guardian.watch()
    finally:
        guardian.stop()
        os._exit(0)  # the locks end with the process, not before


if __name__ == "__main__":
    main(*sys.argv[1:])
