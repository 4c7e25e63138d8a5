"""Reading stored events again for one subscription."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import transaction

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.operations.dry_run_result import FailingEvents
from whizbang.operations.scope import Scope, Section, fix_scope
from whizbang.projections.failing import mark_failing
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded
from whizbang.subscriptions.checkpoint import hold_still
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.edits import apply_edits


def typed_events(
    definition: ProjectionSubscription, rows: Iterable[StoredRow]
) -> Iterator[Recorded]:
    """Rows in the log's order as the events that a projection wants, edited copies in place of theirs.

    An error names the event that cannot be read, see failing_event().
    """
    names, store = definition.type_names or frozenset(), definition.store
    wanted = (row for row in rows if row.type in names)
    for row in apply_edits(definition.name, wanted, using=definition.using):
        try:
            found = store.decode(row)
        except WhizbangError as exc:
            mark_failing(exc, store.decode_metadata(row))
            raise
        yield from (r for r in found if type(r.event) in definition.event_types)


def section_of(definition: SubscriptionDefinition, scope: Scope) -> Section:
    """The scope up to where the subscription stands."""
    if definition.kind == "inline":
        until = definition.store.head()
    else:
        with transaction.atomic(using=definition.using):
            until = hold_still(definition)
    return fix_scope(definition.store, scope, types=definition.type_names, until=until)


def rows_of_section(definition: SubscriptionDefinition, section: Section) -> Iterator[StoredRow]:
    """In bounded memory, with edited copies in place of theirs."""
    rows = definition.store.driver.read_log(
        after=section.after, until=section.until, limit=None, filter=section.filter
    )
    return apply_edits(definition.name, rows, using=definition.using)


def decoded(
    definition: SubscriptionDefinition, rows: Iterable[StoredRow], failing: FailingEvents
) -> Iterator[Recorded]:
    """What can be read of the rows, as the events that are wanted."""
    for row in rows:
        try:
            events = definition.store.decode(row)
        except WhizbangError as exc:
            if failing.is_wanted(row):
                failing.add(row, exc)
            continue
        yield from (e for e in events if type(e.event) in definition.event_types)
