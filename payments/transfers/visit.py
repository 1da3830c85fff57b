"""One look at the workbench: what the address asks for, and what this person may see."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from config.kit.admin import Look, viewer_of
from config.kit.columns import YuanField
from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.transfers.backlog import Age, Asked, Sort
from payments.transfers.models import StatementLine
from payments.transfers.rules import OPEN

FINANCE = "FINANCE"


class Filters(forms.Form):
    """What the address asks for; a word that makes no sense asks for nothing."""

    verdict = forms.CharField(required=False)
    age = forms.CharField(required=False)
    least = YuanField(required=False)
    most = YuanField(required=False)
    account = forms.CharField(required=False, max_length=34)
    q = forms.CharField(required=False, max_length=60)
    sort = forms.CharField(required=False)

    def asked(self) -> Asked:
        self.is_valid()
        said = self.cleaned_data
        verdict, age, sort = said.get("verdict"), said.get("age"), said.get("sort")
        return Asked(
            verdict=verdict if verdict in OPEN else "",
            age=age if age in Age.values else "",
            least_fen=said.get("least"),
            most_fen=said.get("most"),
            account=said.get("account") or "",
            words=said.get("q") or "",
            sort=Sort(sort) if sort in Sort.values else Sort.OLDEST,
        )


def kept(asked: Asked) -> dict[str, str]:
    """The filters as they stand in an address."""
    said = {
        "verdict": asked.verdict,
        "age": asked.age,
        "least": plain(asked.least_fen),
        "most": plain(asked.most_fen),
        "account": asked.account,
        "q": asked.words,
        "sort": "" if asked.sort == Sort.OLDEST else str(asked.sort),
    }
    return {name: value for name, value in said.items() if value}


def plain(fen: int | None) -> str:
    """Yuan as they stand in a form and an address."""
    return "" if fen is None else yuan(fen).replace(",", "")


@dataclass(frozen=True)
class Visit:
    """One look at the workbench by one person."""

    admin: Look
    request: HttpRequest
    at: datetime

    @cached_property
    def person(self) -> Viewer:
        return viewer_of(self.request)

    @cached_property
    def mine(self) -> QuerySet[StatementLine]:
        """All lines that this person may decide about."""
        lines = StatementLine.objects.select_related("receiving_account")
        return self.admin.rows_of(lines, self.request, FINANCE)

    @cached_property
    def asked(self) -> Asked:
        return Filters(self.request.GET).asked()

    @cached_property
    def where(self) -> dict[str, str]:
        """Filters and place in the list: what every link on the page keeps."""
        place = {name: self.request.GET.get(name, "") for name in ("after", "before")}
        return kept(self.asked) | {name: value for name, value in place.items() if value}

    def link(self, **more: str) -> str:
        return f"?{urlencode(self.where | more)}"

    def home(self, **more: str) -> str:
        return self.admin.url_of("queue") + self.link(**more)

    def line(self, number: str) -> StatementLine | None:
        return self.mine.filter(number=number).first() if number else None
