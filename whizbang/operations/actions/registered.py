"""Imports all modules with actions, so that they are known by name."""

from __future__ import annotations

from whizbang.operations.actions import sagas, subscriptions

__all__ = ["sagas", "subscriptions"]
