"""Lines and payments for the ladder, without a database."""

from collections.abc import Iterable
from itertools import count
from typing import Any

from config.kit.numbers import mod97_digits
from payments.transfers.ladder.facts import Book, Decision, Fact, Intent, Terms
from payments.transfers.ladder.versions import CURRENT, decide
from payments.transfers.remarks import NO_CODES, codes_in

PRICE = 9900
HERE, ELSEWHERE = 1, 2  # receiving accounts
WANG, LI = 501, 502  # buyers
WANGS = {"payer_name": "王小美", "payer_account": "6222020200112233"}
MASKED = {"payer_name": "王小美", "payer_account": "6222****2233"}
_ids = count(1)


def code(n: int) -> str:
    return mod97_digits(400_000 + 137 * n, 6)


def intent(fen: int = PRICE, **changes: Any) -> Intent:
    """A payment of its own order, virtual account and code; WANG's unless said otherwise."""
    pk = next(_ids)
    blank = Intent(pk, f"P{pk}", f"O{pk}", HERE, f"V{pk}", False, code(pk), fen, True, WANG, "M1")
    return blank._replace(**changes)


def fact(fen: int = PRICE, remark: str = "货款", **changes: Any) -> Fact:
    """A line of somebody unknown."""
    blank = Fact(next(_ids), HERE, fen, "", NO_CODES, (), "赵六", "6217009988776655")
    texts = (remark,)
    return blank._replace(texts=texts, codes=codes_in(texts))._replace(**changes)


def book(
    *intents: Intent,
    payers: dict[int, set[str]] | None = None,
    terms: Terms | None = None,
) -> Book:
    made = Book.of(intents)
    made.payers = payers or {}
    made.terms = {"": terms} if terms else {}
    return made


def judge(line: Fact, of: Book, version: str = CURRENT) -> Decision:
    (decision,) = decide([line], of, version)
    return decision


def paid(decisions: Iterable[Decision]) -> list[tuple[tuple[int, int], ...]]:
    return [decision.pays for decision in decisions]


KNOWS_WANG = {WANG: {"账号6222020200112233", "户名王小美"}}
