"""Registers the console's pages with the admin."""

from __future__ import annotations

from whizbang_admin import queues, streams, subscriptions

__all__ = ["queues", "streams", "subscriptions"]
