"""`python -m tests.bench`: each hot operation beside its limit on this machine, in one run."""

import argparse
import signal
import sys
import warnings
from pathlib import Path

import django

from config.embedded import Engines
from tests.bench.house import engines_of_the_bench, open_house, say

ALL = ("B1", "B3", "B5", "B6", "B7", "B9", "M1", "M3", "M5")


def main() -> None:
    asked = _arguments()
    warnings.simplefilter("ignore")  # of packages; the tests have them as errors
    # A bench that is told to end still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with engines_of_the_bench() as (running, sandbox):
        say("engines are up; making a shop of 100,000 products")
        django.setup()
        _measure(running, sandbox, asked)
    say("done")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ALL, help="these only; nothing is recorded")
    parser.add_argument("--lines", nargs="+", type=int, help="sizes of B6; nothing is recorded")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _measure(running: Engines, sandbox: Path, asked: argparse.Namespace) -> None:
    # Only now: models want the settings, and those want the engines.
    from django.core.management import call_command
    from django.db import connection

    import config.celery  # noqa: F401  services nudge the worker through this app
    from payments.ledger import services as ledger
    from tests.bench import (
        books,
        channels,
        claims,
        limits,
        orders,
        products,
        pushes,
        releases,
        report,
        seed,
        statements,
        wallets,
    )

    parts = {
        "B1": products.measured,
        "B3": orders.measured,
        "B5": claims.measured,
        "B6": statements.measured,
        "B7": pushes.measured,
        "B9": releases.measured,
        "M1": channels.measured,
        "M3": wallets.measured,
        "M5": books.measured,
    }
    more = {"B6": {"sizes": asked.lines}} if asked.lines else {}
    call_command("migrate", verbosity=0, skip_checks=True)
    with connection.cursor() as cursor:  # a million rows are filled, and audited
        cursor.execute("SET statement_timeout = 0")
    limits.make_tables()
    shop = seed.shop()
    reports = []
    with open_house(running, sandbox) as house:
        for name in asked.only or ALL:
            say(f"{name}: {parts[name].__doc__}")
            reports.append(parts[name](house, shop, asked.rounds, **more.get(name, {})))
        say("auditing the books that were written meanwhile")
        if findings := ledger.audit():
            raise SystemExit("\n".join(["bench: the figures count for nothing:", *findings]))
        say("the books are sound")
    print("\n" + report.plain(reports) + "\n")
    if not (asked.only or asked.lines):
        report.append(reports)


if __name__ == "__main__":
    main()
