"""The log itself."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from whizbang.models.fields import DocumentField


class StoredEvent(models.Model):
    """One event. Rows are written and read by the store drivers; the model gives table and indexes."""

    position = models.BigAutoField(primary_key=True)
    stream = models.CharField(max_length=255)
    version = models.IntegerField()
    type = models.CharField(max_length=200)
    schema = models.SmallIntegerField()
    slice = models.SmallIntegerField()
    payload = DocumentField()
    metadata = DocumentField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "whizbang_event"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        default_permissions = ("view",)
        permissions = [("view_personal_data", _("Can see personal fields of messages"))]
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "version"], name="whizbang_event_stream_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} v{self.version} {self.type}"
