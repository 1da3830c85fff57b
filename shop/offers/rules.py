"""Some pieces at a price for a while: what live lots, flash sales and group buys share."""

from django.db import models


class Status(models.TextChoices):
    OPEN = "OPEN", "进行中"
    CLOSED = "CLOSED", "已结束"


TRANSITIONS = {Status.OPEN: frozenset({Status.CLOSED}), Status.CLOSED: frozenset[Status]()}
