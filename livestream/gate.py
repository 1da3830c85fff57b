"""The fast gate in Redis: who gets in line for a lot, decided in one round trip.

PostgreSQL is the truth, the gate is speed.  Per lot it keeps four keys, which share a hash tag:
`lot` (state, pieces left, limit), `held` (pieces by buyer), `tickets` (what each one asked for) and
`line` (the stream of admitted claims that `claims.write` has not answered yet).

What the gate says is a place in line, never a piece: should it be too generous after it was lost,
the writer refuses what PostgreSQL does not have.  Each life of a gate has a number, its epoch,
which is kept in PostgreSQL too; what an earlier life admitted is void.

Every call is bounded by settings.REDIS_TIMEOUT and raises `redis.RedisError` when Redis is silent.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson
from redis import RedisError
from redis.commands.core import Script

from config.kit import redis
from livestream.rules import Allotment, Entry, LotStatus

logger = logging.getLogger(__name__)

KEPT_AFTER_END = timedelta(days=1)
# A lot that is not up yet is remembered for seconds: impatient buyers do not reach PostgreSQL,
# and a drop whose word to the gate was lost is noticed soon.
KEPT_BEFORE_DROP = timedelta(seconds=3)
BUILDING = 2_000  # ms that one process may take to rebuild a gate


class GateMissing(Exception):
    """Redis answers, but knows nothing of this lot: it was flushed, restarted or never told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`verdict`: ADMITTED, REPLAYED, PASSES (would be admitted), or why not.

    `in_line`: claims waiting, this one included.  `members_of`: as in `Allotment`.
    """

    verdict: str
    members_of: int | None
    in_line: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """The gate at one instant."""

    epoch: int
    admitted: int
    left: int
    held: Mapping[int, int]
    waiting: Sequence[Entry]


# KEYS: lot held tickets line.  ARGV: now (ms), buyer, ticket, quantity, address, request id,
# "enter" or "ask".
_CLAIM = """
local lot = redis.call('HMGET', KEYS[1], 'status', 'ends', 'limit', 'left', 'members_of', 'epoch',
  'until')
if not lot[1] then return {'MISSING', '', 0} end
local secret = lot[5] or ''
local asked = ARGV[4] .. ':' .. ARGV[5]
local before = redis.call('HGET', KEYS[3], ARGV[3])
if before then
  if before == asked then return {'REPLAYED', secret, 0} end
  return {'REUSED', secret, 0}
end
if lot[1] ~= 'DROPPED' then return {lot[1], secret, 0} end
if tonumber(ARGV[1]) >= tonumber(lot[2]) then return {'CLOSED', secret, 0} end
local quantity = tonumber(ARGV[4])
local held = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or '0')
if held + quantity > tonumber(lot[3]) then return {'OVER_LIMIT', secret, 0} end
if quantity > tonumber(lot[4]) then return {'SOLD_OUT', secret, 0} end
if ARGV[7] ~= 'enter' then return {'PASSES', secret, 0} end
redis.call('HINCRBY', KEYS[1], 'left', -quantity)
redis.call('HINCRBY', KEYS[2], ARGV[2], quantity)
redis.call('HSET', KEYS[3], ARGV[3], asked)
local position = redis.call('HINCRBY', KEYS[1], 'admitted', 1)
redis.call('XADD', KEYS[4], '*', 'ticket', ARGV[3], 'buyer', ARGV[2], 'quantity', ARGV[4],
  'address', ARGV[5], 'request', ARGV[6], 'position', position, 'epoch', lot[6])
for i = 2, 4 do redis.call('PEXPIREAT', KEYS[i], lot[7]) end
return {'ADMITTED', secret, redis.call('XLEN', KEYS[4])}
"""
# ARGV: until when to keep it (ms), fields (beginning with the epoch), held, tickets: JSON lists.
# Only a gate of an earlier epoch is replaced.
_LOAD = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local fields = cjson.decode(ARGV[2])
if epoch and tonumber(epoch) >= tonumber(fields[2]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
for i, key in ipairs({KEYS[1], KEYS[2], KEYS[3]}) do
  local sides = i == 1 and fields or cjson.decode(ARGV[i + 1])
  for at = 1, #sides, 1000 do
    redis.call('HSET', key, unpack(sides, at, math.min(at + 999, #sides)))
  end
  redis.call('PEXPIREAT', key, ARGV[1])
end
return 1
"""
_MARK = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'status', ARGV[1]) end
"""
# ARGV: epoch, ids.  A later life of the gate keeps its own line.
_ANSWERED = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('XDEL', KEYS[4], unpack(ARGV, 2))
"""
_LOOK = """
local lot = redis.call('HMGET', KEYS[1], 'epoch', 'admitted', 'left')
if not lot[1] then return nil end
return {lot, redis.call('HGETALL', KEYS[2]), redis.call('XRANGE', KEYS[4], '-', '+')}
"""
# ARGV: epoch, admitted (as seen), change of left, status, members_of, buyer, pieces, buyer, …
_CORRECT = """
local lot = redis.call('HMGET', KEYS[1], 'epoch', 'admitted')
if lot[1] ~= ARGV[1] or lot[2] ~= ARGV[2] then return 0 end
redis.call('HINCRBY', KEYS[1], 'left', ARGV[3])
redis.call('HSET', KEYS[1], 'status', ARGV[4], 'members_of', ARGV[5])
for i = 6, #ARGV, 2 do
  if ARGV[i + 1] == '0' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
return 1
"""


@cache
def _script(text: str) -> Script:
    """EVALSHA; Redis is sent the text again when it has forgotten it."""
    return redis.connection().register_script(text)


def _keys(lot: str) -> list[str]:
    return [f"siyu:live:{{{lot}}}:{name}" for name in ("lot", "held", "tickets", "line")]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


# --- buyers -------------------------------------------------------------------------------------


def claim(entry: Entry, *, lot: str, at: datetime, enter: bool) -> Answer:
    """Stand in line, or only ask whether one could; raises GateMissing.  One round trip."""
    verdict, members_of, in_line = _script(_CLAIM)(
        keys=_keys(lot),
        args=[
            _ms(at),
            entry.buyer_id,
            entry.ticket,
            entry.quantity,
            entry.address,
            entry.request_id,
            "enter" if enter else "ask",
        ],
    )
    if verdict == b"MISSING":
        raise GateMissing
    return Answer(verdict.decode(), int(members_of) if members_of else None, in_line)


def epoch_and_place(lot: str, ticket: str) -> tuple[int, bool]:
    """Which life of the gate this is, and whether it has admitted the ticket; or GateMissing."""
    lot_key, _, tickets, _ = _keys(lot)
    pipe = redis.connection().pipeline(transaction=True)
    pipe.hget(lot_key, "epoch")
    pipe.hexists(tickets, ticket)
    epoch, is_known = pipe.execute()
    if epoch is None:
        raise GateMissing
    return int(epoch), bool(is_known)


def is_up(lot: str) -> bool:
    return bool(redis.connection().exists(_keys(lot)[0]))


# --- keepers ------------------------------------------------------------------------------------


def load(allotment: Allotment, *, at: datetime) -> None:
    """Put up the gate where there is none, or one of an earlier epoch (whose line is void)."""
    is_ready = allotment.status == LotStatus.READY
    until = at + KEPT_BEFORE_DROP if is_ready else max(at, allotment.ends_at) + KEPT_AFTER_END
    fields = {
        "epoch": allotment.epoch,
        "until": _ms(until),
        "status": _status(allotment),
        "ends": _ms(allotment.ends_at),
        "limit": allotment.per_buyer_limit,
        "left": allotment.left,
        "members_of": allotment.members_of or "",
        "admitted": allotment.last_position,
    }
    _script(_LOAD)(
        keys=_keys(allotment.lot),
        args=[
            _ms(until),
            *(_flat(pairs) for pairs in (fields, allotment.held, allotment.tickets)),
        ],
    )


def mark(lot: str, status: str) -> None:
    """CLOSED and PAUSED let nobody in, DROPPED does again; who is in line stays there."""
    _script(_MARK)(keys=_keys(lot), args=[status])


def waiting(lot: str, most: int) -> list[Entry]:
    """The head of the line."""
    found: Any = redis.connection().xrange(_keys(lot)[3], count=most)
    return _entries(found)


def answered(lot: str, entries: Sequence[Entry]) -> None:
    """These have their row in PostgreSQL (or are void): they leave the line."""
    for epoch in {entry.epoch for entry in entries}:
        ids = [entry.id for entry in entries if entry.epoch == epoch]
        _script(_ANSWERED)(keys=_keys(lot), args=[epoch, *ids])


def look(lot: str) -> Standing:
    """The whole gate at one instant; raises GateMissing."""
    found = _script(_LOOK)(keys=_keys(lot))
    if found is None:
        raise GateMissing
    (epoch, admitted, left), held, line = found
    pairs = zip(held[::2], held[1::2], strict=True)
    by_buyer = {int(buyer): int(pieces) for buyer, pieces in pairs}
    entries = _entries((id_, _dict(fields)) for id_, fields in line)
    return Standing(int(epoch), int(admitted), int(left), by_buyer, entries)


def correct(allotment: Allotment, seen: Standing, *, left: int, held: Mapping[int, int]) -> bool:
    """Set what should be; False if anybody came in since `seen` (look again later)."""
    changes: list[int] = []
    for buyer in seen.held.keys() | held.keys():
        if seen.held.get(buyer, 0) != held.get(buyer, 0):
            changes += [buyer, held.get(buyer, 0)]
    done = _script(_CORRECT)(
        keys=_keys(allotment.lot),
        args=[
            seen.epoch,
            seen.admitted,
            left - seen.left,
            _status(allotment),
            allotment.members_of or "",
            *changes,
        ],
    )
    return bool(done)


def take_turn(lot: str) -> bool:
    """Whether this process may rebuild the gate now; the turn ends by itself.

    Not a guard, only manners: ten thousand buyers must not rebuild it ten thousand times.
    """
    turn = redis.connection().set(f"siyu:live:{{{lot}}}:building", "1", nx=True, px=BUILDING)
    return bool(turn)


def end_turn(lot: str) -> None:
    redis.connection().delete(f"siyu:live:{{{lot}}}:building")


def tell(change: Callable[[], object]) -> None:
    """Tell Redis what PostgreSQL has committed; if that is lost, the sweep tells it again."""
    try:
        change()
    except RedisError as error:
        logger.warning("the gate was not told: %s", error)


def _status(allotment: Allotment) -> str:
    is_paused = allotment.is_paused and allotment.status == LotStatus.DROPPED
    return "PAUSED" if is_paused else allotment.status


def _flat(pairs: Mapping[Any, Any]) -> bytes:
    """As a JSON list of texts; cjson would turn numbers into floats."""
    return orjson.dumps([str(side) for pair in pairs.items() for side in pair])


def _dict(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _entries(found: Any) -> list[Entry]:
    return [
        Entry(
            id=id_.decode(),
            ticket=fields[b"ticket"].decode(),
            buyer_id=int(fields[b"buyer"]),
            quantity=int(fields[b"quantity"]),
            address=fields[b"address"].decode(),
            request_id=fields[b"request"].decode(),
            position=int(fields[b"position"]),
            epoch=int(fields[b"epoch"]),
        )
        for id_, fields in found
    ]
