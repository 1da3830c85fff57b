"""Money leaves a wallet for a bank card: once, known again in statements, and back if sent back."""

import pytest
from django.utils.timezone import now

from config.kit.errors import NotFound
from payments.cashier.models import Refund
from payments.channels import signed, transfer
from payments.ledger import queries as books
from payments.transfers import bounces
from payments.transfers.bounces import NotThisPayout
from payments.transfers.models import LineReturn, StatementLine
from payments.wallet import queries
from payments.wallet.models import Withdrawal
from tests.factories import client_of, key, make_merchant, make_staff
from tests.payments.hurry import ANSWERS_AFTER, hurried
from tests.payments.transfers.bank import arrive, booking
from tests.payments.wallet.scene import rich
from tests.payments.wallet.test_withdrawals import CARD, asked, pots, sent


def test_a_bank_pays_at_once(bank):
    user = rich(10_000)

    row = sent(asked(user, 5000, **CARD))

    assert (row.status, bool(row.channel_no)) == ("DONE", True)
    assert pots(user) == (5000, 0)
    assert books.balance("bank:755900000110") == -5000


@pytest.mark.parametrize("fault", ["error_before", "error_after", "reset", "garbage", "slow"])
def test_a_payout_without_a_good_answer_is_ordered_again_and_paid_once(bank, fault):
    user = rich(10_000)
    bank.faults("/bank/payouts", fault, seconds=ANSWERS_AFTER)
    row = asked(user, 5000, **CARD)

    with hurried(signed):
        assert sent(row).status == "SENDING"
    assert pots(user) == (5000, 5000)

    assert sent(row).status == "DONE"
    assert pots(user) == (5000, 0)


def test_a_closed_card_gives_it_back(bank):
    user = rich(10_000)

    row = sent(asked(user, 5000, **CARD | {"account_no": "9999000011112222"}))

    assert row.status == "FAILED"
    assert "银行拒绝付款" in row.failure
    assert pots(user) == (10_000, 0)


@pytest.mark.parametrize(
    "wrong", [{"account_no": "6222****2233"}, {"account_no": ""}, {"account_name": ""}]
)
def test_a_card_is_named_whole(bank, wrong):
    body = {"amount_fen": 5000, **CARD, **wrong}

    answer = client_of(rich(10_000)).post(
        "/api/v1/wallet/withdrawals", body, format="json", **key()
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert not Withdrawal.objects.exists()


def test_a_statement_knows_it_again_by_its_number(bank):
    row = sent(asked(rich(10_000), 5000, **CARD))

    arrive(booking(-5000, remark=f"钱包提现 {row.number}"))

    assert books.balance("bank:755900000110") == -5000
    assert StatementLine.objects.get().verdict == "IGNORED"


def test_a_statement_that_comes_before_the_banks_answer_is_not_booked_twice(bank):
    user = rich(10_000)
    bank.faults("/bank/payouts", "error_after")
    row = sent(asked(user, 5000, **CARD))
    paid = transfer.bank("sandbox").payout(row.number)
    arrive(booking(-5000, serial=paid.serial, remark="转账"))
    assert books.balance("bank:755900000110") == -5000

    assert sent(row).status == "DONE"

    assert (books.balance("bank:755900000110"), pots(user)) == (-5000, (5000, 0))
    assert books.balance("elsewhere:755900000110") == 0


def back_from_the_bank(row, fen=5000, person=None, **changes):
    (line,) = arrive(booking(fen, remark=f"退汇 {row.number}", is_reversal=True, **changes))
    everything = queries.withdrawals_seen_by(person) if person else Withdrawal.objects.all()
    return bounces.link(
        line=StatementLine.objects.select_related("receiving_account").get(pk=line.pk),
        payout=row.number,
        returned=LineReturn.objects.none(),
        refunded=Refund.objects.none(),
        withdrawn=everything,
        reason="附言有单号",
        actor="UCLERK",
        at=now(),
    )


def test_what_the_payees_bank_sends_back_is_in_the_wallet_again(bank):
    user = rich(10_000)
    row = sent(asked(user, 5000, **CARD))

    back_from_the_bank(row)

    row.refresh_from_db()
    assert (row.status, pots(user)) == ("BOUNCED", (10_000, 0))
    assert books.balance("bank:755900000110") == 0
    assert books.balance("suspense:755900000110") == 0
    with pytest.raises(NotThisPayout):
        back_from_the_bank(row)


def test_another_amount_or_another_persons_line_is_not_its_bounce(bank):
    row = sent(asked(rich(10_000), 5000, **CARD))

    with pytest.raises(NotThisPayout):
        back_from_the_bank(row, 4999)
    with pytest.raises(NotFound):
        back_from_the_bank(row, person=make_staff(make_merchant(), "FINANCE"))

    row.refresh_from_db()
    assert row.status == "DONE"
