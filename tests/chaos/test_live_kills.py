"""A sale during which workers and Redis are killed: nobody is cheated, nothing is sold twice."""

import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils.timezone import now
from redis import RedisError

from config import embedded
from config.kit import redis
from livestream import claims, gate, services
from livestream.models import Claim
from livestream.tasks import write_claims
from payments.ledger import services as ledger
from shop.offers.models import Offer
from shop.orders.models import Order
from tests.concurrency.together import together
from tests.factories import key
from tests.livestream.processes import Viewer, await_true, environment, live_process, running
from tests.livestream.stage import Buyer, make_lot, serve

pytestmark = pytest.mark.django_db(transaction=True)

WRITER = """
import django; django.setup()
from livestream.tasks import write_claims
write_claims()
"""


@pytest.fixture(params=["keeps its file", "keeps nothing"])
def own_redis(request, settings):
    """A Redis of this test's own, started again by its guardian when it is killed."""
    home = Path(tempfile.mkdtemp(prefix="siyu-kill-"))
    use = embedded.Use(embedded.Valkey(home, throwaway=request.param == "keeps nothing"))
    shared, settings.REDIS_URL = settings.REDIS_URL, use.url
    forget_connections()
    yield use
    settings.REDIS_URL = shared
    forget_connections()
    use.stop()
    shutil.rmtree(home, ignore_errors=True)


def forget_connections():
    redis.connection.cache_clear()
    gate._script.cache_clear()


def kill(use):
    """`kill -9`, and wait for the next one."""
    before = use.pid
    os.kill(before, signal.SIGKILL)

    def is_back():
        try:
            return use.pid != before and redis.connection().ping()
        except (OSError, ValueError, RedisError):
            return False

    await_true(is_back)


def claim_until_answered(buyer, lot, header=None):
    """As a mini program does: the same key again while the answer is TRY_AGAIN."""
    header = header or key()
    for _ in range(200):
        answer = buyer.claim(lot, headers=header)
        if answer.status_code != 503:
            return answer
        time.sleep(0.05)
    raise AssertionError("the gate did not come back")


def everything_is_even(lot):
    serve()
    serve()
    lot.refresh_from_db()
    sold = Order.objects.exclude(status="CLOSED").count()
    assert sold == lot.offer.taken == Claim.objects.filter(status="ORDERED").count()
    assert sold <= lot.quota
    assert ledger.audit() == []
    return sold


def test_flushall_between_two_claims_costs_places_in_line_never_pieces():
    lot, early, lost = make_lot(quota=10), [Buyer() for _ in range(4)], [Buyer() for _ in range(3)]
    written = [buyer.claim(lot).json()["ticket"] for buyer in early]
    serve()
    headers = [key() for _ in lost]
    tickets = [b.claim(lot, headers=h).json()["ticket"] for b, h in zip(lost, headers, strict=True)]

    redis.connection().flushdb()

    asked = [b.outcome(t).json() for b, t in zip(lost, tickets, strict=True)]
    assert {(one["status"], one["code"]) for one in asked} == {("REFUSED", "TRY_AGAIN")}
    assert early[0].outcome(written[0]).json()["status"] == "ORDERED"
    assert early[0].claim(lot).json()["code"] == "OVER_LIMIT"
    again = [b.claim(lot, headers=h).json() for b, h in zip(lost, headers, strict=True)]
    assert [one["ticket"] for one in again] == tickets
    rest = [Buyer().claim(lot) for _ in range(4)]
    assert [one.status_code for one in rest] == [202, 202, 202, 409]
    assert everything_is_even(lot) == 10
    assert {b.outcome(t).json()["status"] for b, t in zip(lost, tickets, strict=True)} == {
        "ORDERED"
    }


def test_a_replay_after_flushall_is_still_the_same_ticket():
    lot, buyer, header = make_lot(per_buyer_limit=5), Buyer(), key()
    first = buyer.claim(lot, headers=header)
    serve()
    redis.connection().flushdb()

    again = buyer.claim(lot, headers=header)
    other = buyer.claim(lot, 2, headers=header)

    assert again.json() == first.json()
    assert again["Idempotent-Replay"] == "true"
    assert other.status_code == 422
    assert everything_is_even(lot) == 1


def test_what_a_writer_holds_when_the_gate_is_lost_is_void():
    """Its buyer was told to try again, so it must not become an order behind his back."""
    lot, buyer = make_lot(), Buyer()
    ticket = buyer.claim(lot).json()["ticket"]
    held = gate.waiting(lot.number, 10)
    redis.connection().flushdb()
    told = buyer.outcome(ticket).json()

    claims._decide(lot.number, held, now())
    gate.answered(lot.number, held)

    assert told["code"] == "TRY_AGAIN"
    assert not Claim.objects.exists()
    assert buyer.claim(lot).status_code == 202
    assert everything_is_even(lot) == 1


def test_a_writer_that_dies_between_commit_and_acknowledgement_orders_once():
    lot, buyers = make_lot(), [Buyer() for _ in range(3)]
    for buyer in buyers:
        buyer.claim(lot)
    claims._decide(lot.number, gate.waiting(lot.number, 10), now())

    assert len(gate.waiting(lot.number, 10)) == 3
    assert everything_is_even(lot) == 3
    assert gate.waiting(lot.number, 10) == []


def test_flushall_while_forty_buyers_race():
    lot, buyers = make_lot(quota=10), [Buyer() for _ in range(40)]
    tickets, over = {}, threading.Event()

    def act(i):
        if i == 40:
            for _ in range(3):
                time.sleep(0.15)
                redis.connection().flushdb()
            return "flushed"
        if i == 41:
            while not over.is_set():
                write_claims()
            return "wrote"
        answer = claim_until_answered(buyers[i], lot)
        if answer.status_code == 202:
            tickets[i] = answer.json()["ticket"]
        return answer.json().get("code", "QUEUED")

    timer = threading.Timer(3, over.set)
    timer.start()
    endings = together(42, act)
    timer.join()
    sold = everything_is_even(lot)

    assert set(endings) <= {"QUEUED", "SOLD_OUT", "flushed", "wrote"}, endings
    outcomes = [buyers[i].outcome(ticket).json() for i, ticket in tickets.items()]
    assert {one["status"] for one in outcomes} <= {"ORDERED", "REFUSED"}
    ordered = [one["order"] for one in outcomes if one["status"] == "ORDERED"]
    assert len(set(ordered)) == len(ordered) == sold
    # What was lost with the gate is for sale again.
    late = [claim_until_answered(Buyer(), lot).status_code for _ in range(11 - sold)]
    assert late == [202] * (10 - sold) + [409]
    assert everything_is_even(lot) == 10


def test_a_worker_killed_in_the_middle_of_a_batch_leaves_no_half():
    lot, buyers = make_lot(quota=10), [Buyer() for _ in range(12)]
    codes = [buyer.claim(lot).status_code for buyer in buyers]
    assert codes == [202] * 10 + [409] * 2

    with transaction.atomic():
        # Orders, lines and events are written, and it waits for the pieces, which come last.
        Offer.objects.select_for_update().get()
        with running(["-c", WRITER]) as worker:
            await_true(lambda: waits_for_a_lock() or worker.poll() is not None, 30)
            assert worker.poll() is None
            worker.kill()
            worker.wait()
    await_true(lambda: not waits_for_a_lock())

    assert not Order.objects.exists()
    assert not Claim.objects.exists()
    assert len(gate.waiting(lot.number, 100)) == 10
    with running(["-c", WRITER]) as worker:
        assert worker.wait(60) == 0
    assert everything_is_even(lot) == 10


def waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # we look from inside a transaction
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] > 0


def test_redis_killed_between_claims(own_redis):
    lot, early = make_lot(quota=10), [Buyer() for _ in range(6)]
    tickets = [buyer.claim(lot).json()["ticket"] for buyer in early[:3]]
    write_claims(lot=lot.number)
    tickets += [buyer.claim(lot).json()["ticket"] for buyer in early[3:]]

    kill(own_redis)
    for buyer in (Buyer() for _ in range(10)):
        assert claim_until_answered(buyer, lot).status_code in {202, 409}
    serve()
    outcomes = [b.outcome(t).json() for b, t in zip(early, tickets, strict=True)]

    assert [one["status"] for one in outcomes[:3]] == ["ORDERED"] * 3
    lost = {one["code"] for one in outcomes[3:]}
    assert lost in ({None}, {"TRY_AGAIN"})  # kept in the file, or lost and said so
    assert everything_is_even(lot) == 10


def test_while_redis_is_away_nobody_is_told_that_he_has_it(own_redis):
    lot, first, second = make_lot(quota=2), Buyer(), Buyer()
    ticket = first.claim(lot).json()["ticket"]
    os.kill(own_redis.pid, signal.SIGSTOP)  # a black hole: it takes connections and never answers
    try:
        started = time.monotonic()
        refused, unknown = second.claim(lot), first.outcome(ticket)
        took = time.monotonic() - started
        write_claims()  # the worker does not fall over
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)

    assert (refused.status_code, refused.json()["code"]) == (503, "TRY_AGAIN")
    assert refused["Retry-After"]
    assert (unknown.status_code, unknown.json()["code"]) == (503, "TRY_AGAIN")
    assert took < 2
    assert claim_until_answered(second, lot).status_code == 202
    assert everything_is_even(lot) == 2


def test_the_whole_chain_with_a_killed_worker(own_redis, tmp_path):
    """A real worker with its clock, killed with -9 amid fifty claims; another one takes over."""
    env = environment(REDIS_URL=own_redis.url)
    argv = ["-m", "celery", "-A", "config.celery", "worker", "-B", "-c", "2", "-l", "ERROR"]
    argv += ["-s", str(tmp_path / "beat"), "--without-gossip", "--without-mingle"]
    lot, buyers = make_lot(quota=10), [Buyer() for _ in range(50)]
    tickets = {}

    def claim(i):
        if i == 50:
            await_true(lambda: len(tickets) >= 3)
            os.killpg(worker.pid, signal.SIGKILL)
            return "killed"
        answer = claim_until_answered(buyers[i], lot)
        if answer.status_code == 202:
            tickets[i] = answer.json()["ticket"]
        return answer.json().get("code", "QUEUED")

    with running(argv, env) as worker:
        await_true(lambda: redis.connection().keys("siyu:celery:*"), 30)
        endings = together(51, claim)
        worker.wait()
    with running(argv, env):
        await_true(lambda: Claim.objects.count() == 10, 60)

    assert endings == {"QUEUED": 10, "SOLD_OUT": 40, "killed": 1}
    outcomes = [buyers[i].outcome(ticket).json()["status"] for i, ticket in tickets.items()]
    assert outcomes == ["ORDERED"] * 10
    assert everything_is_even(lot) == 10


def test_the_room_goes_on_without_redis(own_redis):
    lot, buyer = make_lot(is_dropped=False), Buyer()
    with live_process(REDIS_URL=own_redis.url) as port:
        viewer = Viewer(port, lot.session.number)
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            services.drop(lot=lot, at=now())
            assert viewer.next()["type"] == "lot.dropped"
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
        kill(own_redis)
        assert claim_until_answered(buyer, lot).status_code == 202  # the gate was never told
        serve()
        assert viewer.next()["type"] == "order.placed"
        services.end(session=lot.session, at=now())
        assert viewer.until("session.ended")
    assert everything_is_even(lot) == 1
