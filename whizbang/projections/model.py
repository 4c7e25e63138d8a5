"""Projections into a model: folded in memory a batch at a time, written in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models

from whizbang.messages.metadata import Metadata
from whizbang.projections.declaration import DELETE
from whizbang.projections.free import Projection
from whizbang.store.event_store import Recorded

_CHUNK_ROWS = 500
Rows = dict[Any, Any]  # key -> model instance, or None for a row that was deleted


class ModelProjection(Projection):
    """One row a key: `@on(Event, by=...)` methods get the row, the event and its metadata.

    The key is the model's primary key, or the unique field that `key_field` names. A missing row is
    made with the model's defaults; a method that returns DELETE removes it.
    """

    abstract = True
    model: ClassVar[Any] = None
    key_field: ClassVar[str | None] = None

    @property
    def is_rebuildable(self) -> bool:
        return True

    @classmethod
    def key_name(cls) -> str:
        name: str = cls.key_field or cls.model._meta.pk.attname
        return name

    def prefetch(self, events: Sequence[Recorded]) -> None:
        """Look up at once what the methods need; called before a batch is folded."""

    def apply_batch(self, events: Sequence[Recorded], *, using: str) -> None:
        self.prefetch(events)
        work = list(self._work(events))
        rows = self._load({key for key, _, _ in work}, using)
        known = {key: _values(row) for key, row in rows.items()}
        self._fold(work, rows)
        self._write(rows, known, using)

    def fold_all(self, events: Iterable[Recorded], *, using: str) -> Rows:
        """Fold history into rows without reading or writing any."""
        rows: Rows = {}
        for recorded in events:
            self._fold(self._work([recorded]), rows)
        return rows

    def replace_all(self, rows: Rows, *, using: str) -> None:
        """Put these rows in the place of all that are there, in the caller's transaction."""
        manager = self.model._base_manager.using(using)
        manager.all().delete()
        kept = [row for row in rows.values() if row is not None]
        manager.bulk_create(kept, batch_size=_CHUNK_ROWS)

    def _work(self, events: Iterable[Recorded]) -> Iterator[tuple[Any, str, Recorded]]:
        """Which method has to run for which key, in order."""
        for recorded in events:
            for name, by in self.methods.get(type(recorded.event), ()):
                for key in _keys_of(by, recorded.event, recorded.meta):
                    yield key, name, recorded

    def _load(self, keys: set[Any], using: str) -> Rows:
        """The rows that exist, locked in key order, so that two writers cannot deadlock."""
        name = self.key_name()
        rows: Rows = {}
        ordered = sorted(keys)
        for start in range(0, len(ordered), _CHUNK_ROWS):
            query = self.model._base_manager.using(using).order_by(name)
            query = query.filter(**{f"{name}__in": ordered[start : start + _CHUNK_ROWS]})
            if connections[using].features.has_select_for_update:
                query = query.select_for_update()
            rows.update((getattr(row, name), row) for row in query)
        return rows

    def _fold(self, work: Iterable[tuple[Any, str, Recorded]], rows: Rows) -> None:
        for key, name, recorded in work:
            row = rows.get(key)
            if row is None:
                row = rows[key] = self.model(**{self.key_name(): key})
            if getattr(self, name)(row, recorded.event, recorded.meta) is DELETE:
                rows[key] = None

    def _write(self, rows: Rows, known: dict[Any, dict[str, Any]], using: str) -> None:
        manager = self.model._base_manager.using(using)
        gone = [key for key, row in rows.items() if row is None and key in known]
        if gone:
            manager.filter(**{f"{self.key_name()}__in": gone}).delete()
        changed = [r for k, r in rows.items() if r is not None and _values(r) != known.get(k)]
        if changed:
            self._upsert(manager, changed, using)

    def _upsert(self, manager: Any, changed: list[Any], using: str) -> None:
        fields = [
            f.name
            for f in self.model._meta.concrete_fields
            if not f.primary_key and f.attname != self.key_name()
        ]
        if not fields:
            manager.bulk_create(changed, ignore_conflicts=True, batch_size=_CHUNK_ROWS)
            return
        has_target = connections[using].features.supports_update_conflicts_with_target
        manager.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=[self.key_name()] if has_target else None,
            update_fields=fields,
            batch_size=_CHUNK_ROWS,
        )

    @classmethod
    def model_problems(cls) -> Iterator[str]:
        if not (isinstance(cls.model, type) and issubclass(cls.model, models.Model)):
            yield f"{cls.__name__} has no model."
            return
        try:
            field: Any = cls.model._meta.get_field(cls.key_name())
        except FieldDoesNotExist:
            yield f"{cls.__name__}.key_field {cls.key_field!r} is no field of its model."
            return
        if not (field.unique or field.primary_key):
            yield f"{cls.__name__}.key_field {cls.key_field!r} is not unique."
        for event_type, methods in cls.methods.items():
            if any(by is None for _, by in methods):
                yield f"{cls.__name__} needs `by` in @on({event_type.__name__}, by=...)."


def _keys_of(by: Any, event: Any, meta: Metadata) -> Sequence[Any]:
    if isinstance(by, str):
        return (getattr(event, by),)
    key = by(event, meta)
    return list(key) if isinstance(key, list | tuple | set | frozenset) else (key,)


def _values(row: Any) -> dict[str, Any]:
    """The row's columns as they are now."""
    return {f.attname: row.__dict__.get(f.attname) for f in row._meta.concrete_fields}
