"""The index of events: how people find one by what caused it, its id, its type or its user."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EventEntry(models.Model):
    """Where an event stands in the log, by what its metadata say; filled by a subscription of our own."""

    position = models.BigIntegerField(primary_key=True)
    message_id = models.UUIDField()
    correlation_id = models.UUIDField(null=True)
    causation_id = models.UUIDField(null=True)
    type = models.CharField(max_length=200)
    user = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        db_table = "whizbang_event_entry"
        verbose_name = _("index entry of an event")
        verbose_name_plural = _("index of events")
        default_permissions = ()
        indexes = [
            models.Index(fields=["message_id"], name="whizbang_entry_message"),
            models.Index(fields=["correlation_id", "position"], name="whizbang_entry_correlation"),
            models.Index(fields=["type", "-position"], name="whizbang_entry_type"),
            models.Index(fields=["user", "-position"], name="whizbang_entry_user"),
        ]

    def __str__(self) -> str:
        return f"{self.type} at {self.position}"
