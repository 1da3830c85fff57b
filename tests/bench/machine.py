"""What /proc says about processes and the machine; Linux only, as the figures are."""

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def cpu_seconds(root: int) -> float:
    """CPU that a process and all below it have used, reaped children included."""
    stats = dict(_stats())
    # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which two were cut off.
    ticks = sum(sum(map(int, stats[pid][11:15])) for pid in _family(root, stats))
    return ticks / TICK


def peak_megabytes(root: int) -> float:
    """The most memory that one of these processes ever had resident."""
    return max(_megabytes(pid, "VmHWM") for pid in _family(root, dict(_stats())))


def forget_peak(root: int) -> None:
    """Count the peak from here on (proc(5), clear_refs)."""
    for pid in _family(root, dict(_stats())):
        (PROC / str(pid) / "clear_refs").write_text("5")


@contextmanager
def private_watched(root: int, every: float = 0.5) -> Iterator[list[float]]:
    """The most that one of these processes has for itself, in MB; looked up until the block ends.

    Anonymous memory (RssAnon): what is shared, such as the buffers of PostgreSQL, is not in it.
    The kernel keeps no peak of it, so a peak between two looks is missed.
    """
    seen, is_over = [0.0], Event()

    def look() -> None:
        while not is_over.wait(every):
            seen.append(max(_megabytes(pid, "RssAnon") for pid in _family(root, dict(_stats()))))

    looking = Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        is_over.set()
        looking.join()


def _megabytes(pid: int, what: str) -> float:
    """A line of `status`; a process that has just ended has none."""
    try:
        said = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    kilobytes = said.partition(f"{what}:")[2].split()
    return int(kilobytes[0]) / 1024 if kilobytes else 0


def _family(root: int, stats: dict[int, list[str]]) -> set[int]:
    """A process and all below it."""
    family, more = set[int](), {root} & stats.keys()
    while more:
        family |= more
        more = {pid for pid, fields in stats.items() if int(fields[1]) in more} - family
    return family


def _stats() -> Iterator[tuple[int, list[str]]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "stat").read_text()
            except OSError:
                continue  # it has ended
            # The name stands in brackets and may hold anything.
            yield int(entry.name), line.rpartition(")")[2].split()


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """In a child: end when the bench ends, however it ends."""
    ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG


def described() -> str:
    cpu = PROC.joinpath("cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    return (
        f"{os.cpu_count()} cores {cpu or platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def busy() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]
