"""Filters by columns without an index look at the newest rows only, so that they end in time."""

from __future__ import annotations

from typing import Any

NEWEST = 100_000


def among_newest(queryset: Any) -> Any:
    """The newest rows, by their numbers; one look at the end of the primary key."""
    newest = queryset.model._base_manager.using(queryset.db).order_by("-id")
    last = newest.values_list("id", flat=True).first()
    return queryset if last is None or last <= NEWEST else queryset.filter(id__gt=last - NEWEST)
