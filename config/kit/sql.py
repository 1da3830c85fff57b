"""Long lists as parameters: psycopg dumps a list item by item, which costs more than the INSERT."""

from collections.abc import Iterable


def ints(values: Iterable[int]) -> str:
    """An array literal for `%s::bigint[]`."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Iterable[str]) -> str:
    """An array literal for `%s::text[]`; PostgreSQL itself refuses NUL."""
    listed = list(values)
    if not listed:
        return "{}"
    joined = "\x1f".join(listed)
    if joined.count("\x1f") != len(listed) - 1:  # the sign itself is in a text
        return "{" + ",".join(f'"{_escaped(text)}"' for text in listed) + "}"
    return '{"' + _escaped(joined).replace("\x1f", '","') + '"}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')  # much faster than translate()


def bools(values: Iterable[bool]) -> str:
    """An array literal for `%s::bool[]`."""
    return "{" + ",".join("t" if value else "f" for value in values) + "}"
