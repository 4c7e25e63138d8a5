"""Which part of the log was recorded when: time ascends with positions, so that no index by time is needed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import Field, Max
from django.db.models.expressions import Col

from whizbang.models import StoredEvent

_PROBES = 63  # a statement: four of them find the place among ten million events
_HOLE = -1  # where a probe's position goes


def last_position_before(instant: datetime, *, using: str) -> int:
    """The position up to which events were recorded before an instant; 0 when none was.

    To within what writers of the same moment did: positions are drawn a little before events are recorded, or
    after.
    """
    last = StoredEvent.objects.using(using).aggregate(last=Max("position"))["last"] or 0
    low, high = 0, last + 1  # what is at low or below was before, what is at high or above was not
    while high - low > 1:
        probes = _between(low, high)
        for position, recorded_at in zip(probes, _recorded_from(probes, using), strict=True):
            if recorded_at is None or recorded_at >= instant:
                high = position
                break
            low = position
    return low


def _between(low: int, high: int) -> list[int]:
    step = max((high - low) // (_PROBES + 1), 1)
    return list(range(low + step, high, step))[:_PROBES]


def _recorded_from(positions: Sequence[int], using: str) -> list[datetime | None]:
    """When the first event at each position, or behind it, was recorded; by one statement."""
    connection = connections[using]
    # Compiled once: through the ORM, a statement with so many parts takes longer to make than to run.
    first = StoredEvent.objects.using(using).filter(position__gte=_HOLE).order_by("position")
    sql, holes = first.values("recorded_at")[:1].query.get_compiler(using).as_sql()
    params = [at if hole == _HOLE else hole for at in positions for hole in holes]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([f'({sql})'] * len(positions))}", params)
        return [_as_instant(value, connection) for value in cursor.fetchone()]


def _as_instant(value: Any, connection: Any) -> datetime | None:
    """As the ORM gives what this database has stored."""
    field: Field[Any, Any] = StoredEvent._meta.get_field("recorded_at")
    column = Col(StoredEvent._meta.db_table, field)
    converters = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    for convert in converters:
        value = convert(value, column, connection)
    found: datetime | None = value
    return found
