"""What /proc says about processes and the machine; Linux only, as the figures are."""

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def cpu_seconds(root: int) -> float:
    """CPU that a process and all below it have used, reaped children included."""
    parents = {pid: fields for pid, fields in _stats()}
    family, grown = {root}, True
    while grown:
        more = {pid for pid, fields in parents.items() if int(fields[1]) in family} - family
        grown = bool(more)
        family |= more
    # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which two were cut off.
    ticks = sum(sum(map(int, parents[pid][11:15])) for pid in family if pid in parents)
    return ticks / TICK


def _stats() -> Iterator[tuple[int, list[str]]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "stat").read_text()
            except OSError:
                continue  # it has ended
            # The name stands in brackets and may hold anything.
            yield int(entry.name), line.rpartition(")")[2].split()


def peak_megabytes() -> float:
    """The most memory that this process ever had resident."""
    status = (PROC / "self/status").read_text()
    kilobytes = status.partition("VmHWM:")[2].split()[0]
    return int(kilobytes) / 1024


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
