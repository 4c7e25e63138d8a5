"""Sagas: a row an instance, and what they wait for."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SagaInstance(models.Model):
    """Where one instance of a saga stands. Its stream is the truth; this row can be made from it again."""

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        COMPLETED = "completed", _("completed")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    stream = models.CharField(max_length=255, primary_key=True)
    saga = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    version = models.IntegerField()  # of the stream
    state = models.BinaryField()  # JSON
    schema = models.SmallIntegerField(default=1)  # of the state
    plans = models.BinaryField()  # JSON: what undoes its steps, and its timeouts
    origin = models.BinaryField()  # JSON: metadata of the message that started it
    last_step = models.CharField(max_length=200)
    next_timeout_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")
    started_at = models.DateTimeField()
    stepped_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_saga"
        verbose_name = _("saga")
        verbose_name_plural = _("sagas")
        default_permissions = ("view",)
        permissions = [
            ("retry_sagainstance", _("Can retry a saga's step")),
            ("skip_sagainstance", _("Can skip a saga's step")),
            ("cancel_sagainstance", _("Can cancel a saga")),
        ]
        indexes = [
            models.Index(fields=["saga", "status", "-started_at"], name="whizbang_saga_list"),
            models.Index(
                fields=["closed_at"],
                condition=models.Q(closed_at__isnull=False),
                name="whizbang_saga_closed",
            ),
        ]

    def __str__(self) -> str:
        return self.stream  # alone: the admin's log names a row by it that was not read


class SagaTimeout(models.Model):
    """A timeout that a saga waits for; the row goes when it fires or is cancelled."""

    stream = models.CharField(max_length=255)
    saga = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    name = models.CharField(max_length=100)
    due_at = models.DateTimeField()
    attempts = models.IntegerField(default=0)
    parked_at = models.DateTimeField(null=True)  # its method failed; it waits for an operator
    error = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")

    class Meta:
        db_table = "whizbang_saga_timeout"
        verbose_name = _("saga timeout")
        verbose_name_plural = _("saga timeouts")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["stream", "name"], name="whizbang_timeout_once")
        ]
        indexes = [
            models.Index(
                fields=["due_at", "id"],
                condition=models.Q(parked_at__isnull=True),
                name="whizbang_timeout_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.stream}"
