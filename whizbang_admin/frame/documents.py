"""Stored documents, events and errors as text for people.

Payloads are shown by `show_payload` and `show_event`, which ask who looks: personal fields are masked for those who
may not see them. `show_document` is for what is no payload, such as metadata.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.drivers.serializers.base import Serializer
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import MessageInfo
from whizbang.messages.personal import MASK, has_personal_data, mask_payload
from whizbang.store.event_store import EventStore

MOST_CHARACTERS = 20_000  # of one document on a page of many events
PERSONAL_PERMISSION = "whizbang.view_personal_data"
HIDDEN = _(
    "Values are hidden: nobody can tell which are personal, and you may not see personal data."
)


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """JSON text, cut when it is very long."""

    text: str
    is_cut: bool
    is_unreadable: bool = False  # then the text says so


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
    is_masked: bool = False  # it has, or may have, personal fields that this user may not see


def may_see_personal_data(who: Any) -> bool:
    """`who` is the user that looks."""
    return bool(who.has_perm(PERSONAL_PERMISSION))


def may_see_payload(who: Any, type: str) -> bool:
    """May this user see, and so edit, payloads of a type as they are?"""
    return may_see_personal_data(who) or not has_personal_data(type)


def show_event(
    store: EventStore, row: StoredRow, *, who: Any, most: int | None = None
) -> ShownEvent:
    """The stored form, so that a type which is gone can be looked at too; never raises for bad data.

    Documents are cut after `most` characters.
    """
    shown = _show_event(store, row, who, most)
    return shown if may_see_payload(who, row.type) else replace(shown, is_masked=True)


def _show_event(store: EventStore, row: StoredRow, who: Any, most: int | None) -> ShownEvent:
    serializer = store.serializer
    data = show_payload(serializer, row.payload, type=row.type, who=who, most=most)
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
            show_payload(
                serializer,
                serializer.encode(event),
                type=type(event).__whizbang__.type_name,
                who=who,
                most=most,
            ),
        )
        for event in events
    )
    return ShownEvent(row, data, metadata, readings, is_left_out=not events)


def _is_as_stored(event: Any, row: StoredRow) -> bool:
    info: MessageInfo = type(event).__whizbang__
    return info.type_name == row.type and info.schema == row.schema


def show_payload(
    serializer: Serializer, payload: Any, *, type: str, who: Any, most: int | None = None
) -> ShownDocument:
    """A stored payload of a type as indented JSON, as the user who looks may see it."""
    is_whole = may_see_payload(who, type)
    return _show(serializer, payload, most, None if is_whole else partial(mask_payload, type))


def show_document(
    serializer: Serializer, document: Any, *, most: int | None = None
) -> ShownDocument:
    """A stored document as indented JSON; one that cannot be read as it is, with the error."""
    return _show(serializer, document, most, None)


def _show(
    serializer: Serializer, document: Any, most: int | None, mask: Callable[[Any], Any] | None
) -> ShownDocument:
    is_unreadable = False
    try:
        plain = serializer.decode_plain(document)
        text = as_json(plain if mask is None else mask(plain))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as exc:
        is_unreadable = True
        stored = repr(document) if mask is None else MASK
        text = translate("This cannot be read (%(error)s): %(stored)s") % {
            "error": exc,
            "stored": stored,
        }
    is_cut = most is not None and len(text) > most
    return ShownDocument(text[:most], is_cut, is_unreadable)


def as_json(plain: Any) -> str:
    """Indented, as quick as ten megabytes need it."""
    return msgspec.json.format(msgspec.json.encode(plain, enc_hook=str), indent=2).decode()


def show_text(text: str, *, label: str, is_trace: bool = False) -> str:
    """Text with its line breaks, escaped, in a box that scrolls, also by keyboard; of a traceback the end is shown first."""
    if not text:
        return "–"
    return format_html(
        '<pre class="wb-text{}" tabindex="0" role="region" aria-label="{}">{}</pre>',
        " wb-trace" if is_trace else "",
        label,
        text,
    )
