"""Money goes out of wallets: frozen first, then sent; posted or given back as the channel says."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum
from django.utils.module_loading import import_string

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.jobs import later
from config.kit.outside import assert_no_transaction
from config.kit.states import move
from payments.cashier.refunds import SecondPersonNeeded
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.wallet import queries, roads
from payments.wallet.models import Withdrawal
from payments.wallet.rules import (
    NAMED_FROM_FEN,
    WITHDRAWAL_TRANSITIONS,
    Outcome,
    Said,
    To,
    WithdrawalLimits,
    WithdrawalStatus,
    ask_next,
    wallet_of,
    withdrawing_of,
)
from payments.wallet.services import InsufficientBalance
from payments.wallet.top_ups import alone

SHANGHAI = ZoneInfo("Asia/Shanghai")
logger = logging.getLogger(__name__)


class WithdrawalOutOfBounds(Refusal):
    message = "提现金额超出每次的限额"


class WithdrawalsADay(Refusal):
    message = "超出每天的提现限额"


class RoadClosed(Refusal):
    message = "暂不支持提现到这里"


class NoWechatAccount(Refusal):
    message = "请在微信小程序里登录后再提现到微信"


class NameNeeded(Refusal):
    status = 400
    message = "提现 2000 元及以上到微信须填写收款人姓名"


@joined
def ask(
    *,
    user_id: int,
    owner: str,
    amount_fen: int,
    to: str,
    at: datetime,
    account_no: str = "",
    account_name: str = "",
) -> Withdrawal:
    """Freeze it; it is sent once this is committed (`send`).  Above a limit staff approve first.

    Raises WithdrawalOutOfBounds, WithdrawalsADay, RoadClosed, NoWechatAccount, NameNeeded,
    InsufficientBalance.
    """
    limits = WithdrawalLimits(**settings.WALLET_WITHDRAWALS)
    if not limits.least_fen <= amount_fen <= limits.most_fen:
        raise WithdrawalOutOfBounds(least_fen=limits.least_fen, most_fen=limits.most_fen)
    payee = _payee(user_id, to, amount_fen, account_no, account_name)
    alone(owner)
    _within_the_day(user_id, amount_fen, limits, at)
    is_checked = amount_fen > limits.check_fen
    row = Withdrawal.objects.create(
        number=numbers.fresh("W"),
        user_id=user_id,
        owner=owner,
        amount_fen=amount_fen,
        to=to,
        status=WithdrawalStatus.CHECKING if is_checked else WithdrawalStatus.SENDING,
        asked_at=at,
        ask_at=at,
        **payee,
    )
    try:
        with transaction.atomic():
            _post(row, "WITHDRAW", wallet_of(owner), withdrawing_of(owner), at)
    except ledger.NotCovered as short:
        raise InsufficientBalance(available_fen=queries.balance(owner)[0]) from short
    return row


def _payee(user_id: int, to: str, fen: int, account_no: str, account_name: str) -> dict[str, str]:
    if to == To.BANK:
        if not settings.WALLET_PAYOUT_BANK:
            raise RoadClosed
        from_account = settings.WALLET_PAYOUT_ACCOUNT
        return {
            "account_no": account_no, "account_name": account_name, "paid_from": from_account
        }  # fmt: skip
    if not settings.WECHAT_PAY.get("transfers"):
        raise RoadClosed
    if fen >= NAMED_FROM_FEN and not account_name:
        raise NameNeeded
    openid = import_string(settings.PAYER_OPENID)(user_id)
    if not openid:
        raise NoWechatAccount
    return {"openid": openid, "account_name": account_name}


def _within_the_day(user_id: int, fen: int, limits: WithdrawalLimits, at: datetime) -> None:
    day = at.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    mine = Withdrawal.objects.filter(user_id=user_id, asked_at__gte=day)
    live = mine.exclude(status__in=[WithdrawalStatus.FAILED, WithdrawalStatus.DECLINED])
    today = live.aggregate(fen=Sum("amount_fen", default=0), times=Count("pk"))
    if today["times"] >= limits.day_times or today["fen"] + fen > limits.day_fen:
        raise WithdrawalsADay(
            left_fen=max(limits.day_fen - today["fen"], 0),
            left_times=max(limits.day_times - today["times"], 0),
        )


def _post(row: Withdrawal, kind: str, debit: str, credit: str, at: datetime) -> None:
    fen = row.amount_fen
    draft = Draft(kind=kind, reference=row.number, debits={debit: fen}, credits={credit: fen})
    ledger.post([draft], at=at)


# --- staff ----------------------------------------------------------------------------------------


@joined
def approve(*, withdrawal: Withdrawal, actor: str, at: datetime) -> None:
    """Somebody other than its owner says that it may go.

    Raises SecondPersonNeeded, and StaleState where it does not wait.
    """
    _require_another(withdrawal, actor)
    waiting = Withdrawal.objects.filter(pk=withdrawal.pk)
    move(waiting, WithdrawalStatus.SENDING, WITHDRAWAL_TRANSITIONS, checked_by=actor, ask_at=at)
    later("payments.wallet.tasks.send_withdrawal", number=withdrawal.number)


@joined
def decline(*, withdrawal: Withdrawal, actor: str, reason: str, at: datetime) -> None:
    """It stays in the wallet.  Raises as `approve`."""
    _require_another(withdrawal, actor)
    found = Withdrawal.objects.filter(pk=withdrawal.pk)
    said = {"checked_by": actor, "failure": reason[:200], "ended_at": at}
    move(found, WithdrawalStatus.DECLINED, WITHDRAWAL_TRANSITIONS, **said)
    _post(
        withdrawal, "WITHDRAW_VOID", withdrawing_of(withdrawal.owner),
        wallet_of(withdrawal.owner), at,
    )  # fmt: skip


def _require_another(withdrawal: Withdrawal, actor: str) -> None:
    if actor == withdrawal.owner:
        raise SecondPersonNeeded


# --- on its way -----------------------------------------------------------------------------------


def send(*, number: str, at: datetime) -> None:
    """Ask the channel for it, or what became of it.  Not atomic on purpose: the network is between.

    Safe to repeat: its number is the channel's key.  What proves nothing leaves it as it is.
    """
    assert_no_transaction()
    row = Withdrawal.objects.get(number=number)
    if row.status != WithdrawalStatus.SENDING:
        return
    Withdrawal.objects.filter(pk=row.pk).update(ask_at=ask_next(row.asked_at, at))
    _take(row, roads.of(row, at), at)


@transaction.atomic
def _take(row: Withdrawal, said: Said, at: datetime) -> None:
    """Another worker may have heard it, too: what has ended stays as it is."""
    found = Withdrawal.objects.filter(pk=row.pk)
    heard: dict[str, Any] = {"failure": said.why[:200]}
    if said.is_known:
        heard["is_known"] = True
    if said.package:
        heard["package"] = said.package
    if said.silent:
        heard["silent_at"] = at
    if said.outcome == Outcome.WAITS:
        found.filter(status=WithdrawalStatus.SENDING).update(**heard)
        return
    frozen = withdrawing_of(row.owner)
    try:
        if said.outcome == Outcome.LEFT:
            left = roads.leaves(row, said.number)  # before any row's lock
            ended = {"channel_no": said.number, "ended_at": at, **heard}
            move(found, WithdrawalStatus.DONE, WITHDRAWAL_TRANSITIONS, **ended)
            _post(row, "WITHDRAWN", frozen, left, at)
        else:
            move(found, WithdrawalStatus.FAILED, WITHDRAWAL_TRANSITIONS, ended_at=at, **heard)
            _post(row, "WITHDRAW_VOID", frozen, wallet_of(row.owner), at)
    except StaleState:
        now_is = found.values_list("status", flat=True).get()
        if (now_is == WithdrawalStatus.DONE) != (said.outcome == Outcome.LEFT):
            logger.error("withdrawal %s is %s, and the channel says: %s", row, now_is, said)


@joined
def bounced(*, withdrawal: Withdrawal, sources: Mapping[str, int], at: datetime) -> None:
    """What had left is here again: its owner has it, all of it.  StaleState unless done.

    `sources`: the accounts that have it, in fen, an expense for what banks kept among them.
    """
    found = Withdrawal.objects.filter(pk=withdrawal.pk)
    failure = "收款银行退汇，款项已退回钱包"
    move(found, WithdrawalStatus.BOUNCED, WITHDRAWAL_TRANSITIONS, failure=failure)
    draft = Draft(
        kind="WITHDRAW_BOUNCED",
        reference=withdrawal.number,
        debits=dict(sources),
        credits={wallet_of(withdrawal.owner): withdrawal.amount_fen},
    )
    ledger.post([draft], at=at)


def look_again(*, told: dict[str, Any]) -> str:
    """WeChat has news of a transfer: it is asked about soon.  Answers the problem, if it is one."""
    number = str(told.get("out_bill_no", ""))
    if not Withdrawal.objects.filter(number=number, to=To.WECHAT).exists():
        return f"商家转账单号 {number[:32]} 不是本店的"
    later("payments.wallet.tasks.send_withdrawal", number=number)
    return ""
