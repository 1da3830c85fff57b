"""Limit and product in turn, round after round, and what is made of their figures."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from tests.bench import load, machine
from tests.bench.house import House, say
from tests.bench.load import Load, percentile


@dataclass(frozen=True)
class Figure:
    """One measurement: operations a second, and what they cost."""

    rate: float
    p50: float = 0  # milliseconds
    p99: float = 0
    cpu: Mapping[str, float] = field(default_factory=dict)  # ms an operation, by process
    megabytes: Mapping[str, float] = field(default_factory=dict)  # at most, by process


@dataclass(frozen=True)
class Series:
    """One thing, measured in every round."""

    name: str
    figures: Sequence[Figure]

    @property
    def rate(self) -> float:
        return statistics.median(figure.rate for figure in self.figures)

    @property
    def span(self) -> tuple[float, float]:
        rates = [figure.rate for figure in self.figures]
        return min(rates), max(rates)

    @property
    def p50(self) -> float:
        return statistics.median(figure.p50 for figure in self.figures)

    @property
    def p99(self) -> float:
        return statistics.median(figure.p99 for figure in self.figures)

    @property
    def megabytes(self) -> dict[str, float]:
        names = self.figures[0].megabytes
        return {name: max(figure.megabytes[name] for figure in self.figures) for name in names}

    def cpu(self, name: str) -> float:
        return statistics.median(figure.cpu.get(name, 0) for figure in self.figures)


@dataclass(frozen=True)
class Row:
    """An operation beside its limit.  `unit` of the rates; a bound of 0 is none.

    `budget` bounds the ratio of the rates from below; without one, times alone count.
    """

    operation: str
    unit: str
    product: Series
    limit: Series
    budget: float = 0
    sql: int = 0
    most_sql: int = 0
    most_p99_ms: float = 0
    most_p99_by_p50: float = 0
    most_p99_by_limit: float = 0
    most_added_ms: float = 0  # to the p50 of the limit
    most_megabytes: float = 0

    @property
    def ratio(self) -> float:
        return self.product.rate / self.limit.rate

    def shortfalls(self) -> list[str]:
        """What the budget asks and the product does not have; [] when it is met."""
        product, limit = self.product, self.limit
        largest = max(product.megabytes.values(), default=0)
        asked = [
            (self.budget, self.ratio, f"ratio {self.ratio:.2f} < {self.budget:.2f}"),
            (self.sql, self.most_sql, f"{self.sql} SQL > {self.most_sql}"),
            (product.p99, self.most_p99_ms, f"p99 {product.p99:.0f} ms > {self.most_p99_ms:.0f}"),
            (
                product.p99,
                self.most_p99_by_p50 * product.p50,
                f"p99 > {self.most_p99_by_p50:.0f} × p50",
            ),
            (
                product.p99,
                self.most_p99_by_limit * limit.p99,
                f"p99 > {self.most_p99_by_limit:.0f} × {limit.p99:.1f} ms",
            ),
            (
                product.p50 - limit.p50,
                self.most_added_ms,
                f"adds {product.p50 - limit.p50:.1f} ms > {self.most_added_ms:.0f}",
            ),
            (largest, self.most_megabytes, f"{largest:.0f} MB > {self.most_megabytes:.0f}"),
        ]
        return [words for least, most, words in asked if most and least > most]


@dataclass(frozen=True)
class Report:
    """Rows with a verdict, and limits that are shown beside them without one."""

    rows: Sequence[Row]
    beside: Sequence[Series] = ()


Measure = Callable[[], Figure]


def in_turn(measures: Mapping[str, Measure], rounds: int) -> dict[str, Series]:
    """A B C A B C: whatever disturbs the machine disturbs all of them."""
    found: dict[str, list[Figure]] = {name: [] for name in measures}
    for number in range(1, rounds + 1):
        for name, measure in measures.items():
            figure = measure()
            found[name].append(figure)
            costs = ", ".join(f"{one} {ms:.2f}" for one, ms in figure.cpu.items() if ms)
            times = f", p99 {figure.p99:.1f} ms" if figure.p99 else ""
            say(f"  round {number}: {name}: {figure.rate:,.0f}/s{times}, CPU ms: {costs or '-'}")
    return {name: Series(name, figures) for name, figures in found.items()}


def loaded(
    house: House,
    journeys: Callable[..., Iterator[load.Journey]],
    *given: Any,
    connections: int,
    seconds: float,
) -> tuple[Load, dict[str, float]]:
    """Journeys of buyers in another process; and CPU seconds of the processes that served them."""
    asked = (house.address, journeys, given, connections, seconds)
    with cpu_of(house) as cpu:
        seen: Load = house.helpers.submit(load.run, *asked).result()
    return seen, cpu


def figure_of(seen: Load, cpu: Mapping[str, float]) -> Figure:
    return Figure(
        seen.rate,
        seen.percentile(0.5),
        seen.percentile(0.99),
        {name: 1000 * used / len(seen.times) for name, used in cpu.items()},
    )


def figure_at_pace(times: Sequence[float], per_second: float) -> Figure:
    """Of sorted milliseconds; the rate is that at which was asked."""
    return Figure(per_second, *(percentile(times, share) for share in (0.5, 0.99)))


def over_http(
    house: House,
    journeys: Callable[..., Iterator[load.Journey]],
    *given: Any,
    connections: int,
    seconds: float,
) -> Figure:
    return figure_of(*loaded(house, journeys, *given, connections=connections, seconds=seconds))


def side_by_side(house: House, work: Callable[..., int], *given: Any, seconds: float) -> Figure:
    """The same work in both helpers; `work(*given, seconds, number)` answers how often."""
    with cpu_of(house) as cpu:
        both = [house.helpers.submit(work, *given, seconds, number) for number in range(2)]
        count = sum(one.result() for one in both)
    return Figure(count / seconds, cpu={name: 1000 * used / count for name, used in cpu.items()})


@contextmanager
def cpu_of(house: House) -> Iterator[dict[str, float]]:
    """CPU seconds by process, filled in when the block ends."""
    used: dict[str, float] = {}
    before = house.cpu()
    yield used
    used.update({name: total - before[name] for name, total in house.cpu().items()})


@contextmanager
def memory_of(house: House) -> Iterator[dict[str, float]]:
    """The largest process of web and worker, and the largest backend of PostgreSQL for itself.

    MB by process, filled in when the block ends.
    """
    peaks: dict[str, float] = {}
    for name in ("web", "worker"):
        machine.forget_peak(house.pids[name])
    with machine.private_watched(house.pids["pg"]) as own:
        yield peaks
    peaks.update({name: machine.peak_megabytes(house.pids[name]) for name in ("web", "worker")})
    peaks["pg"] = max(own)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that this process sends meanwhile, without BEGIN and COMMIT."""
    seen: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen
