"""Aggregates and the unit of work."""

from __future__ import annotations
