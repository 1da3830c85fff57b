"""Is the process up, can it work, and how does it do: for load balancers and Prometheus."""

from datetime import timedelta
from hmac import compare_digest

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.timezone import now
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from config.kit.middleware import Answer, refusal
from config.kit.models import Heartbeat
from config.kit.redis import connection as redis_connection

ALIVE = timedelta(seconds=60)  # a worker that beats every ten seconds


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when all parts work, 503 with the part that does not."""
    checks = {
        "database": _database(),
        "migrations": _migrations(),
        "redis": _redis(),
        "worker": _worker(),
    }
    is_ready = all(state == "ok" for state in checks.values())
    return JsonResponse(checks, status=200 if is_ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "down"
    return "ok"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "unknown"
    return "missing" if missing else "ok"


def _redis() -> str:
    try:
        redis_connection().ping()
    except redis.RedisError:
        return "down"
    return "ok"


def _worker() -> str:
    try:
        is_alive = Heartbeat.objects.filter(name="worker", beat_at__gt=now() - ALIVE).exists()
    except DatabaseError:
        return "unknown"
    return "ok" if is_alive else "silent"


# Days since a booking.
_AGE = """
CASE WHEN booked_at > now() - interval '1 day' THEN '0-1'
     WHEN booked_at > now() - interval '3 days' THEN '1-3'
     WHEN booked_at > now() - interval '7 days' THEN '3-7'
     WHEN booked_at > now() - interval '75 days' THEN '7-75' ELSE '75+' END
"""
_MEASURES = {
    "siyu_orders": ("Orders by status", "SELECT status, count(*) FROM shop_order GROUP BY status"),
    "siyu_refunds": (
        "Refunds by status",
        "SELECT status, count(*) FROM payments_refund GROUP BY status",
    ),
    "siyu_statement_lines": (
        "Statement lines by verdict",
        "SELECT verdict, count(*) FROM payments_statementline GROUP BY verdict",
    ),
    "siyu_reference_codes": (
        "Reference codes in use, of the account that has the most (of 1,000,000)",
        "SELECT 'in_use', coalesce(max(codes_in_use), 0) FROM payments_receivingaccount",
    ),
    # The next three read line_for_a_person: a few lines among millions.
    "siyu_suspense_fen": (
        "Fen that wait for a person, by days since the booking",
        f"""
        SELECT {_AGE},
               sum(amount_fen - allocated_fen - returned_fen)
        FROM payments_statementline
        WHERE verdict IN ('SUGGESTED', 'UNMATCHED', 'CONFLICT') AND is_posted GROUP BY 1
        """,  # noqa: S608  our own words
    ),
    "siyu_suspense_lines": (
        "Lines that wait for a person, by days since the booking",
        f"""
        SELECT {_AGE},
               count(*)
        FROM payments_statementline
        WHERE verdict IN ('SUGGESTED', 'UNMATCHED', 'CONFLICT') GROUP BY 1
        """,  # noqa: S608  our own words
    ),
    "siyu_reversals": (
        "Reversals that wait for a person; found ones are siyu_statement_lines REVERSED",
        """
        SELECT 'CONFLICT', count(*) FROM payments_statementline
        WHERE verdict IN ('SUGGESTED', 'UNMATCHED', 'CONFLICT') AND rule = 'R'
        """,
    ),
    "siyu_channel_days": (
        "Days of payment channels by what came of their bills",
        "SELECT status, count(*) FROM payments_channelday GROUP BY status",
    ),
    "siyu_channel_differences": (
        "Open differences between a channel's bill and our trades",
        """
        SELECT kind, count(*) FROM payments_channeldifference
        WHERE closed_at IS NULL GROUP BY kind
        """,
    ),
    "siyu_statements": (
        "Statement files by status",
        "SELECT status, count(*) FROM payments_statement GROUP BY status",
    ),
    "siyu_statement_rows": (
        "Rows of imported files, and those of them that were known already",
        """
        SELECT state, n FROM (
            SELECT coalesce(sum(lines), 0) AS rows, coalesce(sum(duplicates), 0) AS known
            FROM payments_statement WHERE status = 'DONE'
        ) s, LATERAL (VALUES ('read', rows), ('duplicate', known)) AS v (state, n)
        """,
    ),
}
# Seconds; -1 where there is none.
_AGES = {
    "siyu_worker_silence_seconds": (
        "Since the last heartbeat",
        "SELECT extract(epoch FROM now() - max(beat_at)) FROM kit_heartbeat",
    ),
    "siyu_import_oldest_seconds": (
        "Since the oldest running import was uploaded",
        """
        SELECT extract(epoch FROM now() - min(uploaded_at)) FROM payments_statement
        WHERE status = 'RUNNING'
        """,
    ),
}


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus; with METRICS_TOKEN as a bearer token, or from this machine without one."""
    if not _may_read(request):
        return refusal(request, 404)
    registry = CollectorRegistry()
    with connection.cursor() as cursor:
        for name, (about, sql) in _MEASURES.items():
            gauge = Gauge(name, about, ["state"], registry=registry)
            cursor.execute(sql)
            for state, count in cursor.fetchall():
                gauge.labels(state).set(count)
        for name, (about, sql) in _AGES.items():
            cursor.execute(sql)
            (age,) = cursor.fetchone()
            Gauge(name, about, registry=registry).set(age if age is not None else -1)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return compare_digest(given.encode(), settings.METRICS_TOKEN.encode())
    return request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"} and not request.headers.get(
        "X-Forwarded-For"
    )


_PROBES = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}


def probes(answer: Answer) -> Answer:
    """Load balancers ask by address and without TLS: before the host name and the scheme are."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return _PROBES.get(request.path, answer)(request)

    return middleware
