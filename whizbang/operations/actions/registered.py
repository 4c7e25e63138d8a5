"""Imports all modules with actions, so that they are known by name."""

from __future__ import annotations

from whizbang.operations.actions import (
    backfills,
    dead_letters,
    inbox,
    outbox,
    parked,
    partitions,
    rebuilds,
    rehearsals,
    sagas,
    subscriptions,
)

__all__ = [
    "backfills",
    "dead_letters",
    "inbox",
    "outbox",
    "parked",
    "partitions",
    "rebuilds",
    "rehearsals",
    "sagas",
    "subscriptions",
]
