"""Programs are real processes, engines are real engines; ends are real kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis

from config.embedded import EngineError, Engines, celery_broker_url, engines, ensure
from config.engines import SOCKET_PATH_LIMIT, Account, may_enter, own_folder, short_hash

ROOT = Path(__file__).resolve().parent.parent.parent
AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="needs root: mounts or changes users")

# A program that uses the engines of argv[1], says so, and stays until its stdin ends.
PROGRAM = """
import json, sys
from pathlib import Path
from config.embedded import engines
used = engines(Path(sys.argv[1]))
print(json.dumps([used.database_url, used.redis_url]), flush=True)
sys.stdin.read()
used.stop()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """As a clone's `.data/`: where PostgreSQL's user, when it is another one, may walk."""
    clone = Path(tempfile.mkdtemp(prefix="siyu-clone-"))
    clone.chmod(0o711)
    yield clone / ".data"
    shutil.rmtree(clone)
    for outside in _outside(clone / ".data"):
        shutil.rmtree(outside, ignore_errors=True)


def _outside(home: Path) -> list[Path]:
    """Where PostgreSQL's data go when its user cannot reach the clone."""
    name = f"siyu-{short_hash(home.resolve() / 'postgres')}"
    return [Path("/var/lib") / name, Path("/var/tmp") / name]  # noqa: S108


@pytest.fixture
def program(home: Path) -> Iterator[Callable[[], "Program"]]:
    started: list[Program] = []

    def start(**options: object) -> Program:
        started.append(Program(home, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
    _wait_until(lambda: not _processes_of(home))


class Program:
    def __init__(self, home: Path, **options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        line = self.process.stdout.readline()
        assert line, "the program could not start"
        self.database_url, self.redis_url = json.loads(line)

    def end(self) -> None:
        self.process.communicate("")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def _wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _processes_of(home: Path) -> list[str]:
    """Command lines of guardians and servers of this folder, and of the sockets made for it."""
    names = [str(home), *(short_hash(home.resolve() / name) for name in ("postgres", "redis"))]
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = entry.read_bytes().replace(b"\0", b" ").decode()
            if any(name in line for name in names) and PROGRAM.strip()[:20] not in line:
                found.append(line)
    return found


def _remember(database_url: str, redis_url: str) -> None:
    with psycopg.connect(database_url) as database:
        database.execute("CREATE TABLE kept (word text)")
        database.execute("INSERT INTO kept VALUES ('红富士')")
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("queue", *range(1000))


def _assert_remembered(database_url: str, redis_url: str) -> None:
    with psycopg.connect(database_url) as database:
        assert database.execute("SELECT word FROM kept").fetchone() == ("红富士",)
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("queue") == 1000


def test_data_survive_a_restart_and_nothing_runs_in_between(home, program):
    first = program()
    _remember(first.database_url, first.redis_url)
    first.end()

    assert not _processes_of(home)
    second = program()
    _assert_remembered(second.database_url, second.redis_url)


def test_a_killed_program_takes_its_engines_along_and_the_next_finds_its_data(home, program):
    first = program()
    _remember(first.database_url, first.redis_url)
    first.kill()

    _wait_until(lambda: not _processes_of(home))
    assert "database system is shut down" in (home / "postgres" / "server.log").read_text()
    second = program()
    _assert_remembered(second.database_url, second.redis_url)


def test_a_program_that_starts_while_the_killed_one_s_engines_stop_waits_for_them(home, program):
    first = program()
    _remember(first.database_url, first.redis_url)
    first.kill()

    second = program()
    _assert_remembered(second.database_url, second.redis_url)


def test_when_everything_is_killed_at_once_the_leftovers_of_pids_and_sockets_are_in_nobody_s_way(
    home, program
):
    first = program()
    _remember(first.database_url, first.redis_url)
    for name in ("postgres", "redis"):
        state = json.loads((home / name / "state.json").read_text())
        os.kill(state["guardian"], signal.SIGKILL)
        os.kill(state["pid"], signal.SIGKILL)
    first.kill()
    _wait_until(lambda: not _processes_of(home))
    # After a reboot the number may be anybody's, here the one of a process that lives.
    lock = home / "postgres" / "data" / "postmaster.pid"
    lock.write_text(lock.read_text().replace(str(state["pid"]), str(os.getpid()), 1))

    second = program()
    _assert_remembered(second.database_url, second.redis_url)


def test_two_programs_of_one_clone_share_the_engines_until_the_last_ends(home, program):
    first = program()
    second = program()
    assert (first.database_url, first.redis_url) == (second.database_url, second.redis_url)

    first.end()
    _remember(second.database_url, second.redis_url)
    second.end()
    assert not _processes_of(home)


def test_programs_that_start_at_the_same_moment_meet_in_one_pair_of_engines(home):
    argv = [sys.executable, "-c", PROGRAM, str(home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    programs = [subprocess.Popen(argv, cwd=ROOT, text=True, **pipes) for _ in range(4)]
    lines = {one.stdout.readline() for one in programs}
    for one in programs:
        one.communicate("")

    assert len(lines) == 1
    assert "postgresql" in lines.pop()
    assert not _processes_of(home)


def test_engines_of_two_folders_do_not_meet(home):
    demo = engines(home)
    tests = engines(home.parent / "tests", throwaway=True)
    with psycopg.connect(demo.database_url) as database:
        database.execute("CREATE TABLE kept (word text)")
    with psycopg.connect(tests.database_url) as database:
        assert database.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    tests.stop()
    demo.stop()


def test_throwaway_engines_leave_nothing(home):
    used = engines(home, throwaway=True)
    sockets = Path(json.loads((home / "redis" / "state.json").read_text())["sockets"])
    used.stop()

    assert not home.exists()
    assert not sockets.exists()
    assert not _processes_of(home)


@pytest.mark.parametrize("engine", ["postgres", "redis"])
def test_an_engine_that_is_killed_comes_back_at_the_same_address(home, engine):
    used = engines(home)
    _remember(used.database_url, used.redis_url)
    pid = getattr(used, engine).pid
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        with suppress(psycopg.OperationalError, redis.ConnectionError, redis.BusyLoadingError):
            _assert_remembered(used.database_url, used.redis_url)
            return True
        return False

    _wait_until(lambda: getattr(used, engine).pid != pid)
    _wait_until(back)
    used.stop()
    assert not _processes_of(home)


def test_removing_the_folder_under_running_engines_stops_them(home):
    used = engines(home)
    shutil.rmtree(home, ignore_errors=True)  # the server removes some itself
    _wait_until(lambda: not _processes_of(home))
    used.stop()


def test_a_fork_of_the_program_does_not_stop_the_engines(home):
    used = engines(home)
    if (child := os.fork()) == 0:
        used.stop()
        os._exit(0)
    os.waitpid(child, 0)
    _remember(used.database_url, used.redis_url)
    used.stop()


def test_a_path_too_long_for_a_socket_is_no_obstacle(home):
    deep = home.joinpath(*["very-long-folder-name"] * 8)
    assert len(str(deep)) > SOCKET_PATH_LIMIT
    used = engines(deep)
    _remember(used.database_url, used.redis_url)
    used.stop()


def test_the_database_speaks_chinese_and_utc(home):
    used = engines(home, throwaway=True)
    with psycopg.connect(used.database_url) as database:
        ask = "SELECT '红' ~ '\\w', current_setting('timezone'), current_setting('jit')"
        assert database.execute(ask).fetchone() == (True, "UTC", "off")
        assert database.execute("SHOW max_connections").fetchone() == ("200",)
    used.stop()


# --- what can be wrong with the machine ---------------------------------------------------------


def test_files_that_somebody_else_may_read_are_not_there(home):
    used = engines(home)
    for folder in ("postgres/data", "redis/data"):
        assert (home / folder).stat().st_mode & 0o077 == 0
    assert (home / "postgres" / "state.json").stat().st_mode & 0o077 == 0
    used.stop()


@only_root
def test_a_clone_under_a_closed_home_keeps_its_database_outside(home, program):
    (home.parent).chmod(0o700)
    first = program()
    _remember(first.database_url, first.redis_url)
    first.end()

    data = (home / "postgres" / "data").resolve()
    assert data.parent in _outside(home)
    assert data.parent.stat().st_mode & 0o777 == 0o700
    assert home.parent.stat().st_mode & 0o777 == 0o700
    second = program()
    _assert_remembered(second.database_url, second.redis_url)
    second.end()

    shutil.rmtree(home)
    third = program()  # `.data/` was removed: so was what it pointed at
    with psycopg.connect(third.database_url) as database:
        assert database.execute("SELECT to_regclass('kept')").fetchone() == (None,)


@only_root
def test_a_copied_clone_does_not_open_the_database_of_the_original(home, program):
    home.parent.chmod(0o700)
    first = program()
    _remember(first.database_url, first.redis_url)
    copy = home.parent / "copy" / ".data"
    shutil.copytree(home, copy, symlinks=True)

    second = Program(copy)
    with psycopg.connect(second.database_url) as database:
        assert database.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    second.end()
    _assert_remembered(first.database_url, first.redis_url)
    for outside in _outside(copy):
        shutil.rmtree(outside, ignore_errors=True)


@only_root
def test_an_ordinary_user_starts_engines_and_another_user_s_clone_is_one_clear_line(home, program):
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    if not may_enter(Account(65534, 65534), Path(sys.executable)):
        pytest.skip("this Python is closed to the user nobody; run the tests as an ordinary user")
    home.mkdir()
    os.chown(home, 65534, 65534)
    first = program(**nobody)
    _remember(first.database_url, first.redis_url)
    first.end()

    theirs = home.parent / "of-root"
    engines(theirs).stop()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(theirs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        **nobody,  # type: ignore[call-overload]
    )
    assert done.returncode == 1
    assert "EngineError: PostgreSQL could not start: Permission denied" in done.stderr


@pytest.fixture
def small_disk(home: Path) -> Iterator[Callable[[int], Path]]:
    home.mkdir()

    def mount(megabytes: int) -> Path:
        size = f"size={megabytes}m,mode=0755"
        done = subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", size, "tmpfs", str(home)],
            check=False,
            capture_output=True,
        )
        if done.returncode != 0:
            pytest.skip("this container may not mount a small disk")
        return home

    yield mount
    subprocess.run(["/bin/umount", "-l", str(home)], check=False, capture_output=True)


@only_root
def test_a_disk_without_room_is_one_clear_line_and_leaves_nothing_running(small_disk):
    home = small_disk(20)
    with pytest.raises(EngineError, match=r"PostgreSQL needs 150 MB in .*, only \d+ MB are free"):
        engines(home)
    assert not _processes_of(home)


@only_root
def test_a_disk_that_is_full_at_a_later_start_is_one_clear_line(small_disk):
    home = small_disk(200)
    engines(home).stop()
    with suppress(OSError), (home / "ballast").open("wb") as ballast:
        while True:
            ballast.write(bytes(2**16))
    with pytest.raises(EngineError, match=r"[Nn]o space left"):
        engines(home)
    assert not _processes_of(home)

    (home / "ballast").unlink()
    engines(home).stop()


def test_a_broken_database_is_one_clear_line_with_its_log(home):
    engines(home).stop()
    (home / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(
        EngineError,
        match=r"PostgreSQL could not start: database files are incompatible .*server.log",
    ):
        engines(home)
    assert not _processes_of(home)


@only_root
def test_a_folder_that_somebody_else_made_first_is_refused(home):
    home.mkdir()
    os.chown(home, 1234, 1234)
    with pytest.raises(EngineError, match="made by somebody else"):
        own_folder(home, Account(0, 0))


def test_a_link_in_place_of_the_folder_is_refused(home):
    home.symlink_to("/")
    with pytest.raises(EngineError, match="made by somebody else"):
        own_folder(home, Account(os.geteuid(), os.getegid()))


# --- entry points -------------------------------------------------------------------------------


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("SIYU_ENV", "demo")
    return monkeypatch


def _ask_ensure(home: Path) -> list[str]:
    code = (
        "import json, os, sys; from pathlib import Path; from config.embedded import ensure;"
        "ensure(Path(sys.argv[1]));"
        "print(json.dumps([os.environ['DATABASE_URL'], os.environ['REDIS_URL']]))"
    )
    argv = [sys.executable, "-c", code, str(home)]
    return json.loads(subprocess.check_output(argv, cwd=ROOT))


def test_entry_points_get_both_engines_and_stop_them_when_they_end(home, unset):
    database_url, redis_url = _ask_ensure(home)

    assert database_url.startswith("postgresql://")
    assert redis_url.startswith("unix://")
    assert not _processes_of(home)


@pytest.mark.parametrize(
    ("given", "started"), [("DATABASE_URL", "redis"), ("REDIS_URL", "postgres")]
)
def test_with_one_url_set_only_the_other_engine_is_started(home, unset, given, started):
    unset.setenv(given, "elsewhere")

    assert "elsewhere" in _ask_ensure(home)
    assert [folder.name for folder in home.iterdir()] == [started]


def test_with_both_urls_set_nothing_is_started(home, unset):
    unset.setenv("DATABASE_URL", "postgresql://elsewhere/shop")
    unset.setenv("REDIS_URL", "redis://elsewhere/0")
    ensure(home)

    assert not home.exists()
    assert os.environ["REDIS_URL"] == "redis://elsewhere/0"


def test_production_gets_no_engine_from_here(home, unset):
    unset.setenv("SIYU_ENV", "production")
    ensure(home)

    assert not home.exists()
    assert not os.environ["DATABASE_URL"]


def test_an_engine_that_cannot_start_ends_the_program_with_one_line(home, unset):
    home.write_text("a file in the way")
    with pytest.raises(SystemExit, match=r"^siyu: PostgreSQL could not start: "):
        ensure(home)


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("unix:///tmp/a/redis.sock?db=0", "redis+socket:///tmp/a/redis.sock?virtual_host=0"),
        ("unix:///tmp/a/redis.sock", "redis+socket:///tmp/a/redis.sock"),
        ("redis://:secret@host:6379/1", "redis://:secret@host:6379/1"),
        ("rediss://host/1", "rediss://host/1"),
    ],
)
def test_celery_reads_the_same_address(redis_url, broker):
    assert celery_broker_url(redis_url) == broker


def test_the_engines_of_this_very_run_are_throwaway(redis_client):
    assert isinstance(Engines, type)
    assert redis_client.config_get("appendonly") == {"appendonly": "no"}
