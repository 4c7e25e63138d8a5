"""Where a new subscription starts, and the rows that remember it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date
from typing import Any

from django.db import transaction

from whizbang.drivers.stores.base import LogFilter
from whizbang.exceptions import WhizbangError
from whizbang.models import Partition, StoredEvent, Subscription
from whizbang.projections.declaration import BEGINNING, LIVE
from whizbang.store.event_store import EventStore, as_instant
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.identity import store_identity

logger = logging.getLogger(__name__)


def ensure_rows(definitions: Iterable[SubscriptionDefinition]) -> None:
    """Make the missing rows of subscriptions, each at the position where it is to start.

    A row without a fingerprint gets today's.
    """
    by_database: dict[str, list[SubscriptionDefinition]] = {}
    for definition in definitions:
        by_database.setdefault(definition.using, []).append(definition)
    for using, group in by_database.items():
        names = [definition.name for definition in group]
        rows = Subscription.objects.using(using).filter(name__in=names)
        known = dict(rows.values_list("name", "fingerprint"))
        parts = Partition.objects.using(using).filter(subscription__in=names)
        split = set(parts.values_list("subscription", flat=True))
        for definition in group:
            if definition.name not in known or definition.name not in split:
                _make_row(definition)
            elif not known[definition.name] and definition.fingerprint:
                # A row from before fingerprints were noted: its model is taken to be today's.
                row = rows.filter(name=definition.name, fingerprint="")
                row.update(fingerprint=definition.fingerprint)


def _make_row(definition: SubscriptionDefinition) -> None:
    store = definition.store
    identity = store_identity(store)
    start = start_position(store, definition.backfill_from)
    logger.info("New subscription name=%s starts_after=%s", definition.name, start)
    with transaction.atomic(using=definition.using):
        _, is_new = Subscription.objects.using(definition.using).get_or_create(
            name=definition.name,
            defaults={
                "kind": definition.kind,
                "store_id": identity.store_id,
                "version": _first_version(definition),
                "fingerprint": definition.fingerprint,
            },
        )
        if is_new:
            _partitions(definition).delete()  # of a row that somebody deleted to begin anew
        Partition.objects.using(definition.using).bulk_create(
            [Partition(subscription=definition.name, position=start)], ignore_conflicts=True
        )


def _partitions(definition: SubscriptionDefinition) -> Any:
    return Partition.objects.using(definition.using).filter(subscription=definition.name)


def _first_version(definition: SubscriptionDefinition) -> int:
    """An inline projection over a log that has events already needs a rebuild: version 0 says so."""
    if definition.kind == "inline" and StoredEvent.objects.using(definition.store.using).exists():
        return 0
    return definition.version


def start_position(store: EventStore, backfill_from: Any) -> int:
    """The position after which a subscription starts to read. A datetime means recorded_at."""
    if backfill_from is BEGINNING:
        return 0
    if backfill_from is LIVE:
        return store.head()
    if isinstance(backfill_from, int):
        return backfill_from
    if isinstance(backfill_from, date):
        head = store.head()
        wanted = LogFilter(since=as_instant(backfill_from))
        first = next(store.driver.read_log(after=0, until=head, limit=1, filter=wanted), None)
        return head if first is None else first.position - 1
    raise WhizbangError(
        f"backfill_from is {backfill_from!r}: use BEGINNING, LIVE, a position or a datetime."
    )


def needs_rebuild(definition: SubscriptionDefinition, row: Subscription) -> bool:
    """Were its rows filled by another version of the code, or for another model?"""
    return row.version != definition.version or (
        row.fingerprint != "" and row.fingerprint != definition.fingerprint
    )
