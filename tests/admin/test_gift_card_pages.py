"""Gift cards, as the platform's finance sees them and stops them."""

import pytest

from payments.gift_cards.models import GiftCard
from tests.admin.pages import opened, url
from tests.admin.stage import platform as make_platform
from tests.factories import make_user
from tests.payments.gift_cards.scene import FACE, from_wallet, give

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return opened(make_platform())


def test_a_card_shows_what_is_on_it_and_what_happened(client):
    card = from_wallet(make_user("购卡人小李"), FACE)
    code = give(card, "生日快乐")

    listed = client.get(url("payments.GiftCard", "changelist")).content.decode()
    page = client.get(url("payments.GiftCard", "change", card.pk)).content.decode()

    assert card.number in listed
    assert "¥500.00" in listed
    for word in ("赠送中", "购卡人小李", "到账", "送出", "生日快乐"):
        assert word in page
    assert code not in page


def test_staff_freeze_with_a_reason_and_thaw(client):
    card = from_wallet(make_user(), FACE)

    client.post(url("payments.GiftCard", "freeze", card.pk), {"reason": ""})
    assert not GiftCard.objects.get().frozen_why
    client.post(url("payments.GiftCard", "freeze", card.pk), {"reason": "盗刷的卡买的"})
    assert GiftCard.objects.get().frozen_why == "盗刷的卡买的"
    assert "解冻" in client.get(url("payments.GiftCard", "change", card.pk)).content.decode()
    client.post(url("payments.GiftCard", "thaw", card.pk), {"reason": "已查清"})

    assert not GiftCard.objects.get().frozen_why
    events = card.events.order_by("pk").values_list("kind", flat=True)
    assert list(events) == ["PAID", "FROZEN", "THAWED"]
