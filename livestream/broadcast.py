"""Telling every live process at once, over one Redis channel.

Best effort: the rows of RoomEvent are the truth, and each process looks there for what it missed.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import RedisError

from config.kit import redis
from config.kit.api import render_json

logger = logging.getLogger(__name__)

CHANNEL = "siyu:live:room"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it goes over a socket."""

    seq: int
    text: str


def frame(event: dict[str, Any]) -> Frame:
    """`event`: type, at, seq and data, as `queries.events_after` answers."""
    return Frame(event["seq"], render_json(event).decode())


def publish(session: str, frames: Sequence[Frame]) -> None:
    """After commit.  Bounded in time; a loss costs the room a second."""
    lines = [f"{session} {frames[0].seq}", *(frame.text for frame in frames)]
    try:
        redis.connection().publish(CHANNEL, "\n".join(lines))
    except RedisError as error:
        logger.warning("the room was not told: %s", error)


def heard(message: bytes) -> tuple[str, list[Frame]]:
    """The session and its events, numbered on from the first; raises ValueError."""
    head, *texts = message.decode().split("\n")
    session, first = head.split(" ")
    return session, [Frame(int(first) + i, text) for i, text in enumerate(texts)]
