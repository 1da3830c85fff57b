"""Orders that wait to be paid: as many as asked for, by set-based INSERTs.

Each has its payment; by transfer with its intent: one batch has a receiving account of its own,
four of five payments have a virtual account, the fifth only a code and so the account itself (T2a).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection

from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.wechat_pay.models import WeChatTrade
from shop.orders.models import Order, OrderEvent, OrderLine
from tests.bench.seed import BUYERS, PRODUCTS, STAFF, fill

ACCOUNTS = "7550"  # how the numbers of their receiving accounts begin
FIRST_CODE = 300_000  # payload; some below would read as dates, which are never codes


@dataclass(frozen=True)
class Batch:
    """Rows of `bench_goods`, one an order; `i` counts them from 1.

    Order i is of the buyer i modulo `buyers`, counted from 0 as in `Shop.buyers`.
    """

    number: int
    lines: int
    buyers: int = BUYERS

    @property
    def account_no(self) -> str:
        return f"{ACCOUNTS}{self.number:08d}"

    def prefix(self, letter: str) -> str:
        """Of the numbers of its orders (D) and payments (P)."""
        return f"{letter}{self.number:04d}"

    def numbered(self, letter: str) -> str:
        """SQL of the number of one of them."""
        return f"'{self.prefix(letter)}' || lpad(g.i::text, 8, '0')"

    def paid(self) -> int:
        """How many of the orders are PAID."""
        mine = Order.objects.filter(number__startswith=self.prefix("D"))
        return mine.filter(status="PAID").count()


def open_batch(
    lines: int, *, method: str = "BANK_TRANSFER", provider: str = "", buyers: int = BUYERS
) -> Batch:
    """So many open orders of the first `buyers`, with payments by a method; "": with none yet.

    On a new receiving account; `provider`: the bank that pushes to it.
    """
    batch = Batch(ReceivingAccount.objects.count(), lines, buyers)
    account = ReceivingAccount.objects.create(
        account_no=batch.account_no,
        account_name="杭州私域科技有限公司",
        bank_name="建设银行杭州分行",
        provider=provider,
    )
    _choose(batch)
    with _unchecked():
        _orders(batch)
        if method:
            _payments(batch, method)
        if method == "BANK_TRANSFER":
            _intents(batch, account.pk)
        elif method == "WECHAT":
            _trades(batch)
    return batch


# Codes are sound where they must do alone, each but once in a run.  The others are multiples of 97,
# which are never sound (check digits leave 1): there are less than a million sound ones.
_GOODS = """
CREATE TABLE bench_goods AS
WITH goods AS (
    SELECT row_number() OVER (ORDER BY k.id) - 1 AS place, k.id AS sku, k.list_price_fen AS fen,
           m.id AS merchant, m.number AS merchant_no, d.id AS guide
    FROM shop_sku k JOIN shop_product p ON p.id = k.product_id
    JOIN members_merchant m ON m.id = p.merchant_id JOIN members_guide d ON d.merchant_id = m.id
    ORDER BY k.id LIMIT {products}
), buyers AS (
    SELECT row_number() OVER (ORDER BY number) - 1 AS place, id
    FROM members_user WHERE number <> '{staff}'
)
SELECT i, goods.sku, goods.fen, merchant, merchant_no, buyers.id AS buyer,
       CASE WHEN i % 3 = 0 THEN guide END AS guide,
       CASE WHEN i % 5 > 0 THEN lpad(i::text, 10, '0') END AS unit,
       CASE WHEN i % 5 > 0 THEN lpad((i * 97)::text, 8, '0')
            ELSE payload || lpad((98 - payload * 100 % 97)::text, 2, '0') END AS code
FROM generate_series(1, {lines}) i, LATERAL (SELECT {first_code} + i / 5 AS payload) c,
     goods, buyers
WHERE goods.place = i % {products} AND buyers.place = i % {buyers}
"""


def _choose(batch: Batch) -> None:
    """Who buys what, and how his money is to be known."""
    coded = TransferIntent.objects.filter(
        virtual_account=None, receiving_account__account_no__startswith=ACCOUNTS
    )
    made = _GOODS.format(
        lines=batch.lines,
        products=PRODUCTS,
        buyers=batch.buyers,
        staff=STAFF,
        first_code=FIRST_CODE + coded.count(),
    )
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_goods")
        cursor.execute(made)
        cursor.execute("ANALYZE bench_goods")


@contextmanager
def _unchecked() -> Iterator[None]:
    """Without foreign keys and triggers: they would take longer than what is measured."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield
        cursor.execute("SET session_replication_role = DEFAULT")


def _orders(batch: Batch) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shop_stock s SET promised = promised + g.pieces"
            " FROM (SELECT sku, count(*) AS pieces FROM bench_goods GROUP BY sku) g"
            " WHERE s.sku_id = g.sku"
        )
    fill(
        Order,
        "bench_goods g",
        number=batch.numbered("D"),
        buyer_id="g.buyer",
        merchant_id="g.merchant",
        guide_id="g.guide",
        commission_rate="5",
        total_fen="g.fen",
        consignee="'{}'",
        placed_at="now()",
        pay_before="now() + interval '3 days'",
    )
    fill(
        OrderLine,
        f"bench_goods g JOIN shop_order o ON o.number = {batch.numbered('D')}",
        order_id="o.id",
        line="1",
        sku_id="g.sku",
        title="'狮峰山明前特级龙井'",
        sku_name="'250g 罐装'",
        quantity="1",
        unit_price_fen="g.fen",
        total_fen="g.fen",
        price_reason="'LIST'",
    )
    fill(
        OrderEvent,
        f"shop_order o WHERE o.number LIKE '{batch.prefix('D')}%%'",
        order_id="o.id",
        kind="'PLACED'",
        at="now()",
    )


def _payments(batch: Batch, method: str) -> None:
    fill(
        Payment,
        f"bench_goods g JOIN shop_order o ON o.number = {batch.numbered('D')}",
        number=batch.numbered("P"),
        payer_id="g.buyer",
        merchant="g.merchant_no",
        purpose="'ORDER'",
        reference="o.number",
        method=f"'{method}'",
        amount_fen="g.fen",
        opened_at="now()",
        pay_before="o.pay_before",
    )


def _trades(batch: Batch) -> None:
    fill(
        WeChatTrade,
        f"bench_goods g JOIN payments_payment p ON p.number = {batch.numbered('P')}",
        payment_id="p.id",
        out_trade_no="p.number",
        openid="'o' || p.payer_id",
        amount_fen="p.amount_fen",
        opened_at="now()",
        ask_at="now() + interval '1 day'",
    )


def _intents(batch: Batch, account: int) -> None:
    number = f"'{batch.account_no}' || g.unit"
    fill(
        VirtualAccount,
        "bench_goods g WHERE g.unit IS NOT NULL",
        number=number,
        unit="g.unit",
        receiving_account_id=str(account),
        state="'ASSIGNED'",
    )
    fill(
        TransferIntent,
        f"bench_goods g JOIN payments_payment p ON p.number = {batch.numbered('P')}"
        f" LEFT JOIN payments_virtualaccount v ON v.number = {number}",
        payment_id="p.id",
        receiving_account_id=str(account),
        virtual_account_id="v.id",
        code="g.code",
        assigned_at="now()",
    )
