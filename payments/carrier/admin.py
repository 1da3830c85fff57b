from django.contrib import admin
from django.db.models import F, Model, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from config.kit.admin import Look
from config.kit.columns import NOTHING, DayFilter, in_yuan
from payments.carrier.models import CarrierAccount, CarrierBatch, CarrierMove
from payments.carrier.rules import BatchStatus
from payments.ledger.admin import KINDS
from payments.ledger.models import Account, Entry

FINANCE = "FINANCE"


@admin.register(CarrierBatch)
class CarrierBatchAdmin(Look):
    """Of the platform only: a batch is of many merchants at once."""

    role = FINANCE
    colours = {"status": {BatchStatus.SENDING: "warning", BatchStatus.BOOKED: "success"}}
    list_display = ["number", "status", "moves", "made_at", "booked_at", "problem"]
    list_filter = [("status", ChoicesDropdownFilter), ("made_at", DayFilter)]
    search_fields = ["number"]
    ordering = ["-pk"]
    fields = [
        ("number", "status", "moves"),
        ("made_at", "asked_at"),
        ("booked_at", "booked_on"),
        "problem",
    ]


@admin.register(CarrierMove)
class CarrierMoveAdmin(Look):
    """Which posting stands behind a number of a difference."""

    role = FINANCE
    list_display = ["number", "kind", "posting", "booked_on"]
    list_select_related = ["batch", "posting"]
    search_fields = ["batch__number", "posting__reference"]
    search_help_text = "批次号或凭据"
    ordering = ["-pk"]
    fields = [("number", "batch"), ("kind", "posting")]

    @display(description="动账号")
    def number(self, move: CarrierMove) -> str:
        return str(move) or "不涉及存管"

    @display(description="事项")
    def kind(self, move: CarrierMove) -> str:
        return KINDS.get(move.posting.kind, move.posting.kind)

    @display(description="存管入账日", ordering="batch__booked_on")
    def booked_on(self, move: CarrierMove) -> str:
        return f"{move.batch.booked_on}" if move.batch and move.batch.booked_on else NOTHING


@admin.register(CarrierAccount)
class CarrierAccountAdmin(Look):
    role = FINANCE
    list_display = ["code", "told_fen", "books", "untold"]
    search_fields = ["code"]
    ordering = ["code"]
    fields = ["code", ("told_fen", "books", "untold")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CarrierAccount]:
        """With what the ledger has, by its entries."""
        account = Account.objects.filter(code=OuterRef(OuterRef("code"))).values("pk")
        entries = Entry.objects.filter(account=Subquery(account)).order_by().values("account")
        fen = Subquery(entries.annotate(fen=Sum("amount_fen")).values("fen"))
        rows = super().get_queryset(request)
        return rows.annotate(books_fen=-Coalesce(fen, Value(0))).annotate(
            untold_fen=F("books_fen") - F("told_fen")
        )

    @display(description="账面余额")
    def books(self, row: Model) -> str:
        return in_yuan(row.books_fen)  # type: ignore[attr-defined]

    @display(description="尚未报送")
    def untold(self, row: Model) -> str:
        fen: int = row.untold_fen  # type: ignore[attr-defined]
        return in_yuan(fen) if fen else NOTHING
