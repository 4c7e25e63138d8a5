"""Storing many messages at once, and the receipt for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import OperationalError, connections, transaction

from whizbang.conf import settings
from whizbang.drivers.errors import is_conflict, naming_missing_tables
from whizbang.exceptions import MessageIdReused, WaitTimeout, WrongMode
from whizbang.messages.envelope import Envelope
from whizbang.messaging.completion import is_same
from whizbang.messaging.queue import store_messages
from whizbang.messaging.rows import ensure_payload
from whizbang.models import InboxMessage, OutboxMessage

_POLL_SECONDS = 0.05
_CHUNK_IDS = 500
_MOST_ATTEMPTS = 5
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
        known = InboxMessage.objects.using(self._using).filter(message_id__in=ids)
        if known.filter(status__in=_OPEN).exists():
            return True
        # Those of another service are in the inbox once they are answered.
        sent = OutboxMessage.objects.using(self._using).filter(message_id__in=ids)
        return sent.exclude(message_id__in=known.values("message_id")).exists()

    def _check_waiting(self, deadline: float, count: int) -> None:
        if connections[self._using].in_atomic_block:
            raise WrongMode(
                "wait() inside an open transaction would never end: the messages are not committed "
                "yet. Wait after the transaction; in a test call whizbang.testing.drain() first."
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
    is_own = not connections[using].in_atomic_block
    for attempt in range(_MOST_ATTEMPTS if is_own else 1):
        try:
            with naming_missing_tables(using), transaction.atomic(using=using, savepoint=False):
                outcome = _store(items, using, mode)
            break
        except OperationalError as exc:
            # Two senders of the same ids in opposite order may wait for each other in a circle.
            if not (is_own and is_conflict(exc) and attempt + 1 < _MOST_ATTEMPTS):
                raise
    receipt.accepted += len(outcome.stored)
    receipt.duplicates += outcome.duplicates
    receipt.rejected.extend(outcome.rejected)
    receipt.note(outcome.stored)


@dataclass(slots=True)
class _Outcome:
    """What became of one chunk."""

    stored: list[Envelope] = field(default_factory=list)
    duplicates: int = 0
    rejected: list[RejectedItem] = field(default_factory=list)


def _store(items: Sequence[tuple[int, Envelope]], using: str, mode: str) -> _Outcome:
    outcome, token = _Outcome(), uuid4()
    known = _known_of([envelope for _, envelope in items], using)
    fresh: dict[UUID, tuple[int, Envelope]] = {}
    for index, envelope in items:
        if envelope.given_id in fresh:
            first = fresh[envelope.message_id][1]
            _count(outcome, index, envelope, is_known=is_same_content(first, envelope))
        elif envelope.given_id in known:
            type_name, payload_hash, _ = known[envelope.message_id]
            _count(outcome, index, envelope, is_known=is_same(type_name, payload_hash, envelope))
        else:
            fresh[envelope.message_id] = (index, envelope)
    store_messages([e for _, e in fresh.values()], using=using, mode=mode, token=token)
    # A rival may have stored one of the ids since we looked: only rows with our token are ours.
    known = _known_of([e for _, e in fresh.values()], using)
    for message_id, (index, envelope) in fresh.items():
        found = known.get(message_id)
        if found is None or found[2] == token:
            outcome.stored.append(envelope)
        else:
            _count(outcome, index, envelope, is_known=is_same(found[0], found[1], envelope))
    return outcome


def _count(outcome: _Outcome, index: int, envelope: Envelope, *, is_known: bool) -> None:
    if is_known:
        outcome.duplicates += 1
    else:
        name = type(envelope.message).__whizbang__.type_name
        error = MessageIdReused(envelope.message_id, name)
        outcome.rejected.append(RejectedItem(index, error))


def _known_of(
    envelopes: Sequence[Envelope], using: str
) -> dict[UUID | None, tuple[str, bytes, UUID | None]]:
    """What is known of the ids that senders gave: type, payload hash and token or claim."""
    for envelope in envelopes:
        ensure_payload(envelope)
    given = [envelope.given_id for envelope in envelopes if envelope.given_id is not None]
    if not given:
        return {}
    rows = InboxMessage.objects.using(using).filter(service=settings.SERVICE, message_id__in=given)
    found = rows.values_list("message_id", "type", "payload_hash", "claim")
    return {id: (type, bytes(hash), claim) for id, type, hash, claim in found}


def is_same_content(one: Envelope, other: Envelope) -> bool:
    return type(one.message) is type(other.message) and one.payload == other.payload
