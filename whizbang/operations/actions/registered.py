"""Imports all modules with actions, so that they are known by name."""

from __future__ import annotations

from whizbang.operations.actions import dead_letters, inbox, outbox, sagas, subscriptions

__all__ = ["dead_letters", "inbox", "outbox", "sagas", "subscriptions"]
