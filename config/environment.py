"""Typed reading of the environment.  A wrong or missing variable stops the start."""

import os
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import NoReturn


def stop(why: str) -> NoReturn:
    """One line for whoever started it, whichever process it is; a traceback would hide it."""
    sys.exit(f"siyu: {why}")


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if not value:
        stop(f"{name} is not set (docs/deploy.md lists every variable)")
    return value


def optional(name: str) -> str:
    return os.environ.get(name, "")


def number(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdecimal():
        stop(f"{name} must be a whole number, not {value!r}")
    return int(value)


def rate(name: str, default: str) -> Decimal:
    value = os.environ.get(name, default)
    if not re.fullmatch(r"\d{1,2}(\.\d{1,4})?", value):
        stop(f"{name} must be a percentage such as 0.6, not {value!r}")
    return Decimal(value)


def names(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def file_text(name: str) -> str:
    return file_text_at(name, text(name))


def file_text_at(name: str, place: str) -> str:
    path = Path(place)
    if not path.is_file():
        stop(f"{name}: no file at {path}")
    return path.read_text()
