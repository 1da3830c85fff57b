"""What a booking is not, whatever it looks like: the adversarial set of where money comes from.

Ours that comes back is no buyer's; one booking under two names is one booking.
"""

import pytest

from payments.transfers.parsers.cells import PERHAPS_TAKEN_BACK
from tests.members.people import make_user
from tests.payments.transfers.bank import arrive, booking, expected, virtual_of

pytestmark = pytest.mark.django_db
PRICE = 9900

# --- our own money that comes back (退汇) -------------------------------------------------------


@pytest.fixture
def tempted(account):
    """A known payer with one open payment: an equal credit from his account pays it (T4)."""
    buyer = make_user()
    known = booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)))
    arrive(known)
    return expected(PRICE, payer=buyer)


OUR_RETURN, OUR_REFUND = "T23456789ABCDG", "R23456789ABCDG"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"remark": "退汇"}, id="the bank's word alone"),
        pytest.param({"remark": "货款", "texts": ("货款", " 退票 ")}, id="in any of its texts"),
        pytest.param({"remark": f"退回 {OUR_RETURN}"}, id="the number of a return"),
        pytest.param({"remark": f"退款 {OUR_REFUND} 户名不符"}, id="that of a refund"),
        pytest.param({"remark": f"账号错误{OUR_RETURN.lower()}"}, id="in small letters"),
        pytest.param({"is_reversal": True}, id="what the bank marks"),
        pytest.param(
            {"remark": "退汇-账号有误", "caution": PERHAPS_TAKEN_BACK},
            id="where payer and bank share a text",
        ),
    ],
)
def test_a_payout_of_ours_that_comes_back_pays_nobody(tempted, changes):
    (line,) = arrive(booking(PRICE, **changes))

    tempted.refresh_from_db()
    assert (line.verdict, line.rule, line.is_posted) == ("CONFLICT", "R", True)
    assert tempted.status == "WAITING"


@pytest.mark.parametrize(
    "words", ["退货补差价", "退票手续，货款", "T23456789ABCDX", f"X{OUR_RETURN}", "货款"]
)
def test_a_payers_own_words_are_no_payout_that_comes_back(tempted, words):
    """The control: the layout keeps the bank's words apart, and the payer's are not the bank's."""
    (line,) = arrive(booking(PRICE, remark=words))

    tempted.refresh_from_db()
    assert (line.verdict, line.rule) == ("MATCHED", "T4")
    assert tempted.status == "CONFIRMED"
