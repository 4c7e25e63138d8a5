"""The catalogue of streams: an index of the log for people, kept by a subscription of our own."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Stream(models.Model):
    """One stream of the log, as far as the catalogue has read it."""

    name = models.CharField(max_length=255, primary_key=True)
    category = models.CharField(max_length=255)
    aggregate_id = models.CharField(max_length=255, db_index=True)  # what follows the category
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
        indexes = [
            models.Index(fields=["category", "-last_position"], name="whizbang_stream_category")
        ]

    def __str__(self) -> str:
        return self.name


class EventType(models.Model):
    """A type name that stands in the log, as far as the catalogue has read it."""

    name = models.CharField(max_length=200, primary_key=True)
    first_position = models.BigIntegerField()

    class Meta:
        db_table = "whizbang_event_type"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
