"""The way of a message from its sender to its handler and back, one file a stage."""

from __future__ import annotations
