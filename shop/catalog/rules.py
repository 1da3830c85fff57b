"""What a product may be, and how its title is cut into words for search."""

import re

from django.db import models


class Status(models.TextChoices):
    DRAFT = "DRAFT", "草稿"
    ON_SALE = "ON_SALE", "在售"
    OFF = "OFF", "已下架"


TRANSITIONS = {
    Status.DRAFT: frozenset({Status.ON_SALE}),
    Status.ON_SALE: frozenset({Status.OFF}),
    Status.OFF: frozenset({Status.ON_SALE}),
}


def words(text: str) -> list[str]:
    """What a search asks for: latin words, and every pair of neighbouring Chinese signs.

    The database makes the same words of a title (function shop_words in migration 0000_words).
    """
    lower = text.lower()
    found = set(re.findall(r"[a-z0-9]+", lower))
    for run in re.findall(r"[\u3400-\u9fff]+", lower):
        found |= {run} if len(run) == 1 else {run[i : i + 2] for i in range(len(run) - 1)}
    return sorted(found)
