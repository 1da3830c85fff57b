"""What the columns of a bank nobody knew yet mean: said by a person, proved on a sample, kept."""

from collections.abc import Mapping
from typing import BinaryIO

from django.db import transaction

from config.kit.errors import Refusal
from payments.receiving.models import ReceivingAccount
from payments.transfers import parsers
from payments.transfers.services import NotOurAccount


class AlreadyKnown(Refusal):
    message = "这种格式可直接上传，不需要列对照"


class NothingRead(Refusal):
    status = 422
    message = "样本里没有读到一笔明细，请换一份有流水的样本"


@transaction.atomic
def keep(*, account: ReceivingAccount, columns: Mapping[str, str], sample: BinaryIO) -> None:
    """From now on the account's tables that no bank module knows are read by these columns.

    `columns`: role → header text.  Kept only when they read the whole sample: raises
    `parsers.Unreadable` (BadColumns and what is wrong with the sample), AlreadyKnown, NothingRead,
    NotOurAccount where the sample names another account.
    """
    if parsers.preview(sample).known:
        raise AlreadyKnown
    stream = parsers.stream(sample, ours=[account.account_no], columns=columns)
    if not sum(1 for _ in stream.rows):  # to the last one, which may be the broken one
        raise NothingRead
    if stream.account_no not in {None, account.account_no}:
        raise NotOurAccount(
            f"样本属于账号 {stream.account_no}，不是所选的 {account.account_no}",
            account_no=stream.account_no,
        )
    ReceivingAccount.objects.filter(pk=account.pk).update(columns=dict(columns))
