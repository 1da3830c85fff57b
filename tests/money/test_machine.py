"""Whatever anybody does in whatever order, and dies of, every fen is somebody's.

`make chaos` runs this for MONEY_MINUTES with seeds of its own, and says which; MONEY_SEED repeats
one of them.
"""

import os
import random
import sys
import time

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.money import machine
from tests.money.machine import MoneyWorld

BOUNDS = settings(
    max_examples=25,
    stateful_step_count=80,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(BOUNDS, derandomize=False)


@pytest.mark.timeout(0)  # a failure is made short, which takes its time
def test_whatever_happens_every_fen_is_somebodys(world, capsys):
    if minutes := float(os.environ.get("MONEY_MINUTES", "0")):
        for number in _seeds(minutes * 60):
            began, before = time.monotonic(), machine.steps_done
            _say(capsys, f"\nMONEY_SEED={number} ")
            run_state_machine_as_test(seed(number)(MoneyWorld), settings=LONG)
            steps, seconds = machine.steps_done - before, time.monotonic() - began
            _say(capsys, f"{steps} steps, {steps / seconds:.0f} a second")
    else:
        run_state_machine_as_test(MoneyWorld, settings=BOUNDS)


def _say(capsys, text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(text)
        sys.stdout.flush()


def _seeds(seconds: float):
    """One after the other until the time is over; the one that was asked for, once."""
    if told := os.environ.get("MONEY_SEED"):
        yield int(told)
        return
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield random.randrange(10**9)
