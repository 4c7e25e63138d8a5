"""Read models: what they declare, how their rows are folded and written."""

from __future__ import annotations
