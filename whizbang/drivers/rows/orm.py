"""Rows through the ORM: any other product, and columns of special types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model

from whizbang.drivers.rows.base import Rows
from whizbang.drivers.rows.columns import has_other_unique

_CHUNK_ROWS = 1000
_CHUNK_KEYS = 512


class OrmRows(Rows):
    """Any other product, and columns of special types: through the ORM."""

    def load(self, keys: Sequence[Any], *, is_locked: bool) -> dict[Any, Model]:
        found: dict[Any, Model] = {}
        for start in range(0, len(keys), _CHUNK_KEYS):
            chunk = keys[start : start + _CHUNK_KEYS]
            rows = self._query().filter(**{f"{self.key_name}__in": chunk}).order_by(self.key_name)
            if is_locked and self.connection.features.has_select_for_update:
                rows = rows.select_for_update()
            found.update((getattr(row, self.key_name), row) for row in rows)
        return found

    def _query(self) -> Any:
        return self.model._base_manager.using(self.using)

    def update_one(self, key: Any, row: Model, columns: Sequence[int]) -> None:
        self.upsert([row])

    def upsert(self, rows: Sequence[Model]) -> None:
        features = self.connection.features
        others = [
            f.name
            for f in self._fields
            if f is not self.key and not f.primary_key and not getattr(f, "generated", False)
        ]
        names_key = features.supports_update_conflicts_with_target
        # Where the upsert cannot name its key it writes over whatever row is in the way.
        is_safe = names_key or not has_other_unique(self.model, self.key)
        if not (features.supports_update_conflicts and others and is_safe):
            self._write_apart(rows, others)
            return
        target = [self.key.name] if names_key else None
        self._query().bulk_create(
            rows,
            batch_size=_CHUNK_ROWS,
            update_conflicts=True,
            unique_fields=target,
            update_fields=others,
        )

    def _write_apart(self, rows: Sequence[Model], others: list[str]) -> None:
        existing = self.load([getattr(row, self.key_name) for row in rows], is_locked=True)
        known = [row for row in rows if getattr(row, self.key_name) in existing]
        for row in known:
            row.pk = existing[getattr(row, self.key_name)].pk
        if known and others:
            self._query().bulk_update(known, others, batch_size=_CHUNK_ROWS)
        self.insert([row for row in rows if getattr(row, self.key_name) not in existing])

    def insert(self, rows: Sequence[Model]) -> None:
        self._query().bulk_create(rows, batch_size=_CHUNK_ROWS)

    def insert_new(self, rows: Sequence[Any]) -> None:
        made = [self.model(**{name: getattr(row, name) for name in self._names}) for row in rows]
        self._query().bulk_create(made, batch_size=_CHUNK_ROWS, ignore_conflicts=True)

    def set_columns(self, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
        for key, *rest in values:
            changed = dict(zip(names, rest, strict=True))
            self._query().filter(**{self.key_name: key}).update(**changed)

    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        taken = set()
        for key, row in rows:
            try:
                with transaction.atomic(using=self.using):
                    self.insert([row])
            except IntegrityError:
                if not self.load([key], is_locked=True):
                    raise  # another constraint refuses the row
                taken.add(key)
        return taken

    def delete(self, keys: Sequence[Any]) -> None:
        for start in range(0, len(keys), _CHUNK_KEYS):
            chunk = keys[start : start + _CHUNK_KEYS]
            self._query().filter(**{f"{self.key_name}__in": chunk})._raw_delete(self.using)

    def delete_all(self) -> None:
        self._query().all()._raw_delete(self.using)
