"""`kill -9` on the way of money to a channel and back: what all of these tests share.

A process is killed with SIGKILL where it stands: its call is committed and has arrived nowhere (a
port that never answers stands for the channel), or the channel has done it and the answer is still
on its way (the sandbox holds it back), or the answer is here and its commit is not (a lock holds
it).  The next process takes it up, and ends where nothing had happened.

              before the call          done there, no answer     answered, not committed
pay
  WeChat Pay  test_wechat_kills        test_wechat_kills         test_wechat_kills
                ..before_the_prepay      ..wechat_had_the_prepay   ..heard_of_the_payment (worker)
                ..the_web_..asks (web)                             ..inside_a_notice (web)
  Alipay      test_alipay_kills        test_alipay_kills         test_alipay_kills
                ..before_the_code        ..alipay_had_the_code     ..heard_of_the_payment (worker)
                ..the_web_..asks (web)                             ..inside_a_notice (web)
  a bank      nothing is asked                                   transfers/test_killed_imports
  a wallet    one transaction
refund
  WeChat Pay  test_wechat_kills        test_wechat_kills         test_wechat_kills
                ..before_the_refund      ..wechat_had_the_refund   ..heard_of_the_refund
  Alipay      test_alipay_kills        test_alipay_kills         test_alipay_kills
                ..before_the_refund      ..alipay_had_the_refund   ..heard_of_the_refund
  a bank      test_bank_refund_kills   test_bank_refund_kills    test_bank_refund_kills
withdraw
  to WeChat   test_withdrawal_kills, each of its tests for both: ..before_the_call,
  to a bank     ..had_done_it, ..answered
payout        settlement/test_killed_payouts (also between the hold and its being written down)
bills         bills/test_killed
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from django.db import connection, transaction

from tests.livestream.processes import await_true, environment, running, web_process

HELD_BACK = 3.0  # seconds that the sandbox keeps an answer: longer than a process has to live
# Nobody posts anything, so an answer that is money is not committed.
NO_POSTINGS = "LOCK payments_posting IN SHARE MODE"
PRELUDE = """
import json, os, sys
import django; django.setup()
from django.conf import settings
for name, value in json.loads(os.environ.get("TOLD", "{}")).items():
    setattr(settings, name, value)
from django.utils.timezone import now
"""


@contextmanager
def deaf() -> Iterator[tuple[str, list[socket.socket]]]:
    """A port where calls arrive, and nobody answers; how many have."""
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    callers.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", callers
    for caller in callers:
        caller.close()


def told(**settings: Any) -> dict[str, str]:
    """These settings, for a process that begins with PRELUDE."""
    return {"TOLD": json.dumps(settings)}


def killed(script: str, what: Any, env: dict[str, str], *, when: Callable[[], Any]) -> None:
    """Run it in a process that is killed as soon as `when()` is so."""
    with running(["-c", PRELUDE + script, str(what)], environment(**env)) as process:
        await_true(lambda: when() or process.poll() is not None)
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def killed_before_the_commit(script: str, what: Any, env: dict[str, str]) -> None:
    """With its answer in hand."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(NO_POSTINGS)
        killed(script, what, env, when=somebody_waits)
    await_true(lambda: not somebody_waits())  # until the database has seen that he is dead


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else it is that of the first look
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0] > 0)


def kill_the_web(port: int) -> None:
    """All processes that listen there, at one blow."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"granian" in command and str(port).encode() in command:
            os.kill(int(entry.name), signal.SIGKILL)


def posted_and_killed(
    port: int, url: str, client: Any, body: dict[str, Any], *, env: Any, deaf_env: Any, callers: Any
) -> requests.Response:
    """A buyer posts; the web is killed while it asks the channel; he posts the same once more."""
    headers = {
        "Authorization": client._credentials["HTTP_AUTHORIZATION"],
        "Idempotency-Key": str(uuid4()),
    }

    def post() -> requests.Response:
        return requests.post(
            f"http://127.0.0.1:{port}{url}", json=body, headers=headers, timeout=30
        )

    lost: list[Exception] = []

    def first() -> None:
        try:
            post()
        except requests.RequestException as error:
            lost.append(error)

    with web_process(port=port, **deaf_env):
        buyer = threading.Thread(target=first)
        buyer.start()
        await_true(lambda: callers)
        kill_the_web(port)
        buyer.join(30)
    assert lost, "the web has answered before it was killed"
    with web_process(port=port, **env):
        return post()
