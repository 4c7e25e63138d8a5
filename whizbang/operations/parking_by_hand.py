"""Setting a stream aside before anything has failed: an operator knows that its events would do harm."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, Partition
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store
from whizbang.store.slices import slice_of
from whizbang.subscriptions.checkpoint import lock_partitions, slices_of
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import BY_KEY, BY_STREAM, WHOLE
from whizbang.subscriptions.start import ensure_rows


def refuse_park(subscription: str) -> SubscriptionDefinition:
    """Raise WhizbangError for a subscription whose streams cannot be parked; else give it."""
    definition = find_subscription(event_store(), subscription)
    if definition.kind == "inline":
        raise WhizbangError(
            f"{subscription!r} is written in the transaction of its events: nothing can be set aside."
        )
    if definition.kind == "catalogue":
        raise WhizbangError(f"{subscription!r} keeps itself: it parks nothing.")
    ensure_rows([definition])
    return definition


def park_stream(
    subscription: str, *, stream: str, reason: str, parked_by: str = ""
) -> list[ParkedStream]:
    """Set a stream aside from its next event on, as if that had failed; `retry_parked` takes it up again.

    Gives a row for each partition that it concerns. A row whose `type` is empty has no event yet. Raises
    ValueError without a reason, and WhizbangError for what is parked already or cannot be.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask why the stream is set aside.")
    definition = refuse_park(subscription)
    using = definition.using
    told = f"Parked by {parked_by or 'an operator'}: {reason}"
    with transaction.atomic(using=using):
        partitions = lock_partitions(definition)  # who is at a batch has finished it now
        rows = ParkedStream.objects.using(using)
        if rows.filter(subscription=subscription, stream=stream).exists():
            raise WhizbangError(f"Stream {stream!r} is parked for {subscription!r} already.")
        return [
            rows.create(
                subscription=subscription,
                stream=stream,
                attempts=0,
                error=told,
                **_slices_of(definition, partition),
                **_place_of(definition, stream, partition.position),
            )
            for partition in partitions
            if _concerns(definition, partition, stream)
        ]


def _concerns(definition: SubscriptionDefinition, partition: Partition, stream: str) -> bool:
    by_stream = definition.partition_by == BY_STREAM
    return not by_stream or slices_of(partition).contains(slice_of(stream))


def _slices_of(definition: SubscriptionDefinition, partition: Partition) -> dict[str, int]:
    slices = slices_of(partition) if definition.partition_by == BY_KEY else WHOLE
    return {"first_slice": slices.first, "end_slice": slices.end}


def _place_of(definition: SubscriptionDefinition, stream: str, position: int) -> dict[str, Any]:
    """Of the first event that is not applied yet, else of the one that will come."""
    driver, names = definition.store.driver, definition.type_names
    first: StoredRow | None = None
    for row in driver.read_stream(stream, backwards=True):
        if row.position <= position:
            break
        if names is None or row.type in names:
            first = row
    if first is not None:
        return {"position": first.position, "version": first.version, "type": first.type}
    return {"position": position + 1, "version": driver.stream_version(stream) + 1, "type": ""}
