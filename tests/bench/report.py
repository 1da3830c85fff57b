"""One table on the terminal, one section in docs/bench.md."""

import subprocess
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from django.db import connection

from tests.bench import machine
from tests.bench.measure import Report, Row, Series

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "bench.md"
HEAD = ["operation", "product", "limit", "ratio", "budget", "verdict", "p50 / p99 ms"]
COSTS = ["CPU ms Python + PostgreSQL", "of the limit", "SQL", "MB"]


def _rate(series: Series) -> str:
    low, high = series.span
    if low == high:
        return f"{series.rate:,.0f}"
    return f"{series.rate:,.0f} ({low:,.0f}–{high:,.0f})"


def _cpu(series: Series) -> str:
    python = series.cpu("web") + series.cpu("worker")
    return f"{python:.2f} + {series.cpu('pg'):.2f}" if series.figures[0].cpu else ""


def _memory(series: Series) -> str:
    return " · ".join(f"{name} {most:.0f}" for name, most in series.megabytes.items())


def _cells(row: Row) -> list[str]:
    product, short = row.product, row.shortfalls()
    times = f"{product.p50:.1f} / {product.p99:.1f}" if product.p99 else ""
    return [
        row.operation,
        f"{_rate(product)} {row.unit}/s",
        f"{row.limit.name}: {_rate(row.limit)}",
        f"{row.ratio:.2f}" if row.budget else "",
        f"{row.budget:.2f}" if row.budget else "",
        f"below budget: {', '.join(short)}" if short else "met",
        times,
        _cpu(product),
        _cpu(row.limit),
        str(row.sql or ""),
        _memory(product),
    ]


def _beside(reports: Sequence[Report]) -> str:
    shown = [f"{one.name} {_rate(one)}/s" for report in reports for one in report.beside]
    return " · ".join(shown)


def _table(reports: Sequence[Report]) -> list[list[str]]:
    return [HEAD + COSTS, *(_cells(row) for report in reports for row in report.rows)]


def plain(reports: Sequence[Report]) -> str:
    """For the terminal: columns under each other."""
    table = _table(reports)
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([*lines, "", f"beside: {_beside(reports)}"])


def section(reports: Sequence[Report]) -> Iterator[str]:
    """For docs/bench.md."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
    head, *rows = _table(reports)
    yield f"\n### {date.today()} · {_commit()}\n"  # noqa: DTZ011  the reader's own day
    yield f"{machine.described()}, PostgreSQL {version}; load {machine.busy():.1f} at the end\n"
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield f"\nBeside: {_beside(reports)}"


def append(reports: Sequence[Report]) -> None:
    with KEPT.open("a") as kept:
        kept.write("\n".join(section(reports)) + "\n")


def _commit() -> str:
    """The commit that was measured; `+` when files differ from it."""
    git = ["git", "-C", str(ROOT)]
    asked = [[*git, "rev-parse", "--short", "HEAD"], [*git, "status", "--porcelain"]]
    try:
        head, changed = (subprocess.check_output(one, text=True).strip() for one in asked)
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return head + ("+" if changed else "")
