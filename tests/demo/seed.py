"""The rows of the demo shop: three merchants, their people, goods, posts, accounts."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from config.kit import numbers
from members.accounts.models import User
from members.guides import services as guides
from members.memberships import services as memberships
from members.memberships.models import Level, Post
from members.merchants import services as merchants
from members.merchants.models import Merchant
from members.merchants.rules import Terms
from payments.offering import services as offering
from payments.receiving.models import ReceivingAccount
from shop.catalog.models import Category, PriceRule, Product, Sku
from shop.inventory.models import Stock

ACCOUNT = "755900000110"
PLENTY = 10_000


@dataclass(frozen=True)
class Goods:
    """A product with one SKU; prices in fen."""

    title: str
    sku: str
    list_fen: int
    member_fen: int | None = None
    least: int = 1
    is_private: bool = False
    breaks: dict[int, int] = field(default_factory=dict)
    about: str = ""


SHOPS: dict[str, list[Goods]] = {
    "西湖茶业": [
        Goods("明前龙井 特级", "250g 罐装", 298_00, 238_00, about="狮峰山核心产区，清明前手采。"),
        Goods("会员专享 龙井礼盒", "2×125g", 398_00, 268_00, is_private=True, about="仅会员可见。"),
        Goods("九曲红梅 红茶", "200g", 168_00, 138_00),
        Goods("龙井 散装批发", "500g", 220_00, 190_00, least=10, breaks={10: 205_00, 100: 180_00}),
        Goods("青瓷盖碗", "一套", 128_00),
    ],
    "江南丝绸": [
        Goods("真丝方巾 西湖十景", "90×90cm", 359_00, 299_00),
        Goods("桑蚕丝被", "2kg", 1_280_00, 1_080_00),
        Goods("会员专享 真丝睡衣", "M", 699_00, 499_00, is_private=True),
        Goods("真丝眼罩 批发", "一只", 39_00, 29_00, least=20, breaks={100: 25_00}),
    ],
    "云南山货": [
        Goods("野生松茸 干片", "100g", 188_00, 158_00),
        Goods("古树普洱 生茶饼", "357g", 428_00, 368_00),
        Goods("会员专享 小粒咖啡豆", "454g", 98_00, 68_00, is_private=True),
    ],
}


@dataclass(frozen=True)
class Person:
    username: str
    password: str
    user: User

    def shown(self) -> dict[str, str]:
        return {"username": self.username, "password": self.password}


def person(username: str, nickname: str, password: str, *, is_platform: bool = False) -> Person:
    user = User(
        username=username, nickname=nickname, is_staff=is_platform, is_superuser=is_platform
    )
    user.set_password(password)
    User.objects.bulk_create([user])
    return Person(username, password, user)


@transaction.atomic
def load() -> dict[str, Any]:
    """Fill an empty database; answers what demo.json will say of it."""
    at = now()
    tea = Category.objects.create(code="tea", name="茶叶")
    silk = Category.objects.create(code="silk", name="丝绸")
    food = Category.objects.create(code="food", name="山货")
    categories = dict(zip(SHOPS, (tea, silk, food), strict=True))
    opened = {name: open_shop(name, goods, categories[name], at) for name, goods in SHOPS.items()}
    first = opened["西湖茶业"]
    ReceivingAccount.objects.create(
        account_no=ACCOUNT,
        account_name="杭州私域科技有限公司",
        bank_name="招商银行杭州分行",
        provider="sandbox",
    )
    staff = people(first, at)
    offer_alipay(at)
    return {
        "staff": staff,
        "merchants": [shown(merchant, staff) for merchant in opened.values()],
    }


def offer_alipay(at: datetime) -> None:
    """It is nobody's without a compliance note."""
    platform = User.objects.get(username="platform")
    for method in ("ALIPAY_LINK", "ALIPAY_QR"):
        offering.set_rule(
            method=method,
            values={
                "status": "OFFERED",
                "clients": ["MINI_PROGRAM", "H5"],
                "note": "演示环境：只连沙箱，不收真钱。",
            },
            actor=platform.number,
            at=at,
        )


def people(first: Merchant, at: datetime) -> dict[str, dict[str, str]]:
    """One of each role; passwords are drawn anew for every demo database."""
    password = secrets.token_urlsafe(9)
    platform = person("platform", "平台管理员", password, is_platform=True)
    owner = person("merchant", "茶业店主", password)
    finance = person("finance", "财务小周", password)
    guide = person("guide", "导购阿强", password)
    merchants.appoint(user=owner.user, merchant=first, role="OWNER", at=at)
    merchants.appoint(user=finance.user, merchant=first, role="FINANCE", at=at)
    guides.enrol(merchant=first, users=[guide.user], at=at)
    memberships.admit(
        user=guide.user, merchant=first, at=at
    )  # sees the private shelf as members do
    ReceivingAccount.objects.filter(account_no=ACCOUNT).update(merchant=first.number)
    cast = {"platform": platform, "merchant": owner, "finance": finance, "guide": guide}
    return {role: someone.shown() for role, someone in cast.items()}


def open_shop(name: str, goods: list[Goods], category: Category, at: datetime) -> Merchant:
    # Nothing comes back in a demo: the after-sales window is over at once.
    merchant = merchants.open_merchant(name=name, terms=Terms(after_sale_days=0), at=at)
    Level.objects.create(merchant=merchant, rank=1, name="银卡")
    Level.objects.create(merchant=merchant, rank=2, name="金卡")
    for one in goods:
        put_on_shelf(merchant, one, category, at)
    for title, audience in ((f"{name}开店啦", "PUBLIC"), ("会员日预告：周五八折", "MEMBERS")):
        Post.objects.create(
            number=numbers.fresh("N"),
            merchant=merchant,
            title=title,
            body=f"{title}，欢迎光临。",
            audience=audience,
            published_at=at,
        )
    return merchant


def put_on_shelf(merchant: Merchant, goods: Goods, category: Category, at: datetime) -> None:
    product = Product.objects.create(
        number=numbers.fresh("G"),
        merchant=merchant,
        title=goods.title,
        description=goods.about,
        category=category,
        is_private=goods.is_private,
        status="ON_SALE",
        created_at=at,
    )
    sku = Sku.objects.create(
        number=numbers.fresh("S"),
        product=product,
        name=goods.sku,
        list_price_fen=goods.list_fen,
        min_quantity=goods.least,
    )
    Stock.objects.create(sku=sku, on_hand=PLENTY)
    rules = [
        PriceRule(sku=sku, kind="BREAK", min_quantity=n, price_fen=fen)
        for n, fen in goods.breaks.items()
    ]
    if goods.member_fen:
        rules.append(PriceRule(sku=sku, kind="MEMBER", price_fen=goods.member_fen))
    PriceRule.objects.bulk_create(rules)


def shown(merchant: Merchant, staff: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A merchant as demo.json names it; private products too, for scripts that test them."""
    products = Product.objects.filter(merchant=merchant).order_by("pk")
    return {
        "id": merchant.number,
        "name": merchant.name,
        "member_no": merchant.member_no,
        "products": [
            {
                "id": product.number,
                "title": product.title,
                "is_private": product.is_private,
                "skus": list(product.skus.order_by("pk").values_list("number", flat=True)),
            }
            for product in products
        ],
        "stores": [],
        "guides": [staff["guide"]["username"]] if merchant.guides.exists() else [],
    }
