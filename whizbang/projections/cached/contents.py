"""What a cached projection holds, and how events change it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError

from whizbang.exceptions import BrokenEntry, WhizbangError
from whizbang.messages.metadata import Metadata
from whizbang.messages.text import error_text
from whizbang.projections.declaration import DELETE
from whizbang.projections.failing import FailingEvent
from whizbang.store.event_store import Recorded

if TYPE_CHECKING:
    from whizbang.projections.cached.identity import LogIdentity
    from whizbang.projections.cached.projection import CachedProjection

logger = logging.getLogger(__name__)
MOST_FAILURES = 1000  # more than a few broken keys mean that the code is wrong, not the events
Route = tuple[Callable[..., Any], Callable[[Any, Any], Any]]  # a method, and what finds its keys
_MISSING: Any = object()
_IMMUTABLE = frozenset(
    (type(None), bool, int, float, complex, str, bytes, Decimal, UUID)
    + (date, datetime, time, timedelta)
)

# Held while contents change, so that a fork, or a reader of many keys, sees them whole.
publishing = threading.Lock()


class Failure(NamedTuple):
    """Why a key cannot be read: the event that its method failed on, and the error."""

    event: FailingEvent
    error: str


class Contents:
    """The entries of one fold of the log, and how far it has come."""

    def __init__(self, identity: LogIdentity | None = None) -> None:
        self.identity = identity  # of the log that it was folded from
        self.entries: dict[Any, Any] = {}
        self.broken: dict[Any, Failure] = {}
        self.unreadable = 0  # events that left no key to break
        self.position = 0
        self.event_count = 0

    def get(self, key: Any, default: Any) -> Any:
        # In this order: a key is marked as broken before its entry goes.
        value = self.entries.get(key, default)
        if self.broken and (failure := self.broken.get(key)) is not None:
            raise BrokenEntry(key, failure.event, failure.error)
        return value


class Batch:
    """Events on their way into contents: nothing of them is to be seen before `publish`.

    While nobody reads the contents yet (`is_shared=False`) entries are changed in place.
    """

    def __init__(
        self,
        projection: CachedProjection,
        routes: Mapping[type, Sequence[Route]],
        contents: Contents,
        *,
        is_shared: bool,
    ) -> None:
        self._projection, self._routes = projection, routes
        self._contents, self._is_shared = contents, is_shared
        self._changes: dict[Any, Any] = {}
        self._broken: dict[Any, Failure] = {}
        self._unreadable = 0
        self._count = 0

    def apply(self, recorded: Recorded) -> None:
        """Fold one event into the entries of its keys. What fails there breaks the key, nothing else."""
        event, meta = recorded
        self._count += 1
        try:
            steps = list(self._steps(event, meta))
        except DatabaseError:
            raise  # not the event's fault: all is tried again
        except Exception as exc:
            self.leave_out(_place_of(meta), exc)
            return
        for key, method in steps:
            if key not in self._contents.broken and key not in self._broken:
                self._apply_to(key, method, event, meta)

    def leave_out(self, event: FailingEvent, error: Exception) -> None:
        """Go on without an event that cannot be read, or has no usable key."""
        self._unreadable += 1
        logger.error(
            "Event left out of a cache projection=%s stream=%s position=%s",
            self._projection.name,
            event.stream,
            event.position,
            exc_info=error,
        )

    def publish(self, upto: int) -> None:
        """Let readers see all of it. Raises WhizbangError when the bounds are passed, and shows nothing."""
        contents, removed, changed = self._contents, [], {}
        for key, value in self._changes.items():
            if key in self._broken or value is DELETE:
                removed.append(key)
            else:
                changed[key] = value
        removed += [key for key in self._broken if key not in self._changes]
        self._check_bounds(changed)
        with publishing:
            contents.broken.update(self._broken)
            contents.entries.update(changed)
            for key in removed:
                contents.entries.pop(key, None)
            contents.unreadable += self._unreadable
            contents.event_count += self._count
            contents.position = upto

    def _steps(self, event: Any, meta: Metadata) -> Iterator[tuple[Any, Callable[..., Any]]]:
        for method, find_key in self._routes.get(type(event), ()):
            found = find_key(event, meta)
            is_many = isinstance(found, list | tuple | set | frozenset)
            for key in dict.fromkeys(found) if is_many else (found,):
                if key is None:
                    raise WhizbangError(
                        f"{self._projection.name} got None as a key: give [] where none is meant."
                    )
                hash(key)
                yield key, method

    def _apply_to(self, key: Any, method: Callable[..., Any], event: Any, meta: Metadata) -> None:
        try:
            value = self._value_of(key)
            result = method(value, event, meta)
        except DatabaseError:
            raise
        except Exception as exc:
            self._break(key, meta, exc)
            return
        self._changes[key] = value if result is None else result

    def _value_of(self, key: Any) -> Any:
        value = self._changes.get(key, _MISSING)
        if value is _MISSING:
            value = self._contents.entries.get(key, _MISSING)
            if value is not _MISSING:
                return copied(value) if self._is_shared else value
        if value is _MISSING or value is DELETE:
            return type(self._projection).entry()
        return value

    def _break(self, key: Any, meta: Metadata, error: Exception) -> None:
        place = _place_of(meta)
        logger.error(
            "Entry broken projection=%s key=%s stream=%s position=%s",
            self._projection.name,
            key,
            place.stream,
            place.position,
            exc_info=error,
        )
        self._broken[key] = Failure(place, error_text(error)[:500])

    def _check_bounds(self, changed: dict[Any, Any]) -> None:
        contents, projection = self._contents, self._projection
        added = sum(key not in contents.entries for key in changed)
        if added and len(contents.entries) + added > projection.max_entries:
            raise WhizbangError(
                f"{projection.name} has more than {projection.max_entries} entries: raise max_entries, or "
                "keep them in a table, by a ModelProjection."
            )
        failures = len(contents.broken) + len(self._broken) + contents.unreadable + self._unreadable
        if failures > MOST_FAILURES:
            raise WhizbangError(
                f"{projection.name} failed on more than {MOST_FAILURES} events: the log says which."
            )


def copied(value: Any) -> Any:
    """A copy that shares nothing mutable."""
    return value if type(value) in _IMMUTABLE else deepcopy(value)


def copied_items(contents: Contents) -> list[tuple[Any, Any]]:
    """All entries as they are between two batches."""
    with publishing:
        return list(contents.entries.items())


def picked(contents: Contents, keys: Iterable[Any]) -> dict[Any, Any]:
    """Some entries as they are between two batches. Raises `BrokenEntry`."""
    with publishing:
        return {
            key: value for key in keys if (value := contents.get(key, _MISSING)) is not _MISSING
        }


def _place_of(meta: Metadata) -> FailingEvent:
    return FailingEvent(meta.stream, meta.position, meta.version, meta.type)
