"""Registers the console's pages with the admin."""

from __future__ import annotations

from whizbang_admin import history, queues, streams, subscriptions

__all__ = ["history", "queues", "streams", "subscriptions"]
