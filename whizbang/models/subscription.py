"""Where subscriptions stand."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Subscription(models.Model):
    """State of one subscription; it and its partitions live in the database that it writes to."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")

    name = models.CharField(max_length=200, primary_key=True)
    kind = models.CharField(max_length=20)  # projection, subscriber or catalogue
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.ACTIVE)
    store_id = models.UUIDField(default=uuid.UUID(int=0))
    version = models.IntegerField(default=1)  # of the code that filled the read model
    # Of the model that was filled; empty where there is none, or before it was noted.
    fingerprint = models.CharField(max_length=64, blank=True, default="")
    error = models.TextField(blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "whizbang_subscription"
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        default_permissions = ("view",)
        permissions = [
            ("pause_subscription", _("Can pause and resume a subscription")),
            ("partition_subscription", _("Can split and merge a subscription")),
            ("rebuild_subscription", _("Can rebuild a projection")),
            ("backfill_subscription", _("Can backfill a subscription")),
            ("heal_subscription", _("Can heal a stream in a projection")),
            ("rehearse_subscription", _("Can run today's code over history without writing")),
        ]

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """Which worker may run a subscription or another part, until when, on the database's clock."""

    name = models.CharField(max_length=200, primary_key=True)
    owner = models.CharField(max_length=100, blank=True, default="")
    epoch = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_lease"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} by {self.owner or 'nobody'}"


class ParkedStream(models.Model):
    """A stream, or a key, that one subscription has set aside from the event on that failed.

    Where a subscription is partitioned by key, what fails for a key parks that key. An event that does
    not tell its keys parks its stream, for the slices of the partition that met it.
    """

    class Unit(models.TextChoices):
        STREAM = "stream", _("stream")
        KEY = "key", _("key")

    subscription = models.CharField(max_length=200)
    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.STREAM)
    stream = models.CharField(max_length=255)  # of the event that failed
    key = models.CharField(max_length=255, blank=True, default="")  # as text; empty for a stream
    first_slice = models.SmallIntegerField(default=0)  # of the keys that it concerns
    end_slice = models.SmallIntegerField(default=1024)
    position = models.BigIntegerField()  # of the event that failed
    version = models.IntegerField()
    type = models.CharField(max_length=200)
    error = models.TextField()
    traceback = models.TextField(blank=True, default="")
    attempts = models.IntegerField(default=1)
    is_retry_requested = models.BooleanField(default=False)
    parked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "whizbang_parked_stream"
        verbose_name = _("parked stream")
        verbose_name_plural = _("parked streams")
        default_permissions = ("view",)
        permissions = [
            ("retry_parkedstream", _("Can retry a parked stream")),
            ("skip_parkedstream", _("Can skip the event of a parked stream")),
            ("edit_parkedstream", _("Can edit a copy of the event of a parked stream")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "unit", "stream", "key", "first_slice"],
                name="whizbang_parked_once",
            )
        ]

    def __str__(self) -> str:
        what = f"key {self.key}" if self.unit == self.Unit.KEY else self.stream
        return f"{what} in {self.subscription}"


class SkippedEvent(models.Model):
    """An event that one subscription leaves out for good, because somebody said so."""

    subscription = models.CharField(max_length=200)
    stream = models.CharField(max_length=255)
    key = models.CharField(max_length=255, blank=True, default="")  # for which alone it is left out
    position = models.BigIntegerField()
    version = models.IntegerField()
    type = models.CharField(max_length=200)
    error = models.TextField()  # for which it had been parked
    reason = models.TextField()
    skipped_by = models.CharField(max_length=150, blank=True, default="")
    skipped_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "whizbang_skipped_event"
        verbose_name = _("skipped event")
        verbose_name_plural = _("skipped events")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "position", "key"], name="whizbang_skipped_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} v{self.version} in {self.subscription}"


class Rebuild(models.Model):
    """One rebuild of a projection that somebody asked for: who, why, when, progress and result."""

    class Kind(models.TextChoices):
        REBUILD = "rebuild", _("rebuild")
        UNDO = "undo", _("undo")

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    class Phase(models.TextChoices):
        FOLDING = "folding", _("folding history")
        INDEXING = "indexing", _("adding indexes")
        CATCHING_UP = "catching_up", _("catching up")
        COMPARING = "comparing", _("comparing with the live rows")
        HELD = "held", _("waiting to be published")
        PUBLISHING = "publishing", _("publishing")

    projection = models.CharField(max_length=200, db_index=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.REBUILD)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.REQUESTED)
    phase = models.CharField(max_length=20, choices=Phase.choices, blank=True, default="")
    method = models.CharField(max_length=10, blank=True, default="")  # swap, merge or refill
    is_held = models.BooleanField(default=False)  # wait with publishing until somebody says so
    is_cancel_requested = models.BooleanField(default=False)
    shares = models.IntegerField(default=1)  # that are folded side by side
    requested_by = models.CharField(max_length=150, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    events = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    target = models.BigIntegerField(default=0)  # position up to which history is folded at first
    position = models.BigIntegerField(default=0)
    version = models.IntegerField(default=0)  # of the code that folds, and of the model
    fingerprint = models.CharField(max_length=64, blank=True, default="")
    # How the new rows differ from the live ones; see operations/rebuild/comparison.py.
    difference = models.JSONField(null=True)
    error = models.TextField(blank=True, default="")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_rebuild"
        verbose_name = _("rebuild")
        verbose_name_plural = _("rebuilds")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["projection"],
                condition=models.Q(status__in=["requested", "running"]),
                name="whizbang_rebuild_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.projection} ({self.status})"


class RebuildShare(models.Model):
    """A part of a rebuild that one process folds; lives in the database of the projection."""

    run = models.BigIntegerField(db_index=True)  # the Rebuild, which may live in another database
    first_slice = models.IntegerField()
    end_slice = models.IntegerField()  # the first that is not meant any more
    is_done = models.BooleanField(default=False)
    events = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    position = models.BigIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        db_table = "whizbang_rebuild_share"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["run", "first_slice"], name="whizbang_share_once")
        ]

    def __str__(self) -> str:
        return f"{self.first_slice} to {self.end_slice} of rebuild {self.run}"
