"""The sandbox's carrier, in the signed protocol of the banks; a licensed one has its own."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from django.conf import settings

from payments.carrier.rules import Move
from payments.channels.answers import ChannelRefused, ChannelSilent
from payments.channels.signed import BankRefused, BankUnknown, Signed


def carrier() -> "SignedCarrier":
    told = settings.CARRIER_SANDBOX
    return _carrier(told["base_url"], told["public_key"], told["private_key"])


@cache
def _carrier(base_url: str, public_key: str, private_key: str) -> "SignedCarrier":
    return SignedCarrier(Signed(base_url, public_key, private_key))


class SignedCarrier:
    def __init__(self, line: Signed) -> None:
        self._line = line

    def book(self, number: str, moves: Sequence[Move]) -> datetime:
        told = [
            {"number": move.number, "kind": move.kind, "legs": dict(move.legs)} for move in moves
        ]
        said = self._asked("POST", "/carrier/batches", {"number": number, "moves": told})
        if (said.get("number"), said.get("moves")) != (number, len(moves)):
            raise ChannelSilent  # it speaks of something else
        return _moment(said.get("booked_at"))

    def balances(self, day: date) -> Iterator[tuple[str, int]]:
        for row in self._rows("balances", day):
            yield str(row["account"]), _fen(row["fen"])

    def movements(self, day: date) -> Iterator[tuple[str, str, int]]:
        for row in self._rows("movements", day):
            yield str(row["number"]), str(row["account"]), _fen(row["fen"])

    def _rows(self, what: str, day: date) -> Iterator[dict[str, Any]]:
        """Page by page; each says where the next begins, and the last says nothing."""
        after = ""
        while True:
            said = self._asked("GET", f"/carrier/{what}?day={day}&after={quote(after, safe='')}")
            if said.get("day") != f"{day}":
                raise ChannelSilent
            yield from said["rows"]
            if not said["next"]:
                return
            after = str(said["next"])

    def _asked(self, method: str, path: str, asked: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return self._line.call(method, path, asked)
        except BankRefused as no:
            raise ChannelRefused(no.code, str(no).removeprefix(no.code).strip()) from no
        except BankUnknown as unknown:
            raise ChannelSilent from unknown


def _moment(said: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        raise ChannelSilent from None
    if at.tzinfo is None:
        raise ChannelSilent
    return at


def _fen(said: object) -> int:
    if type(said) is not int:
        raise ChannelSilent
    return said
