"""Messages: commands, events, queries and values, their names, versions and metadata."""

from __future__ import annotations
