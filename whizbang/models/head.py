"""Who the store is, and how far its log is settled."""

from __future__ import annotations

import uuid

from django.db import models


class StoreHead(models.Model):
    """The one row of a store: its identity and the head as a worker last published it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    store_id = models.UUIDField(default=uuid.uuid4)
    position = models.BigIntegerField(default=0)
    published_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_store_head"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.store_id} at {self.position}"
