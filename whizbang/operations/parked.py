"""Parked streams: try them again."""

from __future__ import annotations

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions


def retry_parked(subscription: str, *, stream: str | None = None) -> int:
    """Ask the worker to apply parked streams again, in order; gives how many were asked for.

    Raises WhizbangError for a subscription that does not exist.
    """
    found = {d.name: d for d in all_definitions(event_store())}
    if subscription not in found:
        raise WhizbangError(
            f"No subscription {subscription!r}: there are {', '.join(sorted(found))}."
        )
    rows = ParkedStream.objects.using(found[subscription].using).filter(subscription=subscription)
    if stream is not None:
        rows = rows.filter(stream=stream)
    return rows.update(is_retry_requested=True)
