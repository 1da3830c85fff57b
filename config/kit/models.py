from django.conf import settings
from django.db import models
from django.db.models import Q


class IdempotencyKey(models.Model):
    """An answer given to a client's key, written in the same transaction as its effect."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body")
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint("user", "key", name="idempotency_key_used_once"),
            models.CheckConstraint(
                name="idempotency_status_with_answer",
                condition=Q(status=None, answer=None)
                | Q(status__isnull=False, answer__isnull=False),
            ),
        ]
        indexes = [
            # The nightly clean-up reads the oldest.
            models.Index("created_at", name="idempotency_by_age"),
        ]

    def __str__(self) -> str:
        return self.key


class Heartbeat(models.Model):
    """When a background process was last seen alive; /readyz reads it."""

    name = models.CharField(max_length=32, primary_key=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
