"""The rows of subscriptions."""

from __future__ import annotations

from django.db import connections

from whizbang.conf import settings
from whizbang.models import StoredEvent, Subscription
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows


def make_missing_rows(*, using: str) -> None:
    """Make the rows of new subscriptions that live in a database, if it has the tables for it."""
    for alias in settings.STORES:
        store = event_store(alias)
        tables = {StoredEvent._meta.db_table, Subscription._meta.db_table}
        if not tables <= set(connections[store.using].introspection.table_names()):
            continue
        ensure_rows([d for d in all_definitions(store) if d.using == using])
