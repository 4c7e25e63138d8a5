"""Registers the console's pages with the admin."""

from __future__ import annotations

from whizbang_admin import (
    dead_letters,
    history,
    parked,
    queues,
    redrives,
    repair,
    streams,
    subscriptions,
)

__all__ = [
    "dead_letters",
    "history",
    "parked",
    "queues",
    "redrives",
    "repair",
    "streams",
    "subscriptions",
]
