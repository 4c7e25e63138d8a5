"""Durable messages: the inbox (also the queue of commands), the outbox, relay and dead letters."""

from __future__ import annotations
