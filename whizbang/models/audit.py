"""What operators did."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from whizbang.models.fields import DocumentField


class OperatorAction(models.Model):
    """Who did what, when and why; kept for KEEP_AUDIT_DAYS.

    `parameters` has no payloads. `original` is the payload that an edit replaced, as JSON.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    operator = models.CharField(max_length=150, blank=True, default="")
    action = models.CharField(max_length=50)
    target = models.CharField(max_length=200, db_index=True)  # such as "dead letter 12"
    token = models.UUIDField(null=True, unique=True)  # of the form that asked: it asks once
    message_id = models.UUIDField(null=True, db_index=True)
    reason = models.TextField(blank=True, default="")
    parameters = DocumentField()
    result = models.TextField(blank=True, default="")
    original = models.BinaryField(null=True)

    class Meta:
        db_table = "whizbang_operator_action"
        verbose_name = _("operator's action")
        verbose_name_plural = _("operators' actions")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class Redrive(models.Model):
    """Dead letters that are handled again, one after the other: who, why, which, progress and result.

    The first one is the canary: the rest waits for what becomes of it.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        STOPPED = "stopped", _("stopped")
        CANCELLED = "cancelled", _("cancelled")

    class Canary(models.TextChoices):
        NONE = "", _("not yet")
        WAITING = "waiting", _("waiting")
        HANDLED = "handled", _("handled")
        DIED = "died", _("died again")

    status = models.CharField(max_length=20, choices=Status.choices, default=Status.REQUESTED)
    filter = DocumentField()  # which letters; see operations/letter_filter.py
    position = models.BigIntegerField(default=0)  # all letters up to here are done with
    until = models.BigIntegerField()  # the last letter there was when it was asked for
    total = models.BigIntegerField()  # letters that were chosen then
    done = models.BigIntegerField(default=0)  # put back where they had been given up
    handled = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)  # died again, or could not be put back
    waiting = DocumentField(default=list)  # put back, with no outcome yet: [[message id, where], …]
    canary = models.CharField(
        max_length=10, choices=Canary.choices, blank=True, default=Canary.NONE
    )
    rate_per_second = models.FloatField(null=True)  # at most; null: as fast as it goes
    is_keeping_going = models.BooleanField(default=False)  # past letters that die again
    requested_by = models.CharField(max_length=150, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    error = models.TextField(blank=True, default="")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_redrive"
        verbose_name = _("redrive")
        verbose_name_plural = _("redrives")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"redrive {self.pk} ({self.status})"
