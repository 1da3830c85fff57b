"""The least that PostgreSQL and Redis must do for the same work: tables and statements.

Definitions: the table of limits in the design's performance.md.
"""

import random
import time
from collections.abc import Sequence
from uuid import uuid4

import psycopg
import redis
from django.db import connection

SKUS = 1_000

TABLES = f"""
CREATE TABLE bench_sku (id int PRIMARY KEY, stock int NOT NULL CHECK (stock >= 0),
    price_fen bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE bench_idem (key uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE bench_order (id bigint PRIMARY KEY, buyer bigint NOT NULL, total_fen bigint NOT NULL,
    status smallint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON bench_order (buyer, id);
CREATE TABLE bench_line (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES bench_order, sku int NOT NULL, quantity int NOT NULL,
    price_fen bigint NOT NULL);
CREATE INDEX ON bench_line (order_id);
CREATE TABLE bench_payment (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES bench_order, account text NOT NULL UNIQUE,
    amount_fen bigint NOT NULL, status smallint NOT NULL);
CREATE INDEX ON bench_payment (order_id);
CREATE TABLE bench_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL,
    payload jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now());
INSERT INTO bench_sku SELECT i, 2000000000, i + 99 FROM generate_series(1, {SKUS}) i;
"""  # noqa: S608

# The eight statements of the smallest honest order as one.
ORDER = """
WITH i AS (INSERT INTO bench_idem (key) VALUES (%(key)s) ON CONFLICT DO NOTHING RETURNING 1),
s AS (UPDATE bench_sku SET stock = stock - %(qty)s WHERE id = %(sku)s AND stock >= %(qty)s
      AND EXISTS (SELECT FROM i) RETURNING price_fen),
o AS (INSERT INTO bench_order (id, buyer, total_fen, status)
      SELECT %(id)s, %(user)s, price_fen * %(qty)s, 0 FROM s RETURNING total_fen),
l AS (INSERT INTO bench_line (order_id, sku, quantity, price_fen)
      SELECT %(id)s, %(sku)s, %(qty)s, price_fen FROM s),
p AS (INSERT INTO bench_payment (order_id, account, amount_fen, status)
      SELECT %(id)s, 'VA' || %(id)s::bigint, price_fen * %(qty)s, 0 FROM s),
x AS (INSERT INTO bench_outbox (topic, payload)
      SELECT 'order.placed', jsonb_build_object('order', %(id)s::bigint) FROM s)
SELECT total_fen FROM o
"""


def make_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(TABLES)


def order_id() -> int:
    """Unique enough for one run."""
    return time.time_ns() << 8 & (1 << 62) - 1 | random.getrandbits(8)


# --- L4: orders by psycopg ----------------------------------------------------------------------


def place_orders(url: str, seconds: float, number: int) -> int:
    """One connection, one statement an order, prepared; how many were placed."""
    chance, placed = random.Random(number), 0
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connected:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            wish = {"key": uuid4(), "qty": 1, "sku": chance.randint(1, SKUS), "user": 7}
            placed += connected.execute(ORDER, wish | {"id": order_id()}).rowcount
    return placed


# --- L5: claims by redis-py ---------------------------------------------------------------------

CLAIM = """
local left = tonumber(redis.call('GET', KEYS[1]) or '0')
if left < 1 then return -1 end
if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0') >= tonumber(ARGV[2]) then return -2 end
redis.call('DECR', KEYS[1])
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
redis.call('XADD', KEYS[3], '*', 'buyer', ARGV[1], 'ticket', ARGV[3])
return left - 1
"""


def claim(url: str, seconds: float, number: int) -> int:
    """One connection, one call a claim; how many were answered."""
    chance, answered = random.Random(number), 0
    keys = [f"bench:{{{number}}}:{name}" for name in ("left", "held", "line")]
    with redis.Redis.from_url(url) as client:
        script = client.register_script(CLAIM)
        client.set(keys[0], 2_000_000_000)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            script(keys, [chance.randint(1, 10**6), 5, "0123456789abcdef"])
            answered += 1
        client.delete(*keys)
    return answered


# --- L6: statement lines, all rows that a shop needs --------------------------------------------

LINE_TABLES = """
DROP TABLE IF EXISTS bench_stage, bench_booked, bench_intent, bench_sold, bench_ledger, bench_told;
CREATE UNLOGGED TABLE bench_stage (serial text NOT NULL, account text NOT NULL,
    amount_fen bigint NOT NULL, booked_on date NOT NULL);
CREATE TABLE bench_booked (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial text NOT NULL UNIQUE, account text NOT NULL, amount_fen bigint NOT NULL,
    booked_on date NOT NULL, intent bigint);
CREATE TABLE bench_intent (id bigint PRIMARY KEY, account text NOT NULL UNIQUE,
    sold bigint NOT NULL, amount_fen bigint NOT NULL, status smallint NOT NULL, paid_at timestamptz)
    WITH (fillfactor = 50);
CREATE TABLE bench_sold (id bigint PRIMARY KEY, status smallint NOT NULL, paid_at timestamptz)
    WITH (fillfactor = 50);
CREATE TABLE bench_ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, fact bigint NOT NULL,
    account text NOT NULL, amount_fen bigint NOT NULL);
CREATE TABLE bench_told (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL,
    payload jsonb NOT NULL);
INSERT INTO bench_intent
    SELECT i, '6228' || lpad(i::text, 14, '0'), i, i %% 50000 + 99, 0
    FROM generate_series(1, %(lines)s) i;
INSERT INTO bench_sold SELECT i, 0 FROM generate_series(1, %(lines)s) i;
ANALYZE bench_intent; ANALYZE bench_sold
"""
SETTLE = """
WITH paid AS (
    UPDATE bench_intent i SET status = 1, paid_at = now() FROM bench_stage s
    WHERE s.account = i.account AND s.amount_fen = i.amount_fen AND i.status = 0
    RETURNING s.serial, i.id, i.sold, i.amount_fen
), booked AS (
    INSERT INTO bench_booked (serial, account, amount_fen, booked_on, intent)
    SELECT s.serial, s.account, s.amount_fen, s.booked_on, p.id
    FROM bench_stage s LEFT JOIN paid p USING (serial) ON CONFLICT (serial) DO NOTHING
), sold AS (
    UPDATE bench_sold o SET status = 1, paid_at = now() FROM paid p WHERE o.id = p.sold
), posted AS (
    INSERT INTO bench_ledger (fact, account, amount_fen)
    SELECT p.id, leg.account, leg.sign * p.amount_fen
    FROM paid p, (VALUES ('bank', 1), ('held', -1)) AS leg (account, sign)
)
INSERT INTO bench_told (topic, payload)
SELECT 'order.paid', jsonb_build_object('order', p.sold) FROM paid p
"""


def fill_lines(url: str, lines: int) -> list[tuple[str, str, int, str]]:
    """Open intents and orders; answers the rows of a statement that pays them all."""
    with psycopg.connect(url, autocommit=True) as connected:
        for statement in LINE_TABLES.split(";"):
            connected.execute(statement, {"lines": lines})
    rows = [
        (f"T{i:012d}", f"6228{i:014d}", i % 50_000 + 99, "2026-11-20") for i in range(1, lines + 1)
    ]
    random.Random(lines).shuffle(rows)
    return rows


def settle_lines(url: str, rows: Sequence[tuple[str, str, int, str]]) -> float:
    """Seconds from the rows in memory to everything committed."""
    with psycopg.connect(url) as connected:
        began = time.perf_counter()
        with connected.cursor().copy("COPY bench_stage FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        connected.execute("ANALYZE bench_stage")
        told = connected.execute(SETTLE).rowcount
        connected.commit()
        passed = time.perf_counter() - began
    if told != len(rows):
        raise RuntimeError(f"{told} of {len(rows)} lines were settled")
    return passed


# --- a payment out of a wallet --------------------------------------------------------------------

WALLETS = """
CREATE TABLE bench_wallet (id int PRIMARY KEY, fen bigint NOT NULL CHECK (fen >= 0))
    WITH (fillfactor = 50);
CREATE TABLE bench_spent (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL UNIQUE, wallet int NOT NULL, amount_fen bigint NOT NULL);
CREATE TABLE bench_moved (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, fact bigint NOT NULL,
    account text NOT NULL, amount_fen bigint NOT NULL);
CREATE INDEX ON bench_moved (fact);
"""
# Key, guarded wallet, payment, two legs: no login, no order, no rule.
SPEND = """
WITH w AS (
    UPDATE bench_wallet SET fen = fen - %(fen)s WHERE id = %(wallet)s AND fen >= %(fen)s
    RETURNING id
), s AS (
    INSERT INTO bench_spent (key, wallet, amount_fen) SELECT %(key)s, id, %(fen)s FROM w
    RETURNING id
)
INSERT INTO bench_moved (fact, account, amount_fen)
SELECT s.id, leg.account, leg.sign * %(fen)s
FROM s, (VALUES ('wallet', 1), ('held', -1)) AS leg (account, sign)
"""


def fill_wallets(count: int, fen: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(WALLETS)
        cursor.execute(
            "INSERT INTO bench_wallet SELECT i, %s FROM generate_series(1, %s) i", [fen, count]
        )
