"""Setting aside what one subscription cannot apply, and taking it up again in order."""

from __future__ import annotations

import traceback

from django.db.models import F

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import ParkedStream


def parked_streams(subscription: str, *, using: str) -> dict[str, ParkedStream]:
    rows = ParkedStream.objects.using(using).filter(subscription=subscription)
    return {row.stream: row for row in rows}


def park(subscription: str, row: StoredRow, error: Exception, *, using: str) -> None:
    """Set a stream aside from this event on; the subscription goes on with the others."""
    ParkedStream.objects.using(using).create(
        subscription=subscription,
        stream=row.stream,
        position=row.position,
        version=row.version,
        type=row.type,
        error=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
    )


def park_again(parked: ParkedStream, row: StoredRow, error: Exception, *, using: str) -> None:
    """A retry failed: keep the stream set aside, at the event that fails now."""
    ParkedStream.objects.using(using).filter(pk=parked.pk).update(
        position=row.position,
        version=row.version,
        type=row.type,
        error=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
        attempts=F("attempts") + 1,
        is_retry_requested=False,
    )
