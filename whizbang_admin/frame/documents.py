"""Stored documents, events and errors as text for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
from django.utils.html import format_html
from django.utils.translation import gettext as translate

from whizbang.drivers.serializers.base import Serializer
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import MessageInfo
from whizbang.store.event_store import EventStore

MOST_CHARACTERS = 20_000  # of one document on a page of many events


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """JSON text, cut when it is very long."""

    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class ShownReading:
    """What a stored event is read as, where that is something else than what is stored."""

    name: str
    data: ShownDocument


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event with its data and metadata as they are stored, and as today's code reads them."""

    row: StoredRow
    data: ShownDocument
    metadata: ShownDocument
    readings: tuple[ShownReading, ...] = ()  # none where it is read as it is stored
    is_left_out: bool = False
    problem: str = ""  # why today's code cannot read it


def show_event(store: EventStore, row: StoredRow, *, most: int | None = None) -> ShownEvent:
    """The stored form, so that a type which is gone can be looked at too; never raises for bad data.

    Documents are cut after `most` characters.
    """
    serializer = store.serializer
    data = show_document(serializer, row.payload, most=most)
    metadata = show_document(serializer, row.metadata, most=most)
    try:
        events = store.decode_events(row)
    except WhizbangError as exc:
        return ShownEvent(row, data, metadata, problem=str(exc))
    if len(events) == 1 and _is_as_stored(events[0], row):
        return ShownEvent(row, data, metadata)
    readings = tuple(
        ShownReading(
            type(event).__whizbang__.type_name,
            show_document(serializer, serializer.encode(event), most=most),
        )
        for event in events
    )
    return ShownEvent(row, data, metadata, readings, is_left_out=not events)


def _is_as_stored(event: Any, row: StoredRow) -> bool:
    info: MessageInfo = type(event).__whizbang__
    return info.type_name == row.type and info.schema == row.schema


def show_document(
    serializer: Serializer, document: Any, *, most: int | None = None
) -> ShownDocument:
    """A stored document as indented JSON; one that cannot be read as it is, with the error."""
    try:
        plain = serializer.decode_plain(document)
        text = json.dumps(plain, indent=2, ensure_ascii=False, default=str)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as exc:
        text = translate("This cannot be read (%(error)s): %(stored)s") % {
            "error": exc,
            "stored": repr(document),
        }
    return ShownDocument(
        text if most is None else text[:most], most is not None and len(text) > most
    )


def show_text(text: str, *, label: str) -> str:
    """Text with its line breaks, escaped, in a box that scrolls, also by keyboard."""
    if not text:
        return "–"
    return format_html(
        '<pre class="wb-text" tabindex="0" role="region" aria-label="{}">{}</pre>', label, text
    )
