"""The contract: the rows of one model by key, read at once, compared, and written in bulk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import Field, Model

from whizbang.drivers.rows.columns import (
    ALWAYS_CHANGED,
    columns_of,
    freeze,
    is_immutable,
    tuple_getter,
)
from whizbang.exceptions import WrongMode

Snapshot = Sequence[Any]
Change = tuple[Any, Model, Snapshot | None]  # key, row, as it was (None: made anew under its key)


class Rows(ABC):
    """What a projection needs of a table. All in the caller's transaction; no signals are sent."""

    # Can it be given another table than the model's?
    can_name_table: ClassVar[bool] = False

    def __init__(
        self, model: type[Model], key: Field[Any, Any], connection: Any, *, table: str | None = None
    ) -> None:
        if table is not None and not self.can_name_table:
            raise WrongMode(f"Rows of {model._meta.label} can only be written to its own table.")
        self.model, self.key, self.connection = model, key, connection
        self.using: str = connection.alias
        self.key_name: str = key.attname
        self._fields = columns_of(model)
        self._names = [f.attname for f in self._fields]
        self._take = tuple_getter(self._names)
        self._mutable = [
            index for index, field in enumerate(self._fields) if not is_immutable(field)
        ]
        self._literal_defaults = [
            (f.attname, f.db_default)
            for f in self._fields
            if f.has_db_default() and not f.has_default()
        ]

    def blank(self, key: Any) -> Model:
        """A new row in memory, with its defaults."""
        row = self.model(**{self.key_name: key})
        row._state.db = self.using
        for name, value in self._literal_defaults:
            # Django leaves a marker there, with which a fold cannot count.
            setattr(row, name, value)
        return row

    def snapshot(self, row: Model) -> Snapshot:
        """What `row` holds now, to compare with later; cheap unless it has documents."""
        values = self._take(row)
        if not self._mutable:
            return values
        frozen = list(values)
        for index in self._mutable:
            frozen[index] = freeze(frozen[index])
        return frozen

    def changed_columns(self, row: Model, before: Snapshot) -> list[int]:
        return [
            index
            for index, (old, new) in enumerate(zip(before, self.snapshot(row), strict=True))
            if old is ALWAYS_CHANGED or (old is not new and old != new)
        ]

    def update(self, rows: Sequence[Change]) -> None:
        """Write those of the existing rows that changed: one by one UPDATE, more by an upsert."""
        changed = []
        for key, row, before in rows:
            columns = None if before is None else self.changed_columns(row, before)
            if columns is None or columns:
                changed.append((key, row, columns))
        if len(changed) == 1 and changed[0][2] is not None:
            self.update_one(*changed[0])  # type: ignore[arg-type]
        elif changed:
            self.upsert([row for _, row, _ in changed])

    @abstractmethod
    def load(self, keys: Sequence[Any], *, is_locked: bool) -> dict[Any, Model]:
        """The rows that exist, by key; `is_locked` locks them in key order where the product can."""

    @abstractmethod
    def update_one(self, key: Any, row: Model, columns: Sequence[int]) -> None:
        """Write some columns of one existing row."""

    @abstractmethod
    def upsert(self, rows: Sequence[Model]) -> None:
        """Insert the rows, or write over those that have their keys."""

    @abstractmethod
    def insert(self, rows: Sequence[Model]) -> None:
        """Insert rows into a table that has none of their keys."""

    def fill(self, rows: Sequence[Model]) -> None:
        """Insert rows into a table that nobody reads yet, as quickly as the product can."""
        self.insert(rows)

    @abstractmethod
    def insert_new(self, rows: Sequence[Any]) -> None:
        """Insert rows; those that a unique constraint refuses are left out.

        Takes any objects with the model's attributes.
        """

    @abstractmethod
    def set_columns(self, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
        """Update some columns of existing rows; each tuple is a key and the columns' values."""

    @abstractmethod
    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        """Insert rows; gives the keys that another transaction has taken meanwhile, left alone."""

    @abstractmethod
    def delete(self, keys: Sequence[Any]) -> None: ...

    @abstractmethod
    def delete_all(self) -> None: ...
