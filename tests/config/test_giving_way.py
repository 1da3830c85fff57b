"""Long jobs step back by the kernel's own figures, and only they do."""

import os
import threading

import pytest
from django.db import connection

from config.kit.giving_way import NICE, give_way

pytestmark = pytest.mark.django_db(transaction=True)


def nice_of(pid):
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_a_thread_and_its_server_process_step_back_and_nobody_else():
    seen = {}
    before, ours = nice_of(threading.get_native_id()), _server()

    def job():
        try:
            seen["control"] = nice_of(threading.get_native_id())
            give_way()
            seen["thread"] = nice_of(threading.get_native_id())
            seen["server"] = nice_of(_server())
        finally:
            connection.close()

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()

    assert seen["control"] == before < NICE
    assert seen["thread"] == NICE
    assert nice_of(threading.get_native_id()) == before
    if os.access(f"/proc/{ours}/environ", os.R_OK):  # ours to change
        assert seen["server"] == NICE
    assert nice_of(ours) < NICE


def test_a_server_elsewhere_is_left_alone(monkeypatch):
    """Its number may be that of anybody here."""
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    changed = []
    monkeypatch.setattr(os, "setpriority", lambda which, pid, nice: changed.append(pid))

    give_way()

    assert changed == [threading.get_native_id()]


def _server():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]
