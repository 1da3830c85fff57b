"""Supervisors are real programs; what they run are small real programs."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import processes
from config.processes import Process, ProcessError, Supervisor, require_free

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = [sys.executable, "-I", "-S", "-c"]
STAY = "import signal; print('here', flush=True); signal.pause()"
# The leader starts a process of its own, as granian and Celery do, and does not look after it.
PARENT = f"import subprocess, sys; subprocess.Popen([*{PYTHON!r}, {STAY!r}]); {STAY}"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); {STAY}"
TELLS_ITS_END = (
    "import signal, sys, time; print('here', flush=True);"
    "signal.signal(15, lambda *_: sys.exit(open(sys.argv[1], 'a').write(sys.argv[2]) and 0));"
    "[time.sleep(0.05) for _ in range(2000)]"
)

# Runs one process named after the marker, which is in its arguments, so that it can be found.
PROGRAM = """
import sys
from pathlib import Path
from config.processes import Process, Supervisor
marker, logs, *sources = sys.argv[1:]
python = [sys.executable, "-I", "-S", "-c"]
run = [Process(f"p{n}", [*python, source, marker], grace=1) for n, source in enumerate(sources)]
sys.exit(Supervisor(run, logs=Path(logs)).run(lambda: print("all ready", flush=True)))
"""


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[str]:
    name = f"siyu-test-{tmp_path.name}-{os.getpid()}"
    yield name
    assert not _alive(name)


@pytest.fixture
def program(tmp_path: Path, marker: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*sources: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", PROGRAM, marker, str(tmp_path / "log"), *sources]
        one = subprocess.Popen(argv, cwd=ROOT, text=True, stdout=subprocess.PIPE)
        started.append(one)
        while "all ready" not in (line := one.stdout.readline()):
            assert line, "the supervisor ended early"
        return one

    yield start
    for one in started:
        one.kill()
        one.communicate()


def _alive(marker: str) -> list[str]:
    """Processes of this session's children by their sources or by the marker."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            ours = f"PYTEST_MARKER={marker}".encode() in entry.read_bytes()
            line = (entry.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if (ours or marker.encode() in line) and b"Supervisor" not in line and line:
            found.append(line.replace(b"\0", b" ").decode())
    return found


@pytest.fixture(autouse=True)
def _mark(marker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Grandchildren have it in their environment.
    monkeypatch.setenv("PYTEST_MARKER", marker)


def _wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _run(
    *run: Process, logs: Path, then: Callable[[], None] | None = None, **options: object
) -> tuple[int, str]:
    """In this very process: stops by itself once `then` is done."""
    terminal = io.StringIO()
    supervisor = Supervisor(run, logs=logs, terminal=terminal, **options)  # type: ignore[arg-type]

    def do_and_stop() -> None:
        if then is not None:
            then()
        supervisor.stop()

    return supervisor.run(do_and_stop), terminal.getvalue()


def _shop(name: str, source: str, **options: object) -> Process:
    return Process(name, [*PYTHON, source], **options)  # type: ignore[arg-type]


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_counts_as_success(program, marker, number):
    supervisor = program(STAY, PARENT)
    _wait_until(lambda: len(_alive(marker)) >= 3)
    supervisor.send_signal(number)

    assert supervisor.wait(10) == 0
    assert not _alive(marker)


def test_a_killed_supervisor_leaves_no_process_not_even_grandchildren(program, marker):
    supervisor = program(PARENT, STUBBORN)
    _wait_until(lambda: len(_alive(marker)) >= 3)
    supervisor.kill()

    _wait_until(lambda: not _alive(marker))


def test_who_does_not_end_is_killed_after_its_grace(program):
    supervisor = program(STUBBORN)
    supervisor.terminate()

    output, _ = supervisor.communicate(timeout=10)
    assert supervisor.returncode == 0
    assert "p0 does not end and is killed" in output


def test_a_second_signal_ends_the_patience(tmp_path):
    def interrupt_twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    began = time.monotonic()
    supervisor = Supervisor([_shop("web", STUBBORN, grace=60)], logs=tmp_path)
    assert supervisor.run(interrupt_twice) == 0
    assert time.monotonic() - began < 10


def test_processes_stop_in_the_order_that_was_asked_for(tmp_path):
    ends = tmp_path / "ends"
    run = [
        Process(name, [*PYTHON, TELLS_ITS_END, str(ends), f"{name} "])
        for name in ("sandbox", "web", "worker", "beat")
    ]

    def all_here() -> None:
        _wait_until(lambda: all((tmp_path / f"{one.name}.log").exists() for one in run))
        _wait_until(lambda: all((tmp_path / f"{one.name}.log").read_text() for one in run))

    code, _ = _run(*run, logs=tmp_path, then=all_here, stop_order=["beat", "worker"])

    assert code == 0
    assert ends.read_text() == "beat worker web sandbox "


# --- deaths -------------------------------------------------------------------------------------


def test_who_dies_is_started_again(tmp_path):
    dies_once = (
        "import os, signal, pathlib; p = pathlib.Path(os.environ['ONCE']);"
        "p.exists() or (p.touch(), os.kill(os.getpid(), 9)); print('second life', flush=True);"
        "signal.pause()"
    )
    log = tmp_path / "worker.log"
    env = {"ONCE": str(tmp_path / "once")}
    code, output = _run(
        Process("worker", [*PYTHON, dies_once], env=env),
        logs=tmp_path,
        then=lambda: _wait_until(lambda: "second life" in log.read_text()),
    )

    assert code == 0
    assert "worker ended (SIGKILL), starting again" in output


def test_who_keeps_dying_is_given_up_with_its_last_words_and_the_others_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "QUICK_DEATHS", 3)
    code, output = _run(
        _shop("web", STAY),
        _shop("worker", "import sys; sys.exit('no such broker')"),
        logs=tmp_path,
        then=lambda: time.sleep(30),
    )

    assert code == 1
    assert "worker keeps dying (exit code 1)" in output
    assert "  no such broker" in output


def test_a_program_that_does_not_exist_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "QUICK_DEATHS", 2)
    code, output = _run(Process("web", ["no-such-program"], ready=lambda: False), logs=tmp_path)

    assert code == 1
    assert "no-such-program: No such file or directory" in output


def test_a_failure_of_what_was_to_be_done_stops_everything(tmp_path):
    def fail() -> None:
        raise ProcessError("the first sale failed")

    code, output = _run(_shop("web", STAY), logs=tmp_path, then=fail)

    assert code == 1
    assert "siyu | the first sale failed" in output


def test_an_unforeseen_failure_shows_where_it_was(tmp_path):
    code, output = _run(_shop("web", STAY), logs=tmp_path, then=lambda: print(1 / 0))  # noqa: T201

    assert code == 1
    assert "ZeroDivisionError" in output


# --- readiness and output -----------------------------------------------------------------------


def test_a_process_is_ready_when_its_address_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    web = Process("web", serve, ready=f"http://127.0.0.1:{port}/")
    code, output = _run(web, logs=tmp_path)

    assert code == 0
    assert "web is ready (" in output


def test_a_process_that_never_gets_ready_is_reported_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "READY_WITHIN", 0.5)
    web = _shop("web", STAY, ready="http://127.0.0.1:9/")
    code, output = _run(web, logs=tmp_path)

    assert code == 1
    assert "web is not ready after" in output
    assert "  here" in output


def test_every_line_shows_who_said_it_and_is_kept_in_a_log(tmp_path):
    log = tmp_path / "logs" / "worker.log"
    code, output = _run(
        _shop("worker", STAY),
        logs=log.parent,
        then=lambda: _wait_until(lambda: "here" in log.read_text()),
    )

    assert code == 0
    assert "worker | here\n" in output


def test_quietly_only_errors_reach_the_terminal(tmp_path):
    talk = f"print('all is well'); print('2026-11-22 ERROR shop: it is not'); {STAY}"
    log = tmp_path / "web.log"
    _, output = _run(
        _shop("web", talk),
        logs=tmp_path,
        quiet=True,
        then=lambda: _wait_until(lambda: "here" in log.read_text()),
    )

    assert "ERROR shop: it is not" in output
    assert "all is well" not in output
    assert "all is well" in log.read_text()


# --- ports --------------------------------------------------------------------------------------


def test_a_port_in_use_is_named_with_one_that_is_free():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProcessError, match=rf"^port {port} is in use; try PORT=\d+ make demo$"):
            require_free([port - 1, port])


def test_free_ports_are_no_trouble():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    require_free([port])
