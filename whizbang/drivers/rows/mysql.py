"""Rows on MariaDB and MySQL: a chunk is one statement with a row constructor a row.

ON DUPLICATE KEY UPDATE cannot name its key: any unique constraint counts, and the row that holds it would
be written over. So a table with another one gets its UPDATEs and INSERTs apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model

from whizbang.drivers.chunks import chunks_of
from whizbang.drivers.execution import executor_of
from whizbang.drivers.rows.columns import has_other_unique
from whizbang.drivers.rows.statements import StatementRows

_CHUNK_ROWS = 1000
_CHUNK_BYTES = 1024 * 1024  # below the smallest max_allowed_packet
_MOST_RIVALS = 5


class MysqlRows(StatementRows):
    """MariaDB and MySQL: a chunk is one statement with a row constructor a row."""

    def _compile_upsert(self) -> None:
        self.lock_clause = f" ORDER BY {self._key_column} FOR UPDATE"
        self._upserts_apart = has_other_unique(self.model, self.key)
        # MariaDB has no other name for the row that could not be inserted.
        written_over = [f"{self._quoted[i]} = VALUES({self._quoted[i]})" for i in self._overwritten]
        self._on_duplicate = f" ON DUPLICATE KEY UPDATE {', '.join(written_over)}"
        primary = self.connection.ops.quote_name(self.model._meta.pk.column)
        # Unlike INSERT IGNORE this refuses what does not fit into its column.
        self._on_duplicate_nothing = f" ON DUPLICATE KEY UPDATE {primary} = {self._table}.{primary}"

    def _source(self, columns: Sequence[int]) -> str:
        return "VALUES "

    def upsert(self, rows: Sequence[Model]) -> None:
        if self._upserts_apart:
            self._write_apart(rows)
        elif self._overwritten:
            self._write_rows(self._insert, rows, ending=self._on_duplicate)
        else:
            self._write_rows(self._insert, rows, ending=self._on_duplicate_nothing)

    def _write_apart(self, rows: Sequence[Model]) -> None:
        existing = self.load([getattr(row, self.key_name) for row in rows], is_locked=True)
        known = [row for row in rows if getattr(row, self.key_name) in existing]
        if known and self._overwritten:
            names = [self._names[i] for i in self._overwritten]
            for _, field in self._before_save:
                for row in known:
                    field.pre_save(row, False)
            values = [
                (getattr(row, self.key_name), *(getattr(row, name) for name in names))
                for row in known
            ]
            self.set_columns(names, values)
        self.insert([row for row in rows if getattr(row, self.key_name) not in existing])

    def insert(self, rows: Sequence[Model]) -> None:
        self._write_rows(self._insert, rows)

    def insert_new(self, rows: Sequence[Any]) -> None:
        columns = self._not_numbered()
        self._write_rows(
            self._insert_into(columns), rows, columns, ending=self._on_duplicate_nothing
        )

    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        taken: set[Any] = set()
        for _ in range(_MOST_RIVALS):
            left = [row for key, row in rows if key not in taken]
            try:
                with transaction.atomic(using=self.using):
                    self.insert(left)
                return taken
            except IntegrityError:
                found = self.load([key for key, _ in rows if key not in taken], is_locked=True)
                if not found:
                    raise  # another constraint refuses a row
                taken.update(found)
        self.insert([row for key, row in rows if key not in taken])
        return taken

    def set_columns(self, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
        columns = [self._names.index(name) for name in names]
        convert = [self._key_to_database, *(self._to_database[i] for i in columns)]
        prepared = ([f(value) for f, value in zip(convert, row, strict=True)] for row in values)
        aliases = ["k", *(f"c{i}" for i in columns)]
        assignments = ", ".join(f"t.{self._quoted[i]} = s.c{i}" for i in columns)
        for chunk in _chunks_of(prepared):
            selects = [
                f"SELECT {', '.join(f'{p} AS {a}' for p, a in zip(_placeholders(row), aliases, strict=True))}"
                for row in chunk
            ]
            executor_of(self.connection).execute(
                f"UPDATE {self._table} t JOIN ({' UNION ALL '.join(selects)}) s "
                f"ON t.{self._key_column} = s.k SET {assignments}",
                [value for row in chunk for value in row],
            )

    def _write_rows(
        self,
        statement: str,
        rows: Sequence[Any],
        columns: Sequence[int] | None = None,
        *,
        ending: str = "",
    ) -> None:
        if not rows:
            return
        for chunk in _chunks_of(zip(*self._prepare(rows, columns), strict=True)):
            constructors = ", ".join(f"({', '.join(_placeholders(row))})" for row in chunk)
            executor_of(self.connection).execute(
                f"{statement}{constructors}{ending}", [value for row in chunk for value in row]
            )


def _placeholders(row: Sequence[Any]) -> list[str]:
    """As Django writes them: bytes are not text of the connection's character set."""
    return ["_binary %s" if isinstance(value, bytes) else "%s" for value in row]


def _chunks_of(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    return chunks_of(rows, size_of=_size_of, most=_CHUNK_ROWS, most_bytes=_CHUNK_BYTES)


def _size_of(row: Sequence[Any]) -> int:
    return sum(len(value) for value in row if isinstance(value, str | bytes))
