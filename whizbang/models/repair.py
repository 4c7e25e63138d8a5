"""What operators did to mend a read model."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from whizbang.models.fields import DocumentField


class EditedEvent(models.Model):
    """A copy of an event with another payload, which one subscription applies in its place.

    The log keeps the original. Lives in the database that the subscription writes to.
    """

    subscription = models.CharField(max_length=200)
    position = models.BigIntegerField()
    stream = models.CharField(max_length=255)
    version = models.IntegerField()
    type = models.CharField(max_length=200)
    schema = models.SmallIntegerField()  # of the payload
    payload = models.BinaryField()  # in the store's format, as a reader of the log gets it
    reason = models.TextField()
    edited_by = models.CharField(max_length=150, blank=True, default="")
    edited_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "whizbang_edited_event"
        verbose_name = _("edited event")
        verbose_name_plural = _("edited events")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "position"], name="whizbang_edited_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} v{self.version} in {self.subscription}"


class Backfill(models.Model):
    """Events of the past that one subscription is given again: who, why, when, progress and result.

    Lives in the database that the subscription writes to, so that progress commits with the rows.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    subscription = models.CharField(max_length=200, db_index=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.REQUESTED)
    scope = DocumentField()  # which events between the positions; see operations/scope.py
    after = models.BigIntegerField()
    position = models.BigIntegerField()  # all events of the scope up to here are applied
    until = models.BigIntegerField()
    events = models.BigIntegerField()  # of the scope
    events_done = models.BigIntegerField(default=0)
    events_left_out = models.BigIntegerField(default=0)  # skipped, or of a parked stream
    last_rebuild = models.BigIntegerField(default=0)  # before it; a later one makes it pointless
    events_per_second = models.FloatField(null=True)  # at most; null: as fast as it goes
    requested_by = models.CharField(max_length=150, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    error = models.TextField(blank=True, default="")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_backfill"
        verbose_name = _("backfill")
        verbose_name_plural = _("backfills")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.subscription} ({self.status})"
