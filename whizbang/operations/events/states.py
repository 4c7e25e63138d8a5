"""An aggregate's state in the past, and what changed from one version to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_type_hints

import msgspec

from whizbang.domain import aggregate
from whizbang.domain.aggregate import Aggregate, state_names
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.messages.personal import MASK, mask_as, mask_leaves, personal_paths
from whizbang.store import snapshots
from whizbang.store.event_store import EventStore, event_store

MOST_EVENTS = 100_000  # that are folded for one look


class NoState(WhizbangError):
    """There is no state to show, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One attribute; `before` and `after` are plain values."""

    name: str
    before: Any
    after: Any
    is_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PastState:
    """An aggregate at a version, beside the version before. `problem` says in words why the version cannot be
    folded; then the fields are those of the version before.
    """

    aggregate: str
    stream: str
    version: int
    last_version: int
    fields: list[FieldChange]
    problem: str = ""

    @property
    def changes(self) -> list[FieldChange]:
        return [field for field in self.fields if field.is_changed]


def aggregate_of(stream: str) -> tuple[type[Aggregate], str] | None:
    """The aggregate whose events a stream holds, and its id; None where no class says so."""
    found = None
    for cls in aggregate.declared:
        start = cls.stream_of("")
        if stream.startswith(start):
            found = cls, stream[len(start) :]  # a class that is defined again replaces its elder
    return found


def state_at(stream: str, version: int, *, store: EventStore | None = None) -> dict[str, Any]:
    """The state of a stream's aggregate at a version, as plain values.

    Raises `NoState` where no class is known, where there is no such version, for a stream that is too long to
    be folded at once, and for an event that cannot be applied.
    """
    store = store or event_store()
    cls, id = _demand_class(stream)
    _demand_version(store, stream, version)
    folded = _fold(store, cls, id, version)
    return _plain_state(folded)


def state_difference(stream: str, version: int, *, store: EventStore | None = None) -> PastState:
    """The state at a version and which fields it has changed; raises as state_at(), but tells a failing event
    beside the state before it."""
    store = store or event_store()
    cls, id = _demand_class(stream)
    last = _demand_version(store, stream, version)
    folded = _fold(store, cls, id, version - 1)
    before = _plain_state(folded)
    problem = ""
    try:
        _apply_all(
            store, folded, store.driver.read_stream(stream, after=version - 1, until=version)
        )
    except NoState as exc:
        problem = str(exc)
    after = before if problem else _plain_state(folded)
    return PastState(
        aggregate=cls.stream_of("").removesuffix("-"),
        stream=stream,
        version=version,
        last_version=last,
        fields=list(_changes(before, after)),
        problem=problem,
    )


def version_at(
    stream: str,
    *,
    recorded: datetime | None = None,
    occurred: datetime | None = None,
    store: EventStore | None = None,
) -> int:
    """The last version of a stream that was recorded, or that occurred, by an instant; 0 when none had.

    By business time, later versions may have occurred earlier: this is the last of those that had occurred.
    """
    store = store or event_store()
    rows = store.driver.read_stream(
        stream, as_of=recorded, occurred_until=occurred, backwards=True, limit=1
    )
    row = next(iter(rows), None)
    return 0 if row is None else row.version


def masked_state(stream: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a state without personal data: attributes that are annotated as personal, or named like a
    personal field of an event that the aggregate applies, and what is personal inside values."""
    found = aggregate_of(stream)
    if found is None:
        return dict(mask_leaves(dict(state)))
    cls = found[0]
    return masked_attributes(state, _hints_of(cls), cls._appliers)


def masked_attributes(
    state: Mapping[str, Any], hints: Mapping[str, Any], event_types: Iterable[Any]
) -> dict[str, Any]:
    """A copy of attributes without personal data: see masked_state(). `event_types` are what they are made from."""
    named = {name for event_type in event_types for name in _leaf_names(event_type)}
    return {
        name: MASK if name in named and value is not None else _masked(hints.get(name), value)
        for name, value in state.items()
    }


def _leaf_names(event_type: Any) -> Iterator[str]:
    for path in personal_paths(event_type):
        yield path.replace("[]", "").replace("{key}", "").replace("{}", "").rpartition(".")[2]


def _masked(hint: Any, value: Any) -> Any:
    if hint is None:
        return mask_leaves(value)  # not annotated: nobody knows what it is
    try:
        return mask_as(hint, value)
    except TypeError:  # msgspec does not know the type
        return mask_leaves(value)


def _hints_of(cls: type[Aggregate]) -> dict[str, Any]:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):
        return {}
    return {name: hints[name] for name in state_names(cls) if name in hints}


def _demand_class(stream: str) -> tuple[type[Aggregate], str]:
    found = aggregate_of(stream)
    if found is None:
        raise NoState(f"No aggregate class is known for the stream {stream}.")
    return found


def _demand_version(store: EventStore, stream: str, version: int) -> int:
    last = store.driver.stream_version(stream)
    if not 0 < version <= last:
        raise NoState(f"Stream {stream} has no version {version}: its last is {last}.")
    return last


def _fold(store: EventStore, cls: type[Aggregate], id: str, version: int) -> Aggregate:
    """From the newest snapshot that is not behind it, where there is one."""
    folded = cls(id)
    if version == 0:
        return folded
    stream, rows = folded.stream, None
    found = snapshots.find_snapshot(store, cls, stream)
    if found is not None and found.version <= version:
        rows = snapshots.restore(store, folded, found, until=version)
    if rows is None:
        folded = cls(id)
    if version - folded.version > MOST_EVENTS:
        raise NoState(
            f"Version {version} of {stream} is {version - folded.version:,} events away from what is kept of "
            f"it; states are folded for up to {MOST_EVENTS:,}. Take snapshots of it, or use whizbang.history()."
        )
    after = folded.version
    _apply_all(store, folded, store.driver.read_stream(stream, after=after, until=version))
    return folded


def _apply_all(store: EventStore, folded: Any, rows: Iterator[StoredRow]) -> None:
    for row in rows:
        try:
            for event in store.decode_events(row):
                folded._apply(event)
        except Exception as exc:  # appliers are the application's code
            raise NoState(
                f"Version {row.version} of {row.stream} ({row.type}) cannot be applied: "
                f"{type(exc).__name__}: {exc}"
            ) from exc
        folded.version = row.version


def _plain_state(folded: Aggregate) -> dict[str, Any]:
    held = {k: v for k, v in vars(folded).items() if k not in _OWN}
    return {name: _plain(value) for name, value in held.items()}


_OWN = frozenset(("id", "version", "_pending", "_on_record"))


def _plain(value: Any) -> Any:
    """As JSON would have it; what it has no form for is told as Python writes it."""
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        is_changed = old != new or (name in before) != (name in after)
        yield FieldChange(name=name, before=old, after=new, is_changed=is_changed)
