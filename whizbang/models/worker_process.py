"""Which workers there are."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class WorkerProcess(models.Model):
    """A worker process as it last told of itself; it removes its row when it ends in order.

    A worker whose `seen_at` is older than LEASE_SECONDS is gone or frozen; such rows go after a day.
    """

    name = models.CharField(max_length=100, primary_key=True)  # the owner of its leases
    service = models.CharField(max_length=100)
    host = models.CharField(max_length=100)
    process_id = models.IntegerField()
    parts = models.CharField(max_length=200)  # names of what it does, with blanks between
    code_version = models.CharField(max_length=100, blank=True, default="")
    state = models.CharField(max_length=20, blank=True, default="")  # as the health file says
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "whizbang_worker"
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
