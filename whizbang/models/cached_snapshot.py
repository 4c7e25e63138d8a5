"""Contents of cached projections, kept so that a process need not read all of the log when it starts."""

from __future__ import annotations

from django.db import models


class CachedSnapshot(models.Model):
    """The last snapshot of one cached projection: a cache on which nothing depends."""

    projection = models.CharField(max_length=200, primary_key=True)
    token = models.UUIDField()  # of its chunks
    version = models.IntegerField()
    fingerprint = models.CharField(max_length=64)  # of the code that folded it
    store_id = models.UUIDField()
    history_change = models.BigIntegerField()  # the last one before it was folded
    position = models.BigIntegerField()
    chunk_count = models.IntegerField()
    entry_count = models.BigIntegerField()
    taken_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "whizbang_cached_snapshot"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.projection} at position {self.position}"


class CachedSnapshotChunk(models.Model):
    """Some entries of a snapshot, as MessagePack; small, since databases limit a statement's size."""

    projection = models.CharField(max_length=200, db_index=True)
    token = models.UUIDField()
    number = models.IntegerField()
    payload = models.BinaryField()

    class Meta:
        db_table = "whizbang_cached_snapshot_chunk"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["token", "number"], name="whizbang_cached_snapshot_chunk_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.projection}, chunk {self.number}"
