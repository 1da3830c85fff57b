from collections.abc import Iterator

from django.db import connection
from django.db.models import Sum

from config.kit.money import yuan
from payments.ledger.models import Entry
from payments.ledger.rules import Side, kind_of


def balance(code: str) -> int:
    """Fen on the account's normal side, by its entries, which are the truth."""
    total = Entry.objects.filter(account__code=code).aggregate(fen=Sum("amount_fen", default=0))
    return on_normal_side(code, total["fen"])


def balances(kind: str) -> dict[str, int]:
    """Fen on the normal side of every account of a kind, such as `held`."""
    rows = (
        Entry.objects.filter(account__code__startswith=f"{kind}:")
        .values("account__code")
        .annotate(fen=Sum("amount_fen"))
    )
    return {row["account__code"]: on_normal_side(row["account__code"], row["fen"]) for row in rows}


def on_normal_side(code: str, signed_fen: int) -> int:
    return signed_fen if kind_of(code).side == Side.DEBIT else -signed_fen


def findings() -> Iterator[str]:
    """What is wrong with the books themselves: nothing, or a sentence per finding."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(amount_fen), 0) FROM payments_entry")
        (total,) = cursor.fetchone()
        if total:
            yield f"试算不平：全部分录合计 {yuan(int(total))} 元"
        cursor.execute(
            "SELECT p.kind, p.reference FROM payments_posting p"
            " LEFT JOIN payments_entry e ON e.posting_id = p.id"
            " GROUP BY p.id HAVING count(e.id) < 2 OR sum(e.amount_fen) <> 0 LIMIT 20"
        )
        for kind, reference in cursor.fetchall():
            yield f"凭证 {kind} {reference} 借贷不平"
        cursor.execute(
            "SELECT a.code, a.balance_fen, coalesce(-sum(e.amount_fen), 0)"
            " FROM payments_account a LEFT JOIN payments_entry e ON e.account_id = a.id"
            " WHERE a.is_guarded GROUP BY a.id"
            " HAVING a.balance_fen <> coalesce(-sum(e.amount_fen), 0) LIMIT 20"
        )
        for code, kept, true in cursor.fetchall():
            yield f"账户 {code} 余额 {yuan(kept)} 元，分录合计 {yuan(int(true))} 元"
