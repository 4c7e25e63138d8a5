"""What operators have asked for and a second person, or a worker, has still to do."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from whizbang.models.fields import DocumentField


class ActionRequest(models.Model):
    """One action that was not done at once: it waits for a second person, or for a worker.

    `seen` is what the one who asked had before them; an action on what has changed since is refused.
    Ended ones are kept for KEEP_AUDIT_DAYS.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("waits for approval")
        QUEUED = "queued", _("waits for a worker")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")

    action = models.CharField(max_length=50)
    target = models.CharField(max_length=200)
    parameters = DocumentField()
    seen = DocumentField()
    token = models.UUIDField(null=True, unique=True)  # of the form that asked: it asks once
    status = models.CharField(max_length=20, choices=Status.choices)
    requested_by = models.CharField(max_length=150, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.CharField(max_length=150, blank=True, default="")
    decision = models.TextField(blank=True, default="")  # why it was approved, refused or withdrawn
    decided_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(
        default=0
    )  # of workers; one that died leaves it to the next
    result = models.TextField(blank=True, default="")
    document = DocumentField(
        null=True
    )  # what was found, where the action looks and does not change
    error = models.TextField(blank=True, default="")

    class Meta:
        db_table = "whizbang_action_request"
        verbose_name = _("requested action")
        verbose_name_plural = _("requested actions")
        default_permissions = ("view",)
        permissions = [("approve_actionrequest", _("Can approve what somebody else asks for"))]
        indexes = [
            models.Index(fields=["status", "id"], name="whizbang_request_open"),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(finished_at__isnull=False),
                name="whizbang_request_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target} ({self.status})"
