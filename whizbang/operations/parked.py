"""Parked streams: try them again, or go on without the event that failed."""

from __future__ import annotations

from django.db import transaction

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SkippedEvent
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store


def retry_parked(subscription: str, *, stream: str | None = None) -> int:
    """Ask the worker to apply parked streams again, in order; gives how many were asked for.

    Raises WhizbangError for a subscription that does not exist.
    """
    using = find_subscription(event_store(), subscription).using
    rows = ParkedStream.objects.using(using).filter(subscription=subscription)
    if stream is not None:
        rows = rows.filter(stream=stream)
    return rows.update(is_retry_requested=True)


def skip_parked(
    subscription: str, *, stream: str, reason: str, skipped_by: str = ""
) -> SkippedEvent:
    """Leave out the event for which a stream is parked; a worker then applies what follows it.

    The row that is given says who left out what and why, for good. A rebuild folds the event again.
    Raises ValueError without a reason, and WhizbangError where nothing is parked.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask why the event is missing.")
    using = find_subscription(event_store(), subscription).using
    rows = ParkedStream.objects.using(using).filter(subscription=subscription, stream=stream)
    with transaction.atomic(using=using):
        parked = rows.select_for_update().first()
        if parked is None:
            raise WhizbangError(f"Stream {stream!r} is not parked for {subscription!r}.")
        skipped = SkippedEvent.objects.using(using).create(
            subscription=subscription,
            stream=stream,
            position=parked.position,
            version=parked.version,
            type=parked.type,
            error=parked.error,
            reason=reason,
            skipped_by=skipped_by,
        )
        # A retry begins at the version that is noted.
        rows.update(version=parked.version + 1, is_retry_requested=True)
    return skipped
