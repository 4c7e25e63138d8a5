"""Edited copies of events, which one subscription applies in place of the originals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import EditedEvent

_PAGE = 100


def apply_edits(subscription: str, rows: Iterable[StoredRow], *, using: str) -> Iterator[StoredRow]:
    """The same rows with the payloads that operators have edited for a subscription.

    Takes rows in the order of their positions, any number of them, in bounded memory. `using` is the
    database that the subscription writes to.
    """
    edits: Iterator[EditedEvent] | None = None
    edit: EditedEvent | None = None
    for row in rows:
        if edits is None:
            edits = _edits_from(subscription, row.position, using)
            edit = next(edits, None)
        while edit is not None and edit.position < row.position:
            edit = next(edits, None)
        yield row if edit is None or edit.position != row.position else edited(row, edit)


def has_any_edit(subscription: str, *, using: str) -> bool:
    """Does a subscription apply any edited copy?"""
    return EditedEvent.objects.using(using).filter(subscription=subscription).exists()


def edited(row: StoredRow, edit: EditedEvent) -> StoredRow:
    return row._replace(schema=edit.schema, payload=bytes(edit.payload))


def _edits_from(subscription: str, position: int, using: str) -> Iterator[EditedEvent]:
    rows = EditedEvent.objects.using(using).filter(subscription=subscription).order_by("position")
    while True:
        page = list(rows.filter(position__gte=position)[:_PAGE])
        yield from page
        if len(page) < _PAGE:
            return
        position = page[-1].position + 1
