"""Whoever reads a public number over the phone says by its first sign what it is of."""

import ast
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MAKERS = {"fresh", "fresh_many"}
FOLDERS = ("config", "payments", "members", "shop", "livestream")
# Whose number begins so, and where it is made.  A new one fails here until it is declared.
BEGINS = {
    "1": ("batch that the carrier is told", {"payments/carrier/services.py"}),
    "A": ("address", {"members/accounts/models.py"}),
    "B": ("batch of bookings: a statement, or a push", {"payments/transfers/services.py"}),
    "C": ("membership card", {"members/memberships/models.py"}),
    "D": ("order", {"shop/orders/services.py"}),
    "E": ("payee", {"payments/payouts/payees.py"}),
    "F": ("shipment", {"shop/fulfilment/services.py"}),
    "G": ("product", {"shop/catalog/services.py"}),
    "H": ("live session", {"livestream/models.py"}),
    "I": ("batch of releases", {"shop/orders/holding.py"}),
    "J": ("payout", {"payments/payouts/services.py"}),
    "K": ("lot", {"livestream/models.py"}),
    "L": ("statement line", {"payments/transfers/intake.py"}),
    "M": ("merchant", {"members/merchants/models.py"}),
    "N": ("post", {"members/memberships/models.py"}),
    "O": ("offer", {"shop/offers/services.py"}),
    "P": ("payment", {"payments/cashier/services.py"}),
    "Q": ("gift card", {"payments/gift_cards/buying.py"}),
    "R": (
        "refund",
        {
            "payments/cashier/refunds.py",
            "payments/cashier/reversals.py",
            "payments/cashier/services.py",
        },
    ),
    "S": ("SKU", {"shop/catalog/services.py"}),
    "T": (
        "return of a line, also by hand",
        {"payments/transfers/by_hand.py", "payments/transfers/returns.py"},
    ),
    "U": ("user", {"members/accounts/models.py", "members/accounts/services.py"}),
    "V": ("move of a deposit", {"payments/deposits/services.py"}),
    "W": ("withdrawal", {"payments/wallet/withdrawals.py"}),
    "X": ("payout file", {"payments/payouts/files.py"}),
    "Y": ("deposit that is paid through the cashier", {"payments/deposits/paying.py"}),
    "Z": ("top-up", {"payments/wallet/top_ups.py"}),
}


def made() -> dict[str, set[str]]:
    """By its beginning, the files that make a public number; codes begin with nothing."""
    found: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            short = str(path.relative_to(ROOT))
            if "migrations" in path.parts or short == "config/kit/numbers.py":
                continue
            calls = [one for one in ast.walk(ast.parse(path.read_text()))
                     if isinstance(one, ast.Call) and _name(one.func) in MAKERS]  # fmt: skip
            for begins in filter(None, (_text(call.args, short) for call in calls)):
                found.setdefault(begins, set()).add(short)
    return found


def _name(func: ast.expr) -> str:
    return getattr(func, "attr", "") or getattr(func, "id", "")


def _text(args: list[ast.expr], short: str) -> str:
    if not args:
        return ""
    if isinstance(args[0], ast.Constant):
        return str(args[0].value)
    module = import_module(short.removesuffix(".py").replace("/", "."))
    return str(getattr(module, ast.unparse(args[0])))


def test_no_two_kinds_of_numbers_begin_alike():
    assert made() == {letter: files for letter, (_, files) in BEGINS.items()}
    assert len({what for what, _ in BEGINS.values()}) == len(BEGINS)
