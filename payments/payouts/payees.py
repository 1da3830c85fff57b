"""A merchant's bank account: changed by one, checked by another, used after a pause."""

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from config.kit import numbers
from config.kit.errors import Refusal
from config.kit.states import move
from payments.cashier.refunds import SecondPersonNeeded
from payments.payouts.models import Payee
from payments.payouts.rules import PAYEE_TRANSITIONS, Bank, PayeeStatus, pays_from


class PayeeChangeUnderWay(Refusal):
    message = "已有一份收款账户变更等待复核"


def ask(*, merchant: str, bank: Bank, actor: str, at: datetime) -> Payee:
    """Somebody says where the merchant's money is to go from now on; another must check it.

    Raises PayeeChangeUnderWay.
    """
    try:
        with transaction.atomic():
            return Payee.objects.create(
                number=numbers.fresh("E"),
                merchant=merchant,
                account_no=bank.account_no,
                account_name=bank.account_name,
                bank_name=bank.bank_name,
                asked_by=actor,
                asked_at=at,
            )
    except IntegrityError as error:
        if "payee_one_change_at_a_time" in str(error):
            raise PayeeChangeUnderWay from None
        raise


@transaction.atomic
def check(*, payee: Payee, approve: bool, actor: str, at: datetime, reason: str = "") -> Payee:
    """Another person approves or declines; raises SecondPersonNeeded, StaleState.

    What is not with the bank yet goes nowhere any more (`sending`); what is goes where it went.
    """
    if actor == payee.asked_by:
        raise SecondPersonNeeded
    found = Payee.objects.filter(pk=payee.pk)
    said = {"checked_by": actor, "checked_at": at, "reason": reason[:200]}
    if approve:
        in_use = Payee.objects.filter(merchant=payee.merchant, status=PayeeStatus.ACTIVE)
        in_use.update(status=PayeeStatus.REPLACED)
        begins = pays_from(at, settings.PAYEE_PAUSE_DAYS)
        move(found, PayeeStatus.ACTIVE, PAYEE_TRANSITIONS, pays_from=begins, **said)
    else:
        move(found, PayeeStatus.DECLINED, PAYEE_TRANSITIONS, **said)
    payee.refresh_from_db()
    return payee
