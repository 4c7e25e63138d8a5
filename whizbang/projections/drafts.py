"""A document while events are applied to it, and which events it has already."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import msgspec

from whizbang.drivers.sinks.base import Document
from whizbang.exceptions import WhizbangError
from whizbang.projections.declaration import DELETE

RESERVED = "whizbang_"  # names of fields that sinks keep beside a document's own
_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Draft:
    """Mutable twin of a Document. The body stays encoded between events, so that a method always sees
    plain JSON, as it would after a restart, and a failing event can be undone."""

    __slots__ = ("applied", "body", "is_changed", "key", "position", "token")

    def __init__(self, key: str, document: Document | None = None) -> None:
        self.key = key
        self.is_changed = False
        self.position = 0 if document is None else document.position
        self.body = None if document is None else document.body
        self.applied = {} if document is None else dict(document.applied)
        self.token = None if document is None else document.token

    def has(self, stream: str, position: int, *, is_late: bool) -> bool:
        """Is an event in the document? `is_late`: its stream was set aside, so that the document's own
        position says nothing about it."""
        if position <= self.applied.get(stream, 0):
            return True
        return not is_late and position <= self.position

    def change(
        self, method: Callable[..., Any], blank: Callable[[str], Any], event: Any, meta: Any
    ) -> None:
        document = blank(self.key) if self.body is None else _decode(self.body)
        if method(document, event, meta) is DELETE:
            self.body = None
        else:
            self.body = _encoded(document)

    def note(self, stream: str, position: int, *, is_late: bool) -> None:
        """The events at a position are in."""
        self.is_changed = True
        self.position = max(self.position, position)
        if is_late:
            self.note_late(stream, position)

    def note_late(self, stream: str, position: int) -> None:
        self.is_changed = True
        self.applied[stream] = max(position, self.applied.get(stream, 0))

    def saved(self) -> tuple[Any, ...]:
        return self.position, self.body, dict(self.applied), self.is_changed

    def restore(self, saved: tuple[Any, ...]) -> None:
        self.position, self.body, self.applied, self.is_changed = saved

    def document(self, parked: Set[str]) -> Document:
        """What is to be stored; of streams that are not set aside any more the position is enough."""
        applied = {stream: upto for stream, upto in self.applied.items() if stream in parked}
        return Document(
            key=self.key,
            position=self.position,
            body=self.body,
            applied=applied,
            token=self.token,
        )


def _encoded(document: Any) -> bytes:
    if not isinstance(document, dict):
        raise WhizbangError(f"A document is a dict, not a {type(document).__name__}.")
    body = _encode(document)
    for name in document:
        if str(name).startswith(RESERVED):
            raise WhizbangError(
                f"The field {name!r} begins with {RESERVED!r}: give it another name."
            )
    return body
