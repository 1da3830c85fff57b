"""What one person may read of a line: never a number of another merchant's payment.

The ladder looks for codes on all accounts, or a transfer to the wrong one would be a riddle; what
it found is kept on the line whole, and each reader is shown his own part of it.
"""

import re
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from config.kit.numbers import ALPHABET
from payments.cashier.models import Payment
from payments.transfers.models import StatementLine

ANOTHERS = "（其他商家的支付单）"
_PAYMENT = re.compile(rf"(?<![A-Z0-9])P[{ALPHABET}]{{8,}}(?![A-Z0-9])")


class Sight:
    """Lines as somebody who may see these payments reads them; one query for all the lines."""

    def __init__(self, lines: Sequence[StatementLine], payments: QuerySet[Payment]) -> None:
        named = {number for line in lines for number in _named(line)}
        seen = payments.filter(number__in=named).values_list("number", flat=True) if named else ()
        self._hidden = named.difference(seen)

    def reasons(self, line: StatementLine) -> list[str]:
        return [self._plain(reason) for reason in line.reasons]

    def candidates(self, line: StatementLine) -> list[dict[str, Any]]:
        mine = [one for one in line.candidates if one["payment"] not in self._hidden]
        return [{name: self._plain(value) for name, value in one.items()} for one in mine]

    def facts(self, line: StatementLine) -> dict[str, Any]:
        return {name: self._plain(value) for name, value in line.facts.items()}

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return _PAYMENT.sub(lambda hit: ANOTHERS if hit[0] in self._hidden else hit[0], value)
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if isinstance(value, dict):
            mine = {name: one for name, one in value.items() if name not in self._hidden}
            return {name: self._plain(one) for name, one in mine.items()}
        return value


def _named(line: StatementLine) -> set[str]:
    """Payment numbers anywhere in what is kept of a decision."""
    said = " ".join(map(str, [line.reasons, line.facts, line.candidates]))
    return set(_PAYMENT.findall(said)) | {one["payment"] for one in line.candidates}
