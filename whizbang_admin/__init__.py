"""The operations console inside the Django admin."""

from __future__ import annotations
