"""Parked streams: try them again, or go on without the event that failed."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SkippedEvent
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store
from whizbang.subscriptions.partitioning import name_of_key


def retry_parked(subscription: str, *, stream: str | None = None, key: str | None = None) -> int:
    """Ask the worker to apply what is parked again, in order; gives how many were asked for.

    All of the subscription, or what is parked at an event of a stream, or one key. Raises WhizbangError
    for a subscription that does not exist.
    """
    rows = parked_rows(subscription, stream=stream, key=key).order_by()
    return int(rows.update(is_retry_requested=True))


def parked_rows(subscription: str, *, stream: str | None = None, key: str | None = None) -> Any:
    """What of a subscription is set aside: all, at an event of a stream, or one key, by position."""
    using = find_subscription(event_store(), subscription).using
    rows = ParkedStream.objects.using(using).filter(subscription=subscription)
    if stream is not None:
        rows = rows.filter(stream=stream)
    if key is not None:
        rows = rows.filter(unit=ParkedStream.Unit.KEY, key=name_of_key(key))
    return rows.order_by("position", "id")


def skip_parked(
    subscription: str,
    *,
    stream: str | None = None,
    key: str | None = None,
    reason: str,
    skipped_by: str = "",
) -> SkippedEvent:
    """Leave out the event for which a stream, or a key, is parked; a worker then applies what follows.

    The row that is given says who left out what and why, for good. A rebuild folds the event again.
    Raises ValueError without a reason or without what is meant, and WhizbangError where nothing is parked.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask why the event is missing.")
    if (stream is None) == (key is None):
        raise ValueError("Say which stream, or which key, is meant: one of the two.")
    using = find_subscription(event_store(), subscription).using
    unit = ParkedStream.Unit.STREAM if key is None else ParkedStream.Unit.KEY
    what = {"stream": stream} if key is None else {"key": name_of_key(key)}
    rows = ParkedStream.objects.using(using).filter(subscription=subscription, unit=unit, **what)
    with transaction.atomic(using=using):
        parked = rows.select_for_update().order_by("position").first()
        if parked is None:
            raise WhizbangError(
                f"{'Stream' if key is None else 'Key'} {stream if key is None else key!r} is not parked "
                f"for {subscription!r}."
            )
        if not parked.type:
            raise WhizbangError(
                f"{parked} was parked by hand before its next event: there is none to leave out. Retry it."
            )
        skipped, _ = SkippedEvent.objects.using(using).get_or_create(
            subscription=subscription,
            position=parked.position,
            key=parked.key,
            defaults={
                "stream": parked.stream,
                "version": parked.version,
                "type": parked.type,
                "error": parked.error,
                "reason": reason,
                "skipped_by": skipped_by,
            },
        )
        # A retry begins at the version, of a key at the position, that is noted. A stream may be parked for
        # the slices of several partitions: what fails in one fails in all.
        at_it = rows.filter(position=parked.position)
        if key is None:
            at_it.update(version=parked.version + 1, is_retry_requested=True)
        else:
            at_it.update(position=parked.position + 1, is_retry_requested=True)
    return skipped
