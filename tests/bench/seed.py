"""A shop of a hundred thousand products, by set-based INSERTs."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models
from django.utils.timezone import now
from knox.crypto import hash_token
from knox.models import AuthToken

from members.accounts.models import Address, User
from members.guides.models import Guide
from members.memberships.models import Membership
from members.merchants import services as merchants
from members.merchants.rules import Terms
from payments.receiving.models import ReceivingAccount, VirtualAccount
from shop.catalog.models import PriceRule, Product, Sku
from shop.inventory.models import Stock
from tests.bench.load import Buyer

MERCHANTS = 20
PRODUCTS = 100_000
BUYERS = 2_000
VIRTUAL_ACCOUNTS = 50_000
ACCOUNT_NO = "755900000110"
STAFF = f"U{1:012d}"  # the first of all people; also the guide of every merchant


def fill(model: type[models.Model], source: str, **given: str) -> None:
    """One row of `model` for each of `source`; columns by SQL, the others by their defaults."""
    names, wanted, params = [], [], []
    for field in model._meta.concrete_fields:
        if field.has_db_default() and not field.has_default() and field.attname not in given:
            continue  # the database fills it
        if field.attname in given:
            names.append(field.column)
            wanted.append(given[field.attname])
        elif not (field.null or field.primary_key or getattr(field, "generated", False)):
            names.append(field.column)
            wanted.append("%s")
            params.append(field.get_db_prep_save(field.get_default(), connection))
    sql = f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) SELECT {', '.join(wanted)}"
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} FROM {source}", params)


def numbers(count: int) -> str:
    return f"generate_series(1, {count}) i"


@dataclass(frozen=True)
class Shop:
    """People with their tokens; `staff` may upload statements."""

    buyers: list[Buyer]
    staff: Buyer


def shop() -> Shop:
    """Everything the measurements stand on."""
    sellers = [
        merchants.open_merchant(name=f"商家{n}", terms=Terms(), at=now()) for n in range(MERCHANTS)
    ]
    _goods(min(seller.pk for seller in sellers))
    _accounts()
    _people()
    staff, *buyers = _with_tokens()
    User.objects.filter(number=STAFF).update(is_superuser=True)
    settle_down()
    return Shop(buyers, staff)


def settle_down() -> None:
    """What seeding leaves to be written and analysed must not be paid by what is measured."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _goods(first_merchant: int) -> None:
    fill(
        Product,
        numbers(PRODUCTS),
        number="'G' || lpad(i::text, 12, '0')",
        merchant_id=f"{first_merchant} + i %% {MERCHANTS}",
        title="'狮峰山明前特级龙井 ' || i",
        is_private="i %% 20 = 0",
        status="'ON_SALE'",
        created_at="now() - i * interval '1 second'",
    )
    fill(
        Sku,
        "shop_product p",
        number="'S' || substr(p.number, 2)",
        product_id="p.id",
        name="'250g 罐装'",
        list_price_fen="9900 + p.id %% 100 * 100",
        min_quantity="1",
    )
    fill(Stock, "shop_sku k", sku_id="k.id", on_hand="1000000")
    fill(
        PriceRule,
        "shop_sku k WHERE k.id %% 2 = 0",
        sku_id="k.id",
        kind="'MEMBER'",
        price_fen="k.list_price_fen * 8 / 10",
    )
    fill(
        PriceRule,
        "shop_sku k WHERE k.id %% 5 = 0",
        sku_id="k.id",
        kind="'BREAK'",
        min_quantity="10",
        price_fen="k.list_price_fen * 9 / 10",
    )


def _accounts() -> None:
    account = ReceivingAccount.objects.create(
        account_no=ACCOUNT_NO, account_name="杭州私域科技有限公司", bank_name="招商银行杭州分行"
    )
    fill(
        VirtualAccount,
        numbers(VIRTUAL_ACCOUNTS),
        number=f"'{ACCOUNT_NO}' || lpad(i::text, 10, '0')",
        unit="lpad(i::text, 10, '0')",
        receiving_account_id=str(account.pk),
    )


def _people() -> None:
    fill(
        User,
        numbers(BUYERS + 1),
        number="'U' || lpad(i::text, 12, '0')",
        username="'U' || lpad(i::text, 12, '0')",
        password="'!'",
        nickname="'王小美'",
        date_joined="now()",
    )
    fill(
        Address,
        "members_user u",
        number="'A' || substr(u.number, 2)",
        user_id="u.id",
        name="'王小美'",
        phone="'13800138000'",
        province="'浙江省'",
        city="'杭州市'",
        detail="'龙井路1号'",
    )
    fill(
        Membership,
        "members_user u, members_merchant m WHERE (u.id + m.id) %% 4 = 0",
        card_no="'C' || lpad((u.id * 100 + m.id)::text, 12, '0')",
        user_id="u.id",
        merchant_id="m.id",
        status="'ACTIVE'",
        joined_at="now()",
    )
    fill(
        Guide,
        f"members_user u, members_merchant m WHERE u.number = '{STAFF}'",
        user_id="u.id",
        merchant_id="m.id",
        opened_at="now()",
    )


def _with_tokens() -> list[Buyer]:
    users: list[Any] = list(User.objects.order_by("number"))
    tokens = [secrets.token_hex(32) for _ in users]
    AuthToken.objects.bulk_create(
        AuthToken(
            digest=hash_token(token),
            token_key=token[:15],
            user=user,
            expiry=now() + timedelta(days=1),
        )
        for token, user in zip(tokens, users, strict=True)
    )
    return [Buyer(token, f"A{user.number[1:]}") for token, user in zip(tokens, users, strict=True)]
