"""Folding events over rows in memory, going on behind those that fail; nothing is written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Field, Model

from whizbang.drivers.read_only import WriteRefused
from whizbang.drivers.rows import rows_of
from whizbang.drivers.rows.columns import columns_of, fills_itself, is_immutable, numbers_itself
from whizbang.exceptions import WhizbangError
from whizbang.messages.metadata import Metadata
from whizbang.projections.declaration import DELETE
from whizbang.projections.free import Recorded
from whizbang.projections.model import ModelProjection, Step

_MOST_ROWS = 1_000_000  # that are held in memory
OnFailure = Callable[[Metadata, Exception], None]
Difference = dict[str, tuple[Any, Any]]  # by field: as it is, as it would be


class TrialFold:
    """Folds as a projection would, over its live rows or over none.

    A failing event leaves its rows as they were; `on_failure` is told, and decides what goes on.
    """

    def __init__(
        self, projection: ModelProjection, *, using: str, begins_blank: bool, on_failure: OnFailure
    ) -> None:
        self.projection, self._using, self._on_failure = projection, using, on_failure
        self._begins_blank = begins_blank
        self._rows = rows_of(projection.model, projection.key, using)
        self.folded: dict[Any, Model | None] = {}  # None: there is no such row
        self.live: dict[
            Any, Model | None
        ] = {}  # of the rows that were touched; without begins_blank
        fields = columns_of(projection.model)
        self._mutable = [f.attname for f in fields if not is_immutable(f)]
        self._compared = [f for f in fields if _is_compared(f, projection.key)]

    def apply(self, events: Sequence[Recorded], is_wanted: Callable[[Metadata], bool]) -> None:
        """Fold a batch, in order; `is_wanted` is asked just before each event."""
        if not events:
            return
        try:
            self._prefetch(events)
        except WriteRefused:
            raise
        except Exception as exc:
            if len(events) == 1:
                self._on_failure(events[0][1], exc)
                return
            for recorded in events:
                if is_wanted(recorded[1]):
                    self.apply([recorded], is_wanted)
            return
        routed = list(self._route(events))
        self._load({step[0] for _, steps in routed for step in steps})
        for meta, steps in routed:
            if is_wanted(meta):
                self._fold(meta, steps)

    def differences(self) -> Iterator[tuple[Any, Model | None, Model | None, Difference]]:
        """Key, live row, folded row and differing fields, of all rows where one is or would be."""
        if not self._begins_blank:
            for key, row in self.folded.items():
                yield key, self.live[key], row, self._compare(self.live[key], row)
            return
        left = {key: row for key, row in self.folded.items() if row is not None}
        for live in self.projection.model._base_manager.using(self._using).iterator(2000):
            key = getattr(live, self._rows.key_name)
            row = left.pop(key, None)
            yield key, live, row, self._compare(live, row)
        for key, row in left.items():
            yield key, None, row, {}

    def _prefetch(self, events: Sequence[Recorded]) -> None:
        if type(self.projection).prefetch is not ModelProjection.prefetch:
            with transaction.atomic(using=self._using):
                self.projection.prefetch(events)

    def _route(self, events: Sequence[Recorded]) -> Iterator[tuple[Metadata, list[Step]]]:
        for recorded in events:
            try:
                yield recorded[1], list(self.projection.steps_of([recorded]))
            except WriteRefused:
                raise
            except Exception as exc:
                self._on_failure(recorded[1], exc)

    def _load(self, keys: set[Any]) -> None:
        missing = [key for key in keys if key not in self.folded]
        if len(self.folded) + len(missing) > _MOST_ROWS:
            raise WhizbangError(
                f"More than {_MOST_ROWS:,} rows are touched: choose a smaller part of history."
            )
        found = {} if self._begins_blank else self._rows.load(missing, is_locked=False)
        for key in missing:
            row = found.get(key)
            self.folded[key] = row
            if not self._begins_blank:
                self.live[key] = self._saved(row)

    def _fold(self, meta: Metadata, steps: Sequence[Step]) -> None:
        before = {step[0]: self._saved(self.folded[step[0]]) for step in steps}
        try:
            for key, method, event, _ in steps:
                row = self.folded[key] or self._rows.blank(key)
                self.folded[key] = None if method(row, event, meta) is DELETE else row
        except WriteRefused:
            raise
        except Exception as exc:
            for key, saved in before.items():
                self.folded[key] = saved
            self._on_failure(meta, exc)

    def _saved(self, row: Model | None) -> Model | None:
        if row is None:
            return None
        saved = copy.copy(row)
        for name in self._mutable:
            setattr(saved, name, copy.deepcopy(getattr(row, name)))
        return saved

    def _compare(self, live: Model | None, row: Model | None) -> Difference:
        if live is None or row is None:
            return {}
        found: Difference = {}
        for field in self._compared:
            one, other = getattr(live, field.attname), getattr(row, field.attname)
            if one is not other and _comparable(field, one) != _comparable(field, other):
                found[field.attname] = (one, other)
        return found


def _is_compared(field: Field[Any, Any], key: Field[Any, Any]) -> bool:
    """Neither filled with the time of writing, nor numbered or computed by the database."""
    if field is key or getattr(field, "generated", False):
        return False
    return not (fills_itself(field) or numbers_itself(field))


def _comparable(field: Field[Any, Any], value: Any) -> Any:
    """A value as it would be read back from its column."""
    value = value.value if isinstance(value, Enum) else value
    if value is None:
        return None
    if isinstance(field, models.JSONField):
        return json.loads(json.dumps(value, cls=field.encoder, sort_keys=True))
    try:
        clean = field.to_python(value)
    except ValidationError:
        return value
    if isinstance(field, models.DecimalField) and isinstance(clean, Decimal):
        return round(clean, field.decimal_places or 0)
    return clean
