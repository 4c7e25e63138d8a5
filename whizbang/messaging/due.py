"""Which messages are due, by priority, then due time, then id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import InboxMessage


def take_due(*, using: str, limit: int, retries_are_due: bool = False) -> list[InboxMessage]:
    """Read and lock due messages that nobody else has locked, in the order in which they are claimed.

    One priority after the other, so that each is one range of the index: in one range for all, a
    claim would walk over all that waits for its time at the higher priorities.
    """
    rows: list[InboxMessage] = []
    for priority in waiting_priorities(using):
        due = due_of(priority, using=using, retries_are_due=retries_are_due)
        rows.extend(due[: limit - len(rows)])
        if len(rows) >= limit:
            break
    return rows


def due_of(priority: int, *, using: str, retries_are_due: bool) -> Any:
    """The due messages of one priority, locked where the product can; the query is not run yet."""
    is_due = Q(available_at__lte=Now())
    if retries_are_due:
        is_due |= Q(status=InboxMessage.Status.RETRYING)
    # A key is held by its earliest message until that is handled; a dead one parks the key.
    earlier = InboxMessage.objects.using(using).filter(
        service=OuterRef("service"),
        ordering_key__isnull=False,
        ordering_key=OuterRef("ordering_key"),
        id__lt=OuterRef("id"),
    )
    due = _unfinished(using).filter(is_due, priority=priority)
    # What is sent with an id and handled inline is its sender's, never a worker's.
    due = due.exclude(mode="inline")
    due = due.filter(Q(ordering_key__isnull=True) | ~Exists(earlier))
    if connections[using].features.has_select_for_update_skip_locked:
        due = due.select_for_update(skip_locked=True)
    return due.order_by("available_at", "id")


def waiting_priorities(using: str) -> Iterator[int]:
    """The priorities of unfinished messages, highest first; one look at the index's end for each."""
    found = priorities_of(using).first()
    while found is not None:
        yield found
        found = priorities_of(using).filter(priority__lt=found).first()


def priorities_of(using: str) -> Any:
    """Of unfinished messages, highest first, one of each message; the query is not run yet."""
    return _unfinished(using).order_by("-priority").values_list("priority", flat=True)


def _unfinished(using: str) -> Any:
    rows = InboxMessage.objects.using(using)
    return rows.filter(finished_at__isnull=True, service=settings.SERVICE)
