"""Virtual accounts are made in store: opening a payment must not wait for a bank."""

import logging

from django.db import transaction

from config.kit.outside import assert_no_transaction
from payments.channels import transfer
from payments.receiving.models import ReceivingAccount, VirtualAccount
from payments.receiving.rules import VirtualState, draw_unit

logger = logging.getLogger(__name__)

WANTED = 500  # free ones per account
AT_ONCE = 500


def fill(*, account: ReceivingAccount, wanted: int = WANTED) -> int:
    """Register new virtual accounts at the bank and put them in store; answers how many.

    Not atomic on purpose.  A crash after the bank's answer leaves numbers that nobody is given;
    two fillers at once make some more than wanted.
    """
    assert_no_transaction()
    free = VirtualAccount.objects.filter(receiving_account=account, state=VirtualState.FREE)
    missing = min(wanted - free.count(), AT_ONCE)
    if missing <= 0:
        return 0
    drawn = {draw_unit() for _ in range(missing)}
    units = sorted(drawn - _in_use(account, drawn))
    try:
        transfer.bank(account.provider).register_units(account.account_no, units)
    except (transfer.BankUnknown, transfer.BankRefused) as refused:
        logger.warning("virtual accounts of %s: %s", account, refused)
        return 0
    return _put_in_store(account, units)


def _in_use(account: ReceivingAccount, units: set[str]) -> set[str]:
    same = VirtualAccount.objects.filter(receiving_account=account, unit__in=units)
    return set(same.values_list("unit", flat=True))


@transaction.atomic
def _put_in_store(account: ReceivingAccount, units: list[str]) -> int:
    made = [
        VirtualAccount(number=f"{account.account_no}{unit}", unit=unit, receiving_account=account)
        for unit in units
    ]
    VirtualAccount.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)
