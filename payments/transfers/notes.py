"""What a person wants the next one to know about a line."""

from datetime import datetime

from django.db import transaction

from payments.transfers import matching
from payments.transfers.models import StatementLine

NOTE = "NOTE"


@transaction.atomic
def note(*, line: StatementLine, text: str, actor: str, at: datetime) -> None:
    """Words beside a line, kept for ever with who and when; nothing else changes."""
    matching.record([line.pk], NOTE, at=at, actor=actor, facts={"text": text})
