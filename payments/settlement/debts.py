"""What a merchant owes since the bank took money back is paid out of what becomes his."""

from datetime import datetime
from uuid import uuid4

from config.kit.db import joined
from payments.ledger import queries, services
from payments.ledger.models import Account
from payments.ledger.rules import Draft


@joined
def square(*, merchant: str, at: datetime) -> int:
    """Pay what is owed (`receivable:`) as far as the available money goes; the fen that were paid.

    Where more was paid than is owed by now, for a loss was written off since, that is given back:
    below zero.  The merchant's own account is locked first, so that two at once pay once.
    """
    own, debt = f"merchant:{merchant}:available", f"receivable:{merchant}"
    owed = queries.balance(debt)
    if not owed:
        return 0
    account = Account.objects.select_for_update().filter(code=own).first()
    owed = queries.balance(debt)
    fen = min(owed, account.balance_fen if account else 0)
    if fen > 0:
        draft = Draft("DEBT_PAID", str(uuid4()), {own: fen}, {debt: fen})
    elif owed < 0:
        fen = owed
        draft = Draft("DEBT_OVERPAID", str(uuid4()), {debt: -fen}, {own: -fen})
    else:
        return 0
    services.post([draft], at=at)
    return fen


def indebted() -> list[str]:
    """Merchants with something to square; two queries."""
    owed = {code.partition(":")[2]: fen for code, fen in queries.balances("receivable").items()}
    codes = [f"merchant:{merchant}:available" for merchant in owed]
    can_pay = {
        code.split(":")[1]
        for code in Account.objects.filter(code__in=codes, balance_fen__gt=0).values_list(
            "code", flat=True
        )
    }
    return sorted(who for who, fen in owed.items() if fen < 0 or (fen > 0 and who in can_pay))
