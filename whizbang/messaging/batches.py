"""Storing many messages at once, and the receipt for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connections, transaction

from whizbang.conf import settings
from whizbang.drivers.errors import naming_missing_tables
from whizbang.exceptions import MessageIdReused, WaitTimeout, WrongMode
from whizbang.messages.envelope import Envelope
from whizbang.messaging.queue import store_messages
from whizbang.messaging.rows import payload_hash_of
from whizbang.models import InboxMessage

_POLL_SECONDS = 0.05
_CHUNK_IDS = 500
_OPEN = (
    InboxMessage.Status.STORED,
    InboxMessage.Status.RUNNING,
    InboxMessage.Status.RETRYING,
)


class RejectedItem(NamedTuple):
    """A message of a batch that was not stored."""

    index: int  # type: ignore[assignment]  # hides tuple.index, on purpose
    error: Exception


class BatchReceipt:
    """What became of a batch: counts of accepted and duplicates, and the rejected one by one."""

    def __init__(self, *, using: str) -> None:
        self.accepted = 0
        self.duplicates = 0
        self.rejected: list[RejectedItem] = []
        self._using = using
        self._ids = bytearray()  # 16 bytes each: a batch may have millions

    def __repr__(self) -> str:
        return (
            f"<BatchReceipt accepted={self.accepted} duplicates={self.duplicates} "
            f"rejected={len(self.rejected)}>"
        )

    def reject(self, index: int, error: Exception) -> None:
        self.rejected.append(RejectedItem(index, error))

    def note(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self._ids += envelope.message_id.bytes

    def wait(self, *, timeout_seconds: float = 300.0) -> BatchReceipt:
        """Wait until every accepted message is handled or given up; see Receipt.wait()."""
        deadline = time.monotonic() + timeout_seconds
        done, step = 0, 16 * _CHUNK_IDS
        while done < len(self._ids):
            raw = self._ids[done : done + step]
            ids = [UUID(bytes=bytes(raw[i : i + 16])) for i in range(0, len(raw), 16)]
            if self._has_open(ids):
                self._check_waiting(deadline, (len(self._ids) - done) // 16)
                time.sleep(_POLL_SECONDS)
            else:
                done += step
        return self

    def _has_open(self, ids: list[UUID]) -> bool:
        rows = InboxMessage.objects.using(self._using).filter(message_id__in=ids, status__in=_OPEN)
        return rows.exists()

    def _check_waiting(self, deadline: float, count: int) -> None:
        if connections[self._using].in_atomic_block:
            raise WrongMode(
                "wait() inside an open transaction would never end: the messages are not committed "
                "yet. Wait after the transaction."
            )
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"Up to {count} messages still wait; they go on. Is a worker running?"
            )


def store_batch(
    items: Sequence[tuple[int, Envelope]], receipt: BatchReceipt, *, mode: str = "batched"
) -> None:
    """Store one chunk with one bulk insert and count what became of it."""
    if not items:
        return
    using = receipt._using
    with naming_missing_tables(using), transaction.atomic(using=using, savepoint=False):
        fresh = _without_known(items, receipt, using)
        if fresh:
            store_messages(fresh, using=using, mode=mode)
    receipt.accepted += len(fresh)
    receipt.note(fresh)


def _without_known(
    items: Sequence[tuple[int, Envelope]], receipt: BatchReceipt, using: str
) -> list[Envelope]:
    given = [envelope.message_id for _, envelope in items if envelope.given_id is not None]
    known: dict[UUID, bytes] = {}
    if given:
        rows = InboxMessage.objects.using(using).filter(
            service=settings.SERVICE, message_id__in=given
        )
        known = {i: bytes(h) for i, h in rows.values_list("message_id", "payload_hash")}
    fresh: list[Envelope] = []
    for index, envelope in items:
        payload_hash = known.get(envelope.message_id) if envelope.given_id is not None else None
        if payload_hash is None:
            fresh.append(envelope)
            if envelope.given_id is not None:
                known[envelope.message_id] = payload_hash_of(envelope)
        elif payload_hash == payload_hash_of(envelope):
            receipt.duplicates += 1
        else:
            name = type(envelope.message).__whizbang__.type_name
            receipt.reject(index, MessageIdReused(envelope.message_id, name))
    return fresh
