"""Subscriptions: their rows, and letting them stand still."""

from __future__ import annotations

from django.db import connections
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import Partition, StoredEvent, Subscription
from whizbang.projections import declaration
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows


def make_missing_rows(*, using: str) -> None:
    """Make the rows of new subscriptions that live in a database, if it has the tables for it."""
    for alias in settings.STORES:
        store = event_store(alias)
        tables = {model._meta.db_table for model in (StoredEvent, Subscription, Partition)}
        if not tables <= set(connections[store.using].introspection.table_names()):
            continue
        ensure_rows([d for d in all_definitions(store) if d.using == using])


def find_subscription(store: EventStore, name: str) -> SubscriptionDefinition:
    """What this service runs under a name. Raises WhizbangError with the names there are."""
    refuse_cached(name)
    found = {definition.name: definition for definition in all_definitions(store)}
    if name not in found:
        raise WhizbangError(f"No subscription {name!r}: there are {', '.join(sorted(found))}.")
    return found[name]


def find_projection_named(store: EventStore, name: str) -> ProjectionSubscription:
    """A projection by its name. Raises WhizbangError with the names there are."""
    found = {d.name: d for d in all_definitions(store) if isinstance(d, ProjectionSubscription)}
    if name not in found:
        raise WhizbangError(
            f"No projection {name!r}: there are {', '.join(sorted(found)) or 'none'}."
        )
    return found[name]


def refuse_cached(name: str) -> None:
    """Raise WhizbangError for a cached projection, which has nothing that an operator could change."""
    for projection in declaration.instances():
        if projection.name == name and not projection.runs_in_worker:
            raise WhizbangError(
                f"{name!r} is held in the memory of each process that reads it, which fills it from the "
                "log: restart those processes to fill it anew."
            )


def pause(name: str) -> None:
    """Let a subscription stand still; workers see it within a second, after the batch at hand.

    Raises WhizbangError for one that does not exist or is written inline.
    """
    _set_status(name, Subscription.Status.PAUSED)


def resume(name: str) -> None:
    """Let a paused subscription go on from where it stands; also one that an error stopped.

    Raises as `pause` does.
    """
    _set_status(name, Subscription.Status.ACTIVE)


def subscription_row(name: str) -> Subscription:
    """The row of a subscription, made if it is new. Raises WhizbangError with the names there are."""
    definition = find_subscription(event_store(), name)
    ensure_rows([definition])
    return Subscription.objects.using(definition.using).get(name=name)


def _set_status(name: str, status: Subscription.Status) -> None:
    definition = find_subscription(event_store(), name)
    if definition.kind == "inline":
        raise WhizbangError(
            f"{name!r} is written in the transaction of its events and cannot stand still."
        )
    ensure_rows([definition])
    rows = Subscription.objects.using(definition.using).filter(name=name)
    rows.update(status=status, error="", updated_at=Now())
