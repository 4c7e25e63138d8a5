"""Projections into the rows of one model: folded in memory, written in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, Model

from whizbang.drivers.rows import rows_of
from whizbang.drivers.rows.base import Rows
from whizbang.drivers.rows.columns import plain_type
from whizbang.exceptions import WhizbangError
from whizbang.messages.metadata import Metadata
from whizbang.projections.declaration import DELETE, problems
from whizbang.projections.failing import mark_failing
from whizbang.projections.free import Projection, Recorded
from whizbang.projections.keys import key_finder
from whizbang.subscriptions.partitioning import KeyFilter

_PREFETCH_EVENTS = 1000
Method = Callable[[Any, Any, Any], Any]
Step = tuple[Any, Method, Any, Any]  # key, method, event, meta


class ModelProjection(Projection):
    """Reacts to events with methods marked by @on(…, by=…), called as method(row, event, meta).

    The row is the one whose key `by` gives. A missing row is made; returning DELETE removes it. Methods
    change nothing but the row, and see it as the events before left it. Rows are written without
    signals.
    """

    abstract: ClassVar[bool] = True
    needs_keys: ClassVar[bool] = True
    model: ClassVar[type[Model]]
    key_field: ClassVar[str | None] = None  # a unique field; None is the primary key

    @property
    def is_rebuildable(self) -> bool:
        return True

    def prefetch(self, events: Sequence[Recorded]) -> None:
        """Called with each batch before it is folded: look up here, at once, what the methods need."""

    def apply_batch(
        self,
        events: Sequence[Recorded],
        *,
        using: str,
        slices: KeyFilter | None = None,
        table: str | None = None,
    ) -> None:
        """Fold a batch and write what changed, in the caller's transaction; with `slices` of their rows alone.

        One SELECT, and at most one statement each for rows removed, new and changed. Inline delivery
        locks the rows in key order. `table` is another one like the model's, quoted.
        """
        steps = list(self._route(events, slices))
        if not steps:
            return
        self.prefetch(events if slices is None else _events_of(steps))
        rows = rows_of(self.model, self._key, using, table=table)
        is_shared = self.delivery == "inline"
        if len(steps) > 1 or not self._apply_one(rows, steps[0], is_shared=is_shared):
            self._apply(rows, steps, is_shared=is_shared)

    def fold_all(
        self, events: Iterable[Recorded], *, using: str, slices: KeyFilter | None = None
    ) -> dict[Any, Model]:
        """Fold a history as if there were no rows yet; gives the final ones by key, in memory.

        With `slices`, a `SliceRange` say, those of its keys alone.
        """
        rows = rows_of(self.model, self._key, using)
        folded: dict[Any, Model] = {}
        if type(self).prefetch is ModelProjection.prefetch:
            # One by one: an event is folded while the processor still has it at hand.
            _fold(self._route(events, slices), folded, rows.blank)
            return folded
        remaining = iter(events)
        while chunk := list(islice(remaining, _PREFETCH_EVENTS)):
            steps = list(self._route(chunk, slices))
            self.prefetch(chunk if slices is None else _events_of(steps))
            _fold(steps, folded, rows.blank)
        return folded

    def steps_of(self, events: Iterable[Recorded]) -> Iterator[Step]:
        """Which methods are called for events, and for the rows of which keys."""
        return self._route(events)

    def keyed(self, events: Iterable[Recorded]) -> Iterator[tuple[Any, Metadata]]:
        """The keys of the rows that events go to, each with the metadata of its event."""
        return ((key, meta) for key, _, _, meta in self._route(events))

    def replace_rows(self, keys: Iterable[Any], folded: dict[Any, Model], *, using: str) -> int:
        """Put these rows in the place of those with such keys, in the caller's transaction; gives the
        number of rows that went.

        A row that stays keeps its primary key.
        """
        rows = rows_of(self.model, self._key, using)
        self._check_keys(rows, folded)
        found = rows.load(list(keys), is_locked=self.delivery == "inline")
        gone = [key for key in found if key not in folded]
        if gone:
            rows.delete(gone)
        if folded:
            rows.upsert(list(folded.values()))
        return len(gone)

    def replace_all(self, folded: dict[Any, Model], *, using: str) -> None:
        """Put these rows in the place of all that are there, in the caller's transaction."""
        rows = rows_of(self.model, self._key, using)
        rows.delete_all()
        self._check_keys(rows, folded)
        rows.insert(list(folded.values()))

    def fill(self, folded: dict[Any, Model], rows: Rows) -> None:
        """Write these rows into a table that nobody reads yet, in the caller's transaction."""
        self._check_keys(rows, folded)
        rows.fill(list(folded.values()))

    @property
    def key(self) -> Field[Any, Any]:
        """The field by which its rows are found."""
        return self._key

    def _apply_one(self, rows: Rows, step: Step, *, is_shared: bool) -> bool:
        """The usual case of inline delivery: one event changes one row. False if there is no row."""
        key, method, event, meta = step
        row = rows.load([key], is_locked=is_shared).get(key)
        if row is None:
            return False
        before = rows.snapshot(row)
        if method(row, event, meta) is DELETE:
            rows.delete([key])
            return True
        self._check_keys(rows, {key: row})
        columns = rows.changed_columns(row, before)
        if columns:
            rows.update_one(key, row, columns)
        return True

    def _apply(self, rows: Rows, steps: Sequence[Step], *, is_shared: bool) -> None:
        loaded = rows.load(list(dict.fromkeys([step[0] for step in steps])), is_locked=is_shared)
        before = {key: rows.snapshot(row) for key, row in loaded.items()}
        folded = dict(loaded)
        _fold(steps, folded, rows.blank)
        self._check_keys(rows, folded)
        rows.delete([key for key in loaded if key not in folded])
        rows.update(
            [
                (key, row, before[key] if row is loaded[key] else None)
                for key, row in folded.items()
                if key in loaded
            ]
        )
        new = [(key, row) for key, row in folded.items() if key not in loaded]
        if new:
            self._insert(rows, steps, new, is_shared=is_shared)

    def _insert(
        self, rows: Rows, steps: Sequence[Step], new: list[tuple[Any, Model]], *, is_shared: bool
    ) -> None:
        if not is_shared:
            rows.upsert([row for _, row in new])
            return
        # Another transaction may have made the same row since the SELECT: it must not be overwritten
        # with a fold that has not seen it. Sorted, so that two inserters do not wait for each other.
        taken = rows.insert_missing(sorted(new, key=lambda pair: pair[0]))
        if taken:
            self._apply(rows, [step for step in steps if step[0] in taken], is_shared=True)

    def keys_of(self, event: Any, meta: Any) -> list[Any]:
        return [step[0] for step in self._route([(event, meta)])]

    def _route(self, events: Iterable[Recorded], slices: KeyFilter | None = None) -> Iterator[Step]:
        """Which method is called for which row, in order; with `slices` for the keys that it takes."""
        if slices is None:
            return self._route_all(events)
        return (step for step in self._route_all(events) if slices.takes(step[0], step[3]))

    def _route_all(self, events: Iterable[Recorded]) -> Iterator[Step]:
        plain, routes, clean = plain_type(self._key), self._routes, self._clean_key
        for event, meta in events:
            for method, find_key in routes.get(type(event), ()):
                found = find_key(event, meta)
                if type(found) is plain:
                    yield found, method, event, meta
                elif isinstance(found, list | tuple | set | frozenset):
                    for key in dict.fromkeys(map(clean, found)):
                        yield key, method, event, meta
                else:
                    yield clean(found), method, event, meta

    def _clean_key(self, key: Any) -> Any:
        """The key as the model's field holds it, so that "7" and 7 mean one row."""
        try:
            clean = self._key.to_python(key)
        except ValidationError as exc:
            reason = "; ".join(exc.messages)
            raise WhizbangError(f"{self.name} cannot use {key!r} as a key: {reason}") from exc
        if clean is None:
            raise WhizbangError(f"{self.name} got None as a key: give [] where no row is meant.")
        return clean

    def _check_keys(self, rows: Rows, folded: dict[Any, Model]) -> None:
        for key, row in folded.items():
            if getattr(row, rows.key_name) != key:
                raise WhizbangError(
                    f"{self.name} changed the key of row {key!r} to {getattr(row, rows.key_name)!r}: "
                    "a row keeps its key; return DELETE and let another event make the new one."
                )

    @cached_property
    def _key(self) -> Field[Any, Any]:
        found = list(problems(type(self)))
        if found:
            raise WhizbangError(" ".join(found))
        return _key_of(self.model, self.key_field)

    @cached_property
    def _routes(self) -> dict[type, list[tuple[Method, Callable[[Any, Any], Any]]]]:
        return {
            event_type: [(getattr(self, name), key_finder(by)) for name, by in pairs]
            for event_type, pairs in self.reactions.items()
        }

    @classmethod
    def own_problems(cls) -> Iterator[str]:
        model = getattr(cls, "model", None)
        if not (isinstance(model, type) and issubclass(model, Model)) or model._meta.abstract:
            yield f"model is {model!r}: name the model whose rows it writes."
            return
        yield from _problems_of_model(model, cls.key_field)


def _fold(steps: Iterable[Step], rows: dict[Any, Model], blank: Callable[[Any], Model]) -> None:
    for key, method, event, meta in steps:
        row = rows.get(key)
        if row is None:
            row = rows[key] = blank(key)
        try:
            change = method(row, event, meta)
        except Exception as exc:
            mark_failing(exc, meta)
            raise
        if change is DELETE:
            del rows[key]


def _events_of(steps: Iterable[Step]) -> list[Recorded]:
    """Each event once; the steps of one stand together."""
    found: list[Recorded] = []
    for _, _, event, meta in steps:
        if not found or found[-1][0] is not event:
            found.append((event, meta))
    return found


def _key_of(model: type[Model], key_field: str | None) -> Field[Any, Any]:
    if key_field is None:
        return model._meta.pk
    return model._meta.get_field(key_field)  # type: ignore[return-value]


def _problems_of_model(model: type[Model], key_field: str | None) -> Iterator[str]:
    meta = model._meta
    if any(field.model._meta.concrete_model is not meta.concrete_model for field in meta.fields):
        yield f"{meta.label} inherits columns from another table: use a model with one table."
    if getattr(meta, "pk_fields", None) and len(meta.pk_fields) > 1:
        yield f"{meta.label} has a composite primary key: use a unique field and name it in key_field."
    for field in meta.concrete_fields:
        default = getattr(field, "db_default", None)
        if hasattr(default, "resolve_expression") and not field.has_default():
            yield (
                f"{meta.label}.{field.name} has an expression as db_default: give it a `default` too, "
                "because rows are folded in memory."
            )
    if key_field is not None:
        yield from _problems_of_key_field(model, key_field)


def _problems_of_key_field(model: type[Model], key_field: str) -> Iterator[str]:
    meta = model._meta
    try:
        field = meta.get_field(key_field)
    except FieldDoesNotExist:
        names = ", ".join(f.name for f in meta.concrete_fields)
        yield f"key_field {key_field!r} is no field of {meta.label}; its fields are {names}."
        return
    constraints = [tuple(c.fields) for c in meta.total_unique_constraints]
    if not (getattr(field, "unique", False) or (field.name,) in constraints):
        yield f"key_field {key_field!r} of {meta.label} is not unique: set unique=True."
