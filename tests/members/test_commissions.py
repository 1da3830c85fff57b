from decimal import Decimal

import pytest

from members.guides import services
from members.guides.models import Commission
from members.guides.rules import Due
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.ledger.rules import Draft
from payments.ledger.services import NotCovered
from tests.members.people import NOON, client_of, make_guide, make_user

pytestmark = pytest.mark.django_db

URL = "/api/v1/guides/me"


def due(guide, order="D1", line=1, base_fen=100_00, rate="5"):
    return Due(guide.pk, order, line, base_fen, Decimal(rate))


def fund(guide, fen):
    """Money of finished orders: what commissions are paid from."""
    draft = Draft("TEST", f"fund:{fen}", {"bank:1": fen}, {available(guide): fen})
    ledger.post([draft], at=NOON)


def available(guide):
    return f"merchant:{guide.merchant.number}:available"


def commission(guide):
    return f"guide:{guide.user.number}:commission"


def statuses():
    return list(Commission.objects.order_by("pk").values_list("status", flat=True))


def test_a_paid_order_promises_its_guide_a_share_of_each_line():
    guide = make_guide()

    services.expect(dues=[due(guide), due(guide, line=2, base_fen=33_33)], at=NOON)

    rows = Commission.objects.order_by("line").values_list("amount_fen", "status")
    assert list(rows) == [(5_00, "PENDING"), (1_67, "PENDING")]
    assert not Posting.objects.exists()


def test_being_told_twice_promises_once():
    guide = make_guide()

    services.expect(dues=[due(guide)], at=NOON)
    services.expect(dues=[due(guide, base_fen=999_00), due(guide, line=2)], at=NOON)

    assert Commission.objects.get(line=1).amount_fen == 5_00
    assert Commission.objects.count() == 2


def test_earning_moves_the_merchants_money_to_the_guide_once():
    guide = make_guide()
    fund(guide, 1000_00)
    services.expect(dues=[due(guide), due(guide, line=2), due(guide, order="D2")], at=NOON)

    services.earn(lines=[("D1", 1), ("D1", 2)], at=NOON)
    services.earn(lines=[("D1", 1), ("D1", 2)], at=NOON)

    assert statuses() == ["EARNED", "EARNED", "PENDING"]
    assert books.balance(commission(guide)) == 10_00
    assert books.balance(available(guide)) == 990_00
    assert sorted(
        Posting.objects.filter(kind="COMMISSION").values_list("reference", flat=True)
    ) == [
        "D1:1",
    ]


def test_without_the_merchants_money_nothing_is_earned():
    guide = make_guide()
    services.expect(dues=[due(guide)], at=NOON)

    with pytest.raises(NotCovered):
        services.earn(lines=[("D1", 1), ("D1", 2)], at=NOON)

    assert statuses() == ["PENDING"]
    assert not Posting.objects.exists()


def test_a_refund_before_it_is_earned_voids_it_for_good():
    guide = make_guide()
    fund(guide, 1000_00)
    services.expect(dues=[due(guide), due(guide, order="D2")], at=NOON)

    services.void(order_numbers=["D1"], at=NOON)
    services.earn(lines=[("D1", 1), ("D2", 1)], at=NOON)

    assert statuses() == ["VOID", "EARNED"]
    assert books.balance(commission(guide)) == 5_00


def test_what_is_earned_is_not_voided_but_can_be_reversed():
    guide = make_guide()
    fund(guide, 1000_00)
    services.expect(dues=[due(guide)], at=NOON)
    services.earn(lines=[("D1", 1), ("D1", 2)], at=NOON)

    services.void(order_numbers=["D1"], at=NOON)
    assert statuses() == ["EARNED"]
    services.reverse(order_numbers=["D1"], at=NOON)
    services.reverse(order_numbers=["D1"], at=NOON)

    assert statuses() == ["REVERSED"]
    assert books.balance(commission(guide)) == 0
    assert books.balance(available(guide)) == 1000_00


def test_an_order_paid_again_after_a_wrong_match_waits_again():
    guide = make_guide()
    services.expect(dues=[due(guide)], at=NOON)
    services.void(order_numbers=["D1"], at=NOON)

    services.expect(dues=[due(guide)], at=NOON)

    assert statuses() == ["PENDING"]
    assert Commission.objects.get().settled_at is None


def test_a_commission_of_nothing_is_earned_without_a_posting():
    guide = make_guide()
    services.expect(dues=[due(guide, base_fen=1)], at=NOON)

    services.earn(lines=[("D1", 1), ("D1", 2)], at=NOON)

    assert statuses() == ["EARNED"]
    assert not Posting.objects.exists()


def test_two_hundred_orders_cost_as_many_statements_as_one(django_assert_max_num_queries):
    guide = make_guide()
    fund(guide, 100_000_00)
    counts = []
    for batch, size in (("A", 1), ("B", 200)):
        dues = [due(guide, order=f"{batch}{i}") for i in range(size)]
        numbers = [one.order_number for one in dues]
        with django_assert_max_num_queries(12) as seen:
            services.expect(dues=dues, at=NOON)
            services.earn(lines=[(number, 1) for number in numbers], at=NOON)
        counts.append(len(seen))

    assert counts[0] == counts[1]
    assert books.balance(commission(guide)) == 201 * 5_00


def test_a_guide_sees_their_own_commissions_newest_first(django_assert_num_queries):
    guide, other = make_guide(), make_guide()
    fund(guide, 1000_00)
    dues = [due(guide), due(guide, line=2), due(guide, order="D2"), due(other, order="D3")]
    services.expect(dues=dues, at=NOON)
    services.earn(lines=[("D2", 1)], at=NOON)
    client = client_of(guide.user)

    with django_assert_num_queries(2):
        shown = client.get(f"{URL}/commissions").json()["results"]

    assert [(one["order"], one["line"], one["status"]) for one in shown] == [
        ("D2", 1, "EARNED"),
        ("D1", 2, "PENDING"),
        ("D1", 1, "PENDING"),
    ]
    assert shown[0]["base_fen"] == 100_00
    assert shown[0]["amount_fen"] == 5_00
    earned = client.get(f"{URL}/commissions", {"status": "EARNED"}).json()["results"]
    assert [one["order"] for one in earned] == ["D2"]
    assert client.get(f"{URL}/commissions", {"state": "EARNED"}).status_code == 400


def test_the_summary_adds_up_by_status(django_assert_num_queries):
    guide = make_guide()
    fund(guide, 1000_00)
    dues = [due(guide), due(guide, line=2), due(guide, order="D2"), due(guide, order="D3")]
    services.expect(dues=dues, at=NOON)
    services.earn(lines=[("D2", 1)], at=NOON)
    services.void(order_numbers=["D3"], at=NOON)
    client = client_of(guide.user)

    with django_assert_num_queries(3):
        summary = client.get(f"{URL}/summary").json()

    assert summary == {
        "pending_fen": 10_00,
        "earned_fen": 5_00,
        "void_fen": 5_00,
        "reversed_fen": 0,
        "orders": 3,
        "customers": 0,
    }


def test_commissions_outlive_the_guides_post():
    guide = make_guide()
    services.expect(dues=[due(guide)], at=NOON)
    services.close(guide=guide, at=NOON)

    assert len(client_of(guide.user).get(f"{URL}/commissions").json()["results"]) == 1


def test_a_buyer_sees_no_commissions_and_a_guest_must_sign_in():
    services.expect(dues=[due(make_guide())], at=NOON)

    assert client_of(make_user()).get(f"{URL}/commissions").json()["results"] == []
    assert client_of().get(f"{URL}/commissions").status_code == 401
