"""Changing what is recorded already: declared, counted and remembered."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from whizbang.drivers.stores.protection import protect_events, transaction_id
from whizbang.exceptions import WrongMode
from whizbang.models import HistoryChange, Snapshot, StoredEvent
from whizbang.store.event_store import event_store

logger = logging.getLogger(__name__)


@contextmanager
def rewriting(
    *, reason: str, user: Any = "", operation: str = "by hand", store: str = "default"
) -> Iterator[HistoryChange]:
    """A transaction that may UPDATE and DELETE events; all of it is undone when the block raises.

    It leaves a `HistoryChange` with the reason, the user (a Django user or text), the operation and
    the number of rows. Snapshots are dropped, since they follow from events; read models have to be
    rebuilt, and what other services have received stays as it was. Nobody should write to the
    streams meanwhile. Raises ValueError without a reason, `WrongMode` inside another change.
    """
    if not reason.strip():
        raise ValueError("Say why history is changed: rewriting(reason='…').")
    using = event_store(store).using
    with transaction.atomic(using=using):
        change = open_change(using, reason=reason, user=user, operation=operation)
        yield change
        Snapshot.objects.using(using).all().delete()
        close_change(using, change)
    logger.warning(
        "History changed operation=%s rows=%s user=%s reason=%s",
        operation,
        change.changed_rows,
        change.user,
        reason,
    )


def open_change(using: str, *, reason: str, user: Any, operation: str) -> HistoryChange:
    """Let the transaction that is open on an alias change events. Raises `WrongMode` if it may already."""
    own = transaction_id(connections[using])
    rows = HistoryChange.objects.using(using)
    if own is not None and rows.filter(open_in=own).exists():
        raise WrongMode(
            "A change of history is open in this transaction already: put all of it into one "
            "rewriting() block."
        )
    return rows.create(
        operation=operation,
        reason=reason,
        user=str(getattr(user, "pk", user) or ""),
        open_in=own,
        began_at=Now(),
    )


def close_change(using: str, change: HistoryChange) -> None:
    """Events are immutable again; `changed_rows` is what the database counted."""
    rows = HistoryChange.objects.using(using).filter(pk=change.pk)
    rows.update(open_in=None, finished_at=Now())
    change.refresh_from_db(using=using)


def open_changes(using: str) -> Any:
    """Changes that a commit left open, which takes statements that end transactions by themselves."""
    return HistoryChange.objects.using(using).filter(open_in__isnull=False).order_by(F("pk"))


def protect_log(using: str) -> None:
    """Make the triggers that refuse changes, where a database has the log and lacks them."""
    connection = connections[using]
    tables = {StoredEvent._meta.db_table, HistoryChange._meta.db_table}
    if tables <= set(connection.introspection.table_names()):
        protect_events(connection)
