"""A licensed carrier: sub-accounts whose books are made of nothing but what it was told.

It has no idea of our ledger: a batch is booked whole or not at all, once per number, and never
leaves a sub-account below zero.  Its days are those of its own clock in Shanghai.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from tests.sandbox.journal import SHANGHAI, Fact, Journal
from tests.sandbox.web import Answer, Refused, Request, answer

PAGE = 5_000
MOST_MOVES = 50_000


class Carrier:
    """State in memory, guarded by the journal's lock; every batch is a fact of the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.clear()
        journal.on("carrier_batch", self._book)

    def clear(self) -> None:
        self.batches: dict[str, Fact] = {}
        self._moves: set[str] = set()
        self._balances: dict[str, int] = defaultdict(int)
        # Switches.
        self._lose = 0
        self._bend = 0
        self._off: dict[str, int] = {}
        self._page = PAGE

    def roads(self) -> dict[tuple[str, str], Callable[[Request], Answer]]:
        return {
            ("POST", "/carrier/batches"): self.book,
            ("GET", "/carrier/balances"): self.balances,
            ("GET", "/carrier/movements"): self.movements,
        }

    # --- the protocol

    def book(self, request: Request) -> Answer:
        number, moves = _batch(request.json())
        with self._journal.lock:
            if (done := self.batches.get(number)) is None:
                self._check(moves)
                lost = [move["number"] for move in moves[: self._lose]]
                self._lose -= len(lost)
                bent, self._bend = self._bend, 0
                at = int(self._journal.now())
                self._journal.record(
                    "carrier_batch", number=number, moves=moves, at=at, lost=lost, bent=bent
                )
                done = self.batches[number]
            elif done["moves"] != moves:
                raise Refused(409, "NUMBER_REUSED", "this batch was something else")
        booked_at = datetime.fromtimestamp(done["at"], SHANGHAI)
        return answer({"number": number, "moves": len(moves), "booked_at": booked_at.isoformat()})

    def balances(self, request: Request) -> Answer:
        day = self._day(request)
        with self._journal.lock:
            total: dict[str, int] = defaultdict(int, self._off)
            for batch in self.batches.values():
                if _booked_on(batch) <= day:
                    for move in _kept(batch):
                        for code, fen in move["legs"].items():
                            total[code] += fen
        rows = [{"account": code, "fen": fen} for code, fen in sorted(total.items())]
        return self._paged(request, day, rows, lambda row: str(row["account"]))

    def movements(self, request: Request) -> Answer:
        day = self._day(request)
        with self._journal.lock:
            rows = [
                {"number": move["number"], "account": code, "fen": fen}
                for batch in self.batches.values()
                if _booked_on(batch) == day
                for move in _kept(batch)
                for code, fen in move["legs"].items()
            ]
        rows.sort(key=_place)
        return self._paged(request, day, rows, _place)

    # --- switches

    def switch(self, asked: dict[str, Any]) -> None:
        """What is wrong from now on; `page` is only how many rows an answer has.

        `lose`: so many moves of the next batch it says it has, and has not.  `bend_fen`: its first
        leg is booked with so much more.  `off_fen`: a balance that it shows is off by so much.
        """
        with self._journal.lock:
            self._lose = int(asked.get("lose", self._lose))
            self._bend = int(asked.get("bend_fen", self._bend))
            self._page = int(asked.get("page", self._page))
            if "account" in asked:
                self._off[asked["account"]] = int(asked["off_fen"])

    # --- inside, under the lock

    def _check(self, moves: list[dict[str, Any]]) -> None:
        after: dict[str, int] = {}
        for move in moves:
            if move["number"] in self._moves:
                raise Refused(409, "MOVE_REUSED", f"{move['number']} is booked already")
            for code, fen in move["legs"].items():
                after[code] = after.get(code, self._balances[code]) + fen
        if short := sorted(code for code, fen in after.items() if fen < 0):
            raise Refused(422, "NOT_COVERED", f"子账户余额不足：{short[0]}")

    def _book(self, fact: Fact) -> None:
        self.batches[fact["number"]] = fact
        self._moves.update(move["number"] for move in fact["moves"])
        for move in _kept(fact):
            for code, fen in move["legs"].items():
                self._balances[code] += fen

    def _day(self, request: Request) -> date:
        try:
            day = date.fromisoformat(request.query.get("day", ""))
        except ValueError:
            raise Refused(400, "BAD_DAY", "day is YYYY-MM-DD") from None
        if day >= datetime.fromtimestamp(self._journal.now(), SHANGHAI).date():
            raise Refused(409, "DAY_NOT_OVER", "日终后才能查询")
        return day

    def _paged(
        self, request: Request, day: date, rows: list[Any], place: Callable[[Any], str]
    ) -> Answer:
        after = request.query.get("after", "")
        some = [row for row in rows if place(row) > after][: self._page + 1]
        more = place(some[self._page - 1]) if len(some) > self._page else ""
        return answer({"day": f"{day}", "rows": some[: self._page], "next": more})


def _booked_on(batch: Fact) -> date:
    return datetime.fromtimestamp(batch["at"], SHANGHAI).date()


def _kept(batch: Fact) -> list[dict[str, Any]]:
    """What is in its books of what it was told: all, but for the switches."""
    kept = [move for move in batch["moves"] if move["number"] not in batch["lost"]]
    if batch["bent"]:
        legs = dict(kept[0]["legs"])
        first = min(legs)
        kept[0] = {**kept[0], "legs": {**legs, first: legs[first] + batch["bent"]}}
    return kept


def _place(row: dict[str, Any]) -> str:
    return f"{row['number']} {row['account']}"


def _batch(asked: Any) -> tuple[str, list[dict[str, Any]]]:
    number, moves = (
        (asked.get("number"), asked.get("moves")) if isinstance(asked, dict) else (None, None)
    )
    if not isinstance(number, str) or not 0 < len(number) <= 32:
        raise Refused(400, "BAD_NUMBER", "a batch has a number of at most 32 signs")
    if not isinstance(moves, list) or not 0 < len(moves) <= MOST_MOVES:
        raise Refused(400, "BAD_MOVES", "a batch has moves")
    if not all(_is_move(move) for move in moves):
        raise Refused(400, "BAD_MOVES", "a move has a number, a kind and legs in whole fen")
    if len({move["number"] for move in moves}) != len(moves):
        raise Refused(400, "BAD_MOVES", "a number stands twice")
    return number, moves


def _is_move(move: Any) -> bool:
    return (
        isinstance(move, dict)
        and isinstance(move.get("number"), str)
        and 0 < len(move["number"]) <= 32
        and isinstance(move.get("kind"), str)
        and isinstance(move.get("legs"), dict)
        and bool(move["legs"])
        and all(code and type(fen) is int and fen != 0 for code, fen in move["legs"].items())
    )
