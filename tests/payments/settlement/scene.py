"""A merchant with money of his own, and a platform account from which it goes to his bank."""

from datetime import timedelta
from typing import Any

from payments.cashier.models import Payment
from payments.ledger import queries as books
from payments.payouts import payees, services
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import Bank
from payments.receiving.models import ReceivingAccount
from payments.settlement import services as settlement
from payments.settlement.services import Release
from tests.payments import payable
from tests.payments.transfers.bank import ACCOUNT, NOON, account, expected, transfer_in

MERCHANT = payable.MERCHANT
CLERK, OTHER = "U1CLERK", "U2OTHER"
CARD = Bank("6217001122334455", "杭州茶庄有限公司", "建设银行杭州分行")
LATER = NOON + timedelta(days=4)  # the pause of a changed account is over
PRICE = 100_000


def payee(bank: Bank = CARD, merchant: str = MERCHANT) -> Payee:
    asked = payees.ask(merchant=merchant, bank=bank, actor=CLERK, at=NOON)
    return payees.check(payee=asked, approve=True, actor=OTHER, at=NOON)


def earned(fen: int = PRICE) -> Payment:
    """A buyer has paid by transfer, and the order is finished."""
    account()
    payment = expected(fen)
    transfer_in(payment, fen=fen)
    settlement.release([Release(payment.reference, MERCHANT, fen, fee_fen=0)], at=NOON)
    payable.told.released[payment.reference] = fen
    return payment


def request(fen: int = PRICE, *, merchant: str = MERCHANT, **more: Any) -> Payout:
    given = {"actor": CLERK, "at": LATER} | more
    return services.request(merchant=merchant, amount_fen=fen, **given)


def fresh(payout: Payout) -> Payout:
    return Payout.objects.select_related("payee", "account").get(pk=payout.pk)


def there(merchant: str = MERCHANT) -> tuple[int, int]:
    """Fen available, and on their way."""
    return (
        books.balance(f"merchant:{merchant}:available"),
        books.balance(f"paying_out:{merchant}"),
    )


def own_account() -> ReceivingAccount:
    return ReceivingAccount.objects.get(account_no=ACCOUNT)
