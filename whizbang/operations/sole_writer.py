"""Is a stream the only one that writes to some rows? Verified by reading the log, not believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.messages.text import error_text
from whizbang.models import ParkedStream
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.edits import apply_edits

_REPORT_EVENTS = 10_000
Progress = Callable[[int], object] | None


class HealRefused(WhizbangError):
    """The stream's rows cannot be told from those of others; nothing was written."""


def refuse_other_writers(
    definition: ProjectionSubscription,
    stream: str,
    keys: set[Any],
    *,
    after: int,
    until: int,
    progress: Progress = None,
) -> None:
    """Raise `HealRefused` when an event of another stream goes to one of the rows, or may do so."""
    rows = definition.store.driver.read_log(
        after=after, until=until, limit=None, filter=definition.wanted()
    )
    others = (row for row in rows if row.stream != stream)
    for count, row in enumerate(
        apply_edits(definition.name, others, using=definition.using), start=1
    ):
        _refuse_if_writer(definition, row, keys)
        if progress is not None and count % _REPORT_EVENTS == 0:
            progress(count)


def _refuse_if_writer(definition: ProjectionSubscription, row: StoredRow, keys: set[Any]) -> None:
    try:
        events = [
            r for r in definition.store.decode(row) if type(r.event) in definition.event_types
        ]
        found = {key for key, _ in definition.projection.keyed(events)} & keys
    except Exception as exc:
        if _is_parked_before(definition, row):
            return  # it wrote nothing
        raise HealRefused(
            f"Nobody can tell whether version {row.version} of stream {row.stream!r} writes to the same "
            f"rows of {definition.name!r}: {error_text(exc)}"
        ) from exc
    if found:
        raise HealRefused(
            f"Row {next(iter(found))!r} of {definition.name!r} is written by stream {row.stream!r} too "
            f"(version {row.version}, position {row.position}): one stream cannot be healed by itself, "
            "rebuild the projection."
        )


def _is_parked_before(definition: ProjectionSubscription, row: StoredRow) -> bool:
    parked = ParkedStream.objects.using(definition.using).filter(
        subscription=definition.name, stream=row.stream, position__lte=row.position
    )
    return parked.exists()
