"""Messages that wait: to be handled here, or to be sent elsewhere."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class InboxMessage(models.Model):
    """A command to handle, or handled: the queue, the receipt and the memory of known ids."""

    class Status(models.TextChoices):
        STORED = "stored", _("stored")
        RUNNING = "running", _("running")
        RETRYING = "retrying", _("retrying")
        HANDLED = "handled", _("handled")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("expired")

    service = models.CharField(max_length=100)
    message_id = models.UUIDField()
    type = models.CharField(max_length=200)
    schema = models.SmallIntegerField(default=1)
    payload = models.BinaryField(null=True)  # JSON; dropped once handled
    payload_hash = models.BinaryField(max_length=16)
    metadata = models.BinaryField(null=True)  # JSON
    occurred_at = models.DateTimeField()
    mode = models.CharField(max_length=10)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STORED)
    # Higher first. The database has the default too: a web process of before the column still inserts.
    priority = models.SmallIntegerField(default=0, db_default=0)
    ordering_key = models.CharField(max_length=255, null=True)  # noqa: DJ001
    available_at = models.DateTimeField()
    token_at = models.DateTimeField(null=True)  # when its handler's rate limit lets it run
    expires_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    claim = models.UUIDField(null=True)  # of the worker that runs it
    result = models.BinaryField(null=True)  # JSON
    error = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")
    finished_at = models.DateTimeField(null=True)
    reply_to = models.CharField(max_length=100, blank=True, default="")  # the service that asks

    class Meta:
        db_table = "whizbang_inbox"
        verbose_name = _("inbox message")
        verbose_name_plural = _("inbox messages")
        default_permissions = ("view",)
        permissions = [
            ("retry_inboxmessage", _("Can handle a waiting message now")),
            ("discard_inboxmessage", _("Can discard a waiting message")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["message_id", "service"], name="whizbang_inbox_once")
        ]
        # The conditions have no values: SQLite cannot use one that it would have to compare with
        # parameters. A handled message gives its ordering key up, so that keys stay few.
        indexes = [
            models.Index(
                fields=["service", "priority", "available_at", "id"],
                condition=models.Q(finished_at__isnull=True),
                name="whizbang_inbox_due",
            ),
            models.Index(
                fields=["ordering_key", "id"],
                condition=models.Q(ordering_key__isnull=False),
                name="whizbang_inbox_key",
            ),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(finished_at__isnull=False),
                name="whizbang_inbox_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.message_id} ({self.status})"


class DeadLetter(models.Model):
    """A message that was given up, with its reason and history, until somebody decides about it."""

    message_id = models.UUIDField(db_index=True)
    type = models.CharField(max_length=200)
    schema = models.SmallIntegerField(default=1)
    payload = models.BinaryField()
    metadata = models.BinaryField()
    occurred_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    error = models.TextField()
    traceback = models.TextField(blank=True, default="")
    attempts = models.IntegerField()
    died_at = models.DateTimeField(auto_now_add=True)
    # As it came over a broker, of one that could not be stored: a CloudEvent in JSON, or what came instead.
    document = models.BinaryField(null=True)
    # Of an event that found no instance of a saga which asks for that: the saga, the instance's key, and where it
    # stands in the log.
    saga = models.CharField(max_length=200, blank=True, default="")
    saga_key = models.CharField(max_length=255, blank=True, default="")
    position = models.BigIntegerField(null=True)

    class Meta:
        db_table = "whizbang_dead_letter"
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        default_permissions = ("view",)
        permissions = [
            ("redrive_deadletter", _("Can redrive a dead letter")),
            ("discard_deadletter", _("Can discard a dead letter")),
            ("edit_deadletter", _("Can edit and redrive a dead letter")),
        ]
        # Groups are counted in the index alone, and a group is read in the order of its letters.
        indexes = [models.Index(fields=["type", "reason", "id"], name="whizbang_dead_group")]

    def __str__(self) -> str:
        return f"{self.type} {self.message_id}"


class OutboxMessage(models.Model):
    """A command for another service, or the answer to one, until the broker has confirmed it."""

    kind = models.CharField(max_length=10, default="command")
    service = models.CharField(max_length=100)  # where it goes
    message_id = models.UUIDField()
    type = models.CharField(max_length=200)
    schema = models.SmallIntegerField(default=1)
    payload = models.BinaryField()  # JSON
    metadata = models.BinaryField()  # JSON
    occurred_at = models.DateTimeField()
    ordering_key = models.CharField(max_length=255, null=True)  # noqa: DJ001
    available_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    reply_to = models.CharField(max_length=100, blank=True, default="")  # the service that waits
    # See messaging/lanes.py. The database has the default too: a process of before the column still inserts.
    lane = models.SmallIntegerField(default=0, db_default=0)
    published_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_outbox"
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")
        default_permissions = ("view",)
        permissions = [
            ("retry_outboxmessage", _("Can send a waiting message now")),
            ("discard_outboxmessage", _("Can discard a message that was not sent")),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(published_at__isnull=True),
                name="whizbang_outbox_unsent",
            ),
            # What became of a command is asked by its id.
            models.Index(fields=["message_id"], name="whizbang_outbox_message"),
            models.Index(  # of what is cleaned up
                fields=["published_at"],
                condition=models.Q(published_at__isnull=False),
                name="whizbang_outbox_sent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} to {self.service}"
