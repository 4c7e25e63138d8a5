"""The one engine that reads the log for projections, subscribers and the catalogue of streams."""

from __future__ import annotations
