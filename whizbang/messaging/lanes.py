"""Lanes of the outbox: several relays send at once, and what has one ordering key stays in one lane."""

from __future__ import annotations

import zlib
from uuid import UUID

LANES = 8  # more relays than that gain nothing; the number stands in rows, and is not to be changed
ALL_LANES = frozenset(range(LANES))


def lane_of(ordering_key: str | None, message_id: UUID) -> int:
    """By the ordering key; a message without one has no order to keep, and goes by its id."""
    text = message_id.bytes if ordering_key is None else ordering_key.encode()
    return zlib.crc32(text) % LANES
