"""States of aggregates, kept so that loading need not read all of a stream."""

from __future__ import annotations

from django.db import models


class Snapshot(models.Model):
    """The state of one stream's aggregate at a version: a cache on which nothing depends."""

    stream = models.CharField(max_length=255, primary_key=True)
    version = models.IntegerField()
    fingerprint = models.CharField(max_length=64)  # of the code that made the state
    state = models.BinaryField()  # JSON
    taken_at = models.DateTimeField()

    class Meta:
        db_table = "whizbang_snapshot"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.stream} at version {self.version}"
