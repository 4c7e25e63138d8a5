"""Imports all modules with actions, so that they are known by name."""

from __future__ import annotations

from whizbang.operations.actions import (
    backfills,
    parked,
    partitions,
    rebuilds,
    rehearsals,
    subscriptions,
)

__all__ = ["backfills", "parked", "partitions", "rebuilds", "rehearsals", "subscriptions"]
