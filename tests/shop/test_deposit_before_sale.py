"""What a category asks as a deposit is there before anything is put on sale in it (S001.2)."""

import pytest

from payments.deposits import services as deposits
from payments.deposits.queries import DepositTooSmall
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from shop.catalog import services as catalog
from shop.catalog.models import Category, Product
from tests.factories import NOON, make_merchant, make_sku

pytestmark = pytest.mark.django_db
REQUIRED = 10_000_00


@pytest.fixture
def merchant():
    return make_merchant()


@pytest.fixture
def games(db):
    virtual = Category.objects.create(code="virtual", name="虚拟")
    return Category.objects.create(code="games", name="游戏", parent=virtual)


def pay(merchant, fen):
    own = f"merchant:{merchant.number}:available"
    legs = {"clearing:TEST": fen}, {own: fen}
    ledger.post([Draft("TEST", f"earned {fen}", *legs)], at=NOON)
    deposits.top_up(merchant=merchant.number, amount_fen=fen, actor="U1", at=NOON)


def drafted(merchant, category):
    product = make_sku(merchant).product
    Product.objects.filter(pk=product.pk).update(status="DRAFT", category=category)
    return Product.objects.get(pk=product.pk)


def status(product):
    return Product.objects.get(pk=product.pk).status


def test_nothing_virtual_is_put_on_sale_without_the_deposit(merchant, games):
    product = drafted(merchant, games)
    pay(merchant, REQUIRED - 1)

    with pytest.raises(DepositTooSmall):
        catalog.put_on_sale(product=product)
    assert status(product) == "DRAFT"

    pay(merchant, 1)
    catalog.put_on_sale(product=product)
    assert status(product) == "ON_SALE"


def test_what_is_frozen_does_not_count(merchant, games):
    product = drafted(merchant, games)
    pay(merchant, REQUIRED)
    words = {"reason": "售假", "evidence": "鉴定书"}
    deposits.punish(merchant=merchant.number, amount_fen=1, actor="U1", at=NOON, **words)

    with pytest.raises(DepositTooSmall):
        catalog.put_on_sale(product=product)

    assert status(product) == "DRAFT"


def test_what_is_on_sale_does_not_move_there_either(merchant, games):
    product = make_sku(merchant).product

    with pytest.raises(DepositTooSmall):
        catalog.describe(product=product, changes={"category": games})

    assert Product.objects.get(pk=product.pk).category is None


def test_others_need_none(merchant):
    tea = Category.objects.create(code="tea", name="茶叶")
    product = drafted(merchant, tea)

    catalog.put_on_sale(product=product)

    assert status(product) == "ON_SALE"
