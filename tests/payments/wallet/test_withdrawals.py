"""Money leaves a wallet once, or is back in it: as the channel says, whatever happens to words."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.cashier.refunds import SecondPersonNeeded
from payments.channels import wechat as client
from payments.ledger import queries as books
from payments.wallet import roads, tasks, withdrawals
from payments.wallet.models import Withdrawal
from payments.wallet.services import InsufficientBalance
from payments.wechat_pay.models import WeChatNotice
from tests.factories import client_of, key, make_user
from tests.payments.hurry import ANSWERS_AFTER, hurried
from tests.payments.wallet.scene import available, bought, frozen, rich
from tests.payments.wechat_pay import payers
from tests.sandbox.wechat_pay.books import OPENING_FEN

PATH = "/v3/fund-app/mch-transfer/transfer-bills"
FINISHED = "MCHTRANSFER.BILL.FINISHED"
CARD = {"to": "BANK", "account_no": "6222020200112233", "account_name": "王小明"}


def asked(user, fen=5000, **more):
    return withdrawals.ask(
        user_id=user.pk, owner=user.number, amount_fen=fen, **{"to": "WECHAT", "at": now(), **more}
    )


def sent(row):
    withdrawals.send(number=row.number, at=now())
    row.refresh_from_db()
    return row


def at_the_door(user, fen=5000):
    """WeChat has it, and the payee has to confirm."""
    row = sent(asked(user, fen))
    assert (row.status, row.is_known) == ("SENDING", True)
    return row


def ends(wechat, row, state, **more):
    wechat.sandbox.control("wechat-pay/transfer", out_bill_no=row.number, state=state, **more)


def transfers(wechat):
    return wechat.sandbox.get("/__sandbox__/wechat-pay/trades").json()["transfers"]


def pots(user):
    return available(user), frozen(user)


# --- to WeChat ------------------------------------------------------------------------------------


def test_it_is_frozen_until_wechat_says_that_it_is_there(wechat):
    user = rich(10_000)
    row = at_the_door(user, 5000)
    assert pots(user) == (5000, 5000)

    ends(wechat, row, "SUCCESS")
    assert sent(row).status == "DONE"

    assert pots(user) == (5000, 0)
    assert (books.balance("clearing:wechat"), books.balance("elsewhere:wechat")) == (0, 5000)
    assert row.channel_no == transfers(wechat)[0]["transfer_bill_no"]


@pytest.mark.parametrize("state", ["FAIL", "CANCELING"])
def test_what_wechat_gives_up_is_in_the_wallet_again(wechat, state):
    user = rich(10_000)
    row = at_the_door(user, 5000)

    ends(wechat, row, state)
    if state == "CANCELING":
        assert sent(row).status == "SENDING"
        ends(wechat, row, "CANCELLED")
    assert sent(row).status == "FAILED"

    assert pots(user) == (10_000, 0)
    assert "微信支付" in row.failure


def test_over_the_api_the_answer_says_what_to_confirm(wechat):
    user, once = rich(10_000), key()
    client = client_of(user)
    body = {"amount_fen": 5000, "to": "WECHAT"}

    first = client.post("/api/v1/wallet/withdrawals", body, format="json", **once)
    again = client.post("/api/v1/wallet/withdrawals", body, format="json", **once)

    assert (first.status_code, first.json()["status"]) == (201, "SENDING")
    assert set(first.json()["instructions"]) == {"mchId", "appId", "package"}
    assert again.json() == first.json()
    assert len(transfers(wechat)) == 1
    assert client.get("/api/v1/wallet").json() == {
        "available_fen": 5000,
        "frozen_fen": 5000,
        "gift_cards_fen": 0,
    }
    one = f"/api/v1/wallet/withdrawals/{first.json()['number']}"
    assert client.get(one).json() == client.get("/api/v1/wallet/withdrawals").json()["results"][0]
    assert client_of(make_user()).get(one).status_code == 404


def test_a_silent_wechat_is_no_refusal(wechat):
    user = rich(10_000)
    wechat.switch("error_after", on=PATH)

    answer = client_of(user).post(
        "/api/v1/wallet/withdrawals", {"amount_fen": 5000, "to": "WECHAT"}, format="json", **key()
    )

    assert (answer.status_code, answer.json()["status"]) == (201, "SENDING")
    assert pots(user) == (5000, 5000)


@pytest.mark.parametrize(
    "fault",
    [
        *("error_before", "error_after", "reset", "garbage", "slow"),
        *("answer_bad_signature", "answer_signtest", "answer_old_timestamp", "answer_other_key"),
    ],
)
def test_an_order_without_a_good_answer_is_given_again_under_its_number(wechat, fault):
    user = rich(10_000)
    row = asked(user, 5000)
    wechat.switch(fault, on=PATH, seconds=ANSWERS_AFTER)

    with hurried(client):
        assert sent(row).status == "SENDING"
    assert (row.is_known, pots(user)) == (False, (5000, 5000))

    assert sent(row).package
    assert len(transfers(wechat)) == 1
    ends(wechat, row, "SUCCESS")
    assert sent(row).status == "DONE"
    assert pots(user) == (5000, 0)


@pytest.mark.parametrize(
    "fault", ["error_before", "error_after", "reset", "garbage", "answer_bad_signature"]
)
@pytest.mark.parametrize("state", ["SUCCESS", "FAIL"])
def test_nothing_is_concluded_from_a_question_without_a_good_answer(wechat, fault, state):
    user = rich(10_000)
    row = at_the_door(user, 5000)
    ends(wechat, row, state)
    wechat.switch(fault, on=f"{PATH}/*")

    assert sent(row).status == "SENDING"
    assert pots(user) == (5000, 5000)

    assert sent(row).status == ("DONE" if state == "SUCCESS" else "FAILED")


def test_it_ended_while_nobody_had_heard_of_it(wechat):
    """The order was heard, its answer lost, and the payee confirmed before it was given again."""
    user = rich(10_000)
    row = asked(user, 5000)
    wechat.switch("error_after", on=PATH)
    sent(row)
    ends(wechat, row, "SUCCESS")

    assert sent(row).status == "DONE"

    assert pots(user) == (5000, 0)


def test_what_nobody_confirms_ends_when_wechat_says_so_and_not_before(wechat):
    user = rich(10_000)
    row = at_the_door(user, 5000)

    Withdrawal.objects.update(asked_at=now() - timedelta(days=9))
    assert sent(row).status == "SENDING"
    assert pots(user) == (5000, 5000)

    wechat.sandbox.move_clock(86_500)
    assert sent(row).status == "FAILED"
    assert "OVERDUE_CLOSE" in row.failure
    assert pots(user) == (10_000, 0)


def test_wechat_without_money_is_asked_again_later(wechat):
    user = rich(10_000)
    client.wechat_pay().transfer(
        out_bill_no="ALLOFIT", fen=OPENING_FEN - 4999, openid="o", name="别人", remark="占用"
    )
    row = asked(user, 5000)

    assert sent(row).status == "SENDING"
    assert "NOT_ENOUGH" in row.failure
    assert pots(user) == (5000, 5000)

    wechat.sandbox.control("wechat-pay/transfer", out_bill_no="ALLOFIT", state="FAIL")
    assert sent(row).package


def test_what_wechat_refuses_outright_is_in_the_wallet_again(wechat, settings):
    user = rich(10_000)
    settings.WECHAT_PAY = settings.WECHAT_PAY | {
        "transfers": {"scene": "scene", "reports": settings.WECHAT_PAY["transfers"]["reports"]}
    }
    row = asked(user, 5000)

    assert sent(row).status == "FAILED"
    assert pots(user) == (10_000, 0)


def test_refused_after_a_silence_it_waits_until_nothing_can_be_on_its_way(wechat, settings):
    user = rich(10_000)
    row = asked(user, 5000)
    wechat.switch("error_before", on=PATH)
    sent(row)
    settings.WECHAT_PAY = settings.WECHAT_PAY | {
        "transfers": {"scene": "scene", "reports": settings.WECHAT_PAY["transfers"]["reports"]}
    }

    assert sent(row).status == "SENDING"

    Withdrawal.objects.update(silent_at=now() - timedelta(minutes=11))
    assert sent(row).status == "FAILED"
    assert pots(user) == (10_000, 0)


def test_killed_between_the_commit_and_the_call_the_sweep_sends_it(wechat):
    user = rich(10_000)
    row = asked(user, 5000)

    tasks.send_withdrawals()

    row.refresh_from_db()
    assert row.package
    assert pots(user) == (5000, 5000)


def test_killed_between_the_call_and_the_commit_it_is_asked_about_again(wechat):
    """WeChat has it, and paid it; we know nothing of our own call."""
    user = rich(10_000)
    row = asked(user, 5000)
    roads.of(row, now())
    ends(wechat, row, "SUCCESS")

    tasks.send_withdrawals()

    row.refresh_from_db()
    assert (row.status, pots(user)) == ("DONE", (5000, 0))
    assert len(transfers(wechat)) == 1


# --- what WeChat tells ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("", [204]),
        ("double", [204, 204]),
        ("double_new_id", [204, 204]),
        ("double_at_once", [204, 204]),
        ("wrong_amount", [204]),
        ("wrong_mchid", [204]),
        ("other_regime", [204]),
        ("bad_signature", [401]),
        ("old_timestamp", [401]),
        ("other_key", [401]),
        ("signtest", [401, 204]),
    ],
)
def test_a_notice_only_makes_us_ask(wechat, kind, answers):
    user = rich(10_000)
    row = at_the_door(user, 5000)
    if kind:
        wechat.switch(kind, on=FINISHED)
    ends(wechat, row, "SUCCESS")

    assert wechat.deliver(len(answers)) == answers
    assert pots(user) == (5000, 5000)

    Withdrawal.objects.update(ask_at=now())
    tasks.send_withdrawals()
    assert pots(user) == (5000, 0)
    assert not WeChatNotice.objects.exclude(problem="").exists()


def test_a_dropped_notice_is_made_up_for_by_the_sweep(wechat):
    user = rich(10_000)
    row = at_the_door(user, 5000)
    wechat.switch("drop", on=FINISHED)
    ends(wechat, row, "SUCCESS")

    tasks.send_withdrawals()
    assert frozen(user) == 5000  # not yet its turn
    Withdrawal.objects.update(ask_at=now())
    tasks.send_withdrawals()

    assert pots(user) == (5000, 0)


def test_a_notice_of_a_number_that_we_never_gave_is_kept_for_a_person(wechat):
    row = at_the_door(rich(10_000), 5000)
    wechat.switch("unknown_order", on=FINISHED)
    ends(wechat, row, "SUCCESS")

    assert wechat.deliver() == [204]
    assert "不是本店的" in WeChatNotice.objects.get().problem
    assert sent(row).status == "DONE"


def test_a_transfer_of_another_amount_under_our_number_is_not_ours(wechat):
    user = rich(10_000)
    row = at_the_door(user, 5000)
    ends(wechat, row, "SUCCESS")
    Withdrawal.objects.filter(pk=row.pk).update(amount_fen=4999)

    assert sent(row).status == "SENDING"
    assert "不符" in row.failure

    Withdrawal.objects.filter(pk=row.pk).update(amount_fen=5000)
    assert sent(row).status == "DONE"


# --- refused --------------------------------------------------------------------------------------


def test_what_the_wallet_does_not_cover_leaves_nothing(wechat):
    user = rich(4999)

    with pytest.raises(InsufficientBalance):
        asked(user, 5000)

    assert (pots(user), Withdrawal.objects.count()) == ((4999, 0), 0)


def test_what_is_frozen_is_not_spent(wechat):
    user = rich(10_000)
    asked(user, 8000)

    with pytest.raises(InsufficientBalance):
        bought(user, 3000)


@pytest.mark.parametrize("fen", [99, 200_001])
def test_too_little_or_too_much_at_once(wechat, fen):
    with pytest.raises(withdrawals.WithdrawalOutOfBounds):
        asked(rich(300_000), fen)


def test_so_much_a_day_and_so_often(wechat, settings):
    user = rich(1_000_000)
    settings.WALLET_WITHDRAWALS = settings.WALLET_WITHDRAWALS | {"day_fen": 10_000}
    asked(user, 6000)
    with pytest.raises(withdrawals.WithdrawalsADay) as over:
        asked(user, 4001)
    assert over.value.details == {"left_fen": 4000, "left_times": 2}
    asked(user, 100)
    asked(user, 100)

    with pytest.raises(withdrawals.WithdrawalsADay):
        asked(user, 100)

    asked(user, 4000, at=now() + timedelta(days=1))


def test_where_no_road_is_open_it_is_said(settings):
    settings.WECHAT_PAY = {}
    user = rich(10_000)

    for more in ({"to": "WECHAT"}, CARD):
        with pytest.raises(withdrawals.RoadClosed):
            asked(user, 5000, **more)


def test_without_a_wechat_login_or_a_name_it_is_said(wechat, settings):
    settings.WALLET_WITHDRAWALS = settings.WALLET_WITHDRAWALS | {"most_fen": 500_000}
    user, stranger = rich(500_000), rich(500_000)
    payers.unknown.add(stranger.pk)

    with pytest.raises(withdrawals.NoWechatAccount):
        asked(stranger, 5000)
    with pytest.raises(withdrawals.NameNeeded):
        asked(user, 200_000)
    row = asked(user, 200_000, account_name="王小明")
    withdrawals.approve(withdrawal=row, actor="UCHECKER", at=now())
    assert sent(row).package


# --- above a limit --------------------------------------------------------------------------------


def test_above_a_limit_nothing_is_sent_before_another_person_approves(wechat):
    user = rich(200_000)
    row = sent(asked(user, 100_001))
    assert (row.status, transfers(wechat)) == ("CHECKING", [])
    assert pots(user) == (99_999, 100_001)

    with pytest.raises(SecondPersonNeeded):
        withdrawals.approve(withdrawal=row, actor=user.number, at=now())
    withdrawals.approve(withdrawal=row, actor="UCHECKER", at=now())
    with pytest.raises(StaleState):
        withdrawals.decline(withdrawal=row, actor="UCHECKER", reason="晚了", at=now())

    assert sent(row).package


def test_declined_it_is_in_the_wallet_again(wechat):
    user = rich(200_000)
    row = asked(user, 100_001)

    withdrawals.decline(withdrawal=row, actor="UCHECKER", reason="请先实名", at=now())

    row.refresh_from_db()
    assert (row.status, row.failure, pots(user)) == ("DECLINED", "请先实名", (200_000, 0))
    assert sent(row).status == "DECLINED"
    assert transfers(wechat) == []
