"""The catalogue of streams: an index of the log for people, kept by a subscription of our own."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Stream(models.Model):
    """One stream of the log, as far as the catalogue has read it."""

    name = models.CharField(max_length=255, primary_key=True)
    category = models.CharField(max_length=255, db_index=True)
    version = models.IntegerField()
    last_position = models.BigIntegerField(db_index=True)
    last_type = models.CharField(max_length=200)
    first_recorded_at = models.DateTimeField()
    last_recorded_at = models.DateTimeField()

    class Meta:
        db_table = "whizbang_stream"
        verbose_name = _("stream")
        verbose_name_plural = _("streams")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
