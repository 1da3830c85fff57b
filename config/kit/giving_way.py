"""A long job steps back: people who wait for an answer get the processor first.

PostgreSQL knows no priority of a session; the kernel does, where the server is on this machine.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from django.db import connection

NICE = 19  # whatever others leave of the processor


def give_way() -> None:
    """For the rest of this thread and of its database connection; where it may not, nothing."""
    pids = [threading.get_native_id()]
    if server := _server():
        pids.append(server)
    for pid in pids:
        with suppress(OSError):  # another user's process
            os.setpriority(os.PRIO_PROCESS, pid, NICE)


def _server() -> int | None:
    """The process that serves this connection, if it is one of this machine."""
    if not connection.settings_dict["HOST"].startswith("/"):
        return None
    connection.ensure_connection()
    pid: int = connection.connection.info.backend_pid
    with suppress(OSError):  # another container's number
        if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres":
            return pid
    return None
