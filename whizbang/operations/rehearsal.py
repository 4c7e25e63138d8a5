"""A dry run of code that writes by itself: in a transaction that is rolled back, and watched."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

from django.db import connections, transaction

from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.drivers.read_only import rolled_back
from whizbang.operations.dry_run_result import DryRun, FailingEvents
from whizbang.operations.replaying import decoded, rows_of_section, section_of
from whizbang.operations.scope import Scope
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.subscriber import SubscriberSubscription, call_subscriber

_CHUNK_EVENTS = 1_000
_WRITE = re.compile(
    r"\s*(?:INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)"
    r"\s+([\w.\"`\[\]]+)",
    re.IGNORECASE,
)


def rehearse(definition: SubscriptionDefinition, scope: Scope) -> DryRun:
    """Call a subscriber or a projection in free form for each event, and undo what it wrote.

    All of history begins with `clear()`, where a projection has it. Each event has a savepoint. What a
    subscriber sends and records is counted and thrown away.
    """
    section = section_of(definition, scope)
    result, failing = DryRun(subscription=definition.name), FailingEvents()
    call = _caller(definition, result)
    watch = _Watch()
    with rolled_back(definition.using), connections[definition.using].execute_wrapper(watch):
        if scope.everything:
            _clear(definition, result)
        rows = rows_of_section(definition, section)
        while chunk := list(islice(rows, _CHUNK_EVENTS)):
            result.events += len(chunk)
            result.until = chunk[-1].position
            for recorded in decoded(definition, chunk, failing):
                if failing.is_wanted(recorded.meta):
                    _try(call, recorded, definition.using, failing)
    result.statements, result.rows = dict(watch.statements), dict(watch.rows)
    failing.tell(result)
    return result


def _clear(definition: SubscriptionDefinition, result: DryRun) -> None:
    clear = getattr(getattr(definition, "projection", None), "clear", None)
    if callable(clear):
        clear()
        result.is_compared = True


def _try(
    call: Callable[[Recorded], None], recorded: Recorded, using: str, failing: FailingEvents
) -> None:
    try:
        with transaction.atomic(using=using):
            call(recorded)
    except Exception as exc:
        failing.add(recorded.meta, exc)


def _caller(definition: SubscriptionDefinition, result: DryRun) -> Callable[[Recorded], None]:
    if isinstance(definition, SubscriberSubscription):
        subscriber = definition.subscriber

        def hear(recorded: Recorded) -> None:
            unit = UnitOfWork(definition.store.alias)
            call_subscriber(subscriber, recorded, unit)
            _count(result.messages, [envelope.message for envelope in unit.messages])
            _count(result.recorded, [pending.event for pending in unit.pending])

        return hear
    assert isinstance(definition, ProjectionSubscription)
    projection, using = definition.projection, definition.using
    return lambda recorded: projection.apply_batch([recorded], using=using)


def _count(counts: dict[str, int], messages: list[Any]) -> None:
    for message in messages:
        name = type(message).__whizbang__.type_name
        counts[name] = counts.get(name, 0) + 1


class _Watch:
    """Counts statements that write, and their rows, by table."""

    def __init__(self) -> None:
        self.statements: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        written = _WRITE.match(str(sql))
        if written is not None:
            table = re.sub(r"[\"`\[\]]", "", written[1])
            self.statements[table] += 1
            self.rows[table] += _row_count(str(sql), params, context["cursor"].rowcount)
        return found


def _row_count(sql: str, params: Any, rowcount: int) -> int:
    """SQLite counts what RETURNING gives when it is fetched: then the values tell the rows."""
    if rowcount > 0 or " RETURNING " not in sql or not params:
        return max(0, rowcount)
    columns = sql[: sql.find(")")].count(",") + 1
    return max(1, len(params) // columns)
