"""Who gets a message, here or in another service."""

from __future__ import annotations
