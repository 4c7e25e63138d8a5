"""Rows by SQL of our own, row by row with executemany: SQLite, where writers take turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Field, Model
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from whizbang.drivers.execution import executor_of
from whizbang.drivers.rows.base import Rows
from whizbang.drivers.rows.columns import fills_itself, from_database, numbers_itself, to_database

_CHUNK_ROWS = 1000
_CHUNK_KEYS = 512  # below the 999 variables of an old SQLite


class StatementRows(Rows):
    """Rows by SQL of our own, row by row with executemany: SQLite, where writers take turns."""

    lock_clause = ""
    can_name_table = True

    def __init__(
        self, model: type[Model], key: Field[Any, Any], connection: Any, *, table: str | None = None
    ) -> None:
        super().__init__(model, key, connection, table=table)
        quote = connection.ops.quote_name
        self._table = table or quote(model._meta.db_table)
        self._quoted = [quote(f.column) for f in self._fields]
        self._key_column = quote(key.column)
        self._to_database = [to_database(f, connection) for f in self._fields]
        self._key_to_database = to_database(key, connection)
        self._from_database = [
            (index, converter)
            for index, field in enumerate(self._fields)
            if (converter := from_database(field, model, connection)) is not None
        ]
        self._is_plain = (
            model.__init__ is Model.__init__
            and model.__new__ is object.__new__
            and model.from_db.__func__ is Model.from_db.__func__  # type: ignore[attr-defined]
        )
        self._before_save = [(i, f) for i, f in enumerate(self._fields) if fills_itself(f)]
        self._written = [i for i, f in enumerate(self._fields) if self._is_written(f)]
        self._compile()

    def _is_written(self, field: Field[Any, Any]) -> bool:
        if getattr(field, "generated", False):
            return False
        # The database numbers the rows, unless the number is what they are found by.
        return field is self.key or not numbers_itself(field)

    def _compile(self) -> None:
        columns = ", ".join(self._quoted)
        self._select = f"SELECT {columns} FROM {self._table} WHERE {self._key_column}"
        self._insert = self._insert_into(self._written)
        self._overwritten = [
            i
            for i in self._written
            if self._fields[i] is not self.key and not self._fields[i].primary_key
        ]
        self._updates: dict[tuple[int, ...], str] = {}
        self._compile_upsert()

    def _compile_upsert(self) -> None:
        assignments = ", ".join(
            f"{self._quoted[i]} = excluded.{self._quoted[i]}" for i in self._overwritten
        )
        action = f"UPDATE SET {assignments}" if assignments else "NOTHING"
        self._conflict = f"ON CONFLICT ({self._key_column})"
        self._upsert = f"{self._insert} {self._conflict} DO {action}"

    def _insert_into(self, columns: Sequence[int]) -> str:
        names = ", ".join(self._quoted[i] for i in columns)
        return f"INSERT INTO {self._table} ({names}) {self._source(columns)}"

    def _source(self, columns: Sequence[int]) -> str:
        return f"VALUES ({', '.join(['%s'] * len(columns))})"

    def load(self, keys: Sequence[Any], *, is_locked: bool) -> dict[Any, Model]:
        lock = self.lock_clause if is_locked else ""
        found: dict[Any, Model] = {}
        execute = executor_of(self.connection).execute
        for condition, params in self._match(keys):
            for values in execute(f"{self._select} {condition}{lock}", params).fetchall():
                row = self._make(values)
                found[getattr(row, self.key_name)] = row
        return found

    def _match(self, keys: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
        """Conditions on the key column, each with its parameters."""
        prepared = [self._key_to_database(key) for key in keys]
        if len(prepared) == 1:
            yield "= %s", prepared
            return
        for start in range(0, len(prepared), _CHUNK_KEYS):
            chunk = prepared[start : start + _CHUNK_KEYS]
            # Padded to a power of two: few different statements, which SQLite keeps prepared.
            padding = (1 << (len(chunk) - 1).bit_length()) - len(chunk)
            chunk += chunk[-1:] * padding
            yield f"IN ({', '.join(['%s'] * len(chunk))})", chunk

    def _make(self, values: Sequence[Any]) -> Model:
        if self._from_database:
            values = list(values)
            for index, convert in self._from_database:
                values[index] = convert(values[index])
        if not self._is_plain or pre_init.receivers or post_init.receivers:
            return self.model.from_db(self.using, self._names, values)
        # What Model.__init__ does for a row of the database, in a quarter of its time.
        row = self.model.__new__(self.model)
        row._state = ModelState()
        row._state.adding, row._state.db = False, self.using
        row.__dict__.update(zip(self._names, values, strict=True))
        return row

    def update_one(self, key: Any, row: Model, columns: Sequence[int]) -> None:
        for index, field in self._before_save:
            field.pre_save(row, False)
            columns = [*columns, index] if index not in columns else columns
        values = self._take(row)
        params = [self._to_database[i](values[i]) for i in columns]
        params.append(self._key_to_database(key))
        statement = self._update_statement(tuple(columns))
        if executor_of(self.connection).execute(statement, params).rowcount == 0:
            self.upsert([row])

    def _update_statement(self, columns: tuple[int, ...]) -> str:
        statement = self._updates.get(columns)
        if statement is None:
            assignments = ", ".join(f"{self._quoted[i]} = %s" for i in columns)
            statement = f"UPDATE {self._table} SET {assignments} WHERE {self._key_column} = %s"
            self._updates[columns] = statement
        return statement

    def upsert(self, rows: Sequence[Model]) -> None:
        self._write(self._upsert, rows)

    def insert(self, rows: Sequence[Model]) -> None:
        self._write(self._insert, rows)

    def insert_new(self, rows: Sequence[Any]) -> None:
        columns = self._not_numbered()
        statement = f"{self._insert_into(columns)} ON CONFLICT DO NOTHING"
        self._write(statement, rows, columns)

    def _not_numbered(self) -> list[int]:
        return [i for i in self._written if not numbers_itself(self._fields[i])]

    def set_columns(self, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
        columns = tuple(self._names.index(name) for name in names)
        convert = [self._to_database[i] for i in columns]
        rows = [
            (*(f(v) for f, v in zip(convert, rest, strict=True)), self._key_to_database(key))
            for key, *rest in values
        ]
        with self.connection.cursor() as cursor:
            cursor.executemany(self._update_statement(columns), rows)

    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        self._write(self._upsert, [row for _, row in rows])
        return set()

    def _write(
        self, statement: str, rows: Sequence[Model], columns: Sequence[int] | None = None
    ) -> None:
        with self.connection.cursor() as cursor:
            for start in range(0, len(rows), _CHUNK_ROWS):
                values = self._prepare(rows[start : start + _CHUNK_ROWS], columns)
                cursor.executemany(statement, list(zip(*values, strict=True)))

    def _prepare(
        self, rows: Sequence[Model], written: Sequence[int] | None = None
    ) -> list[list[Any]]:
        """The rows' values as the database takes them, a list a written column."""
        for _, field in self._before_save:
            for row in rows:
                field.pre_save(row, row._state.adding)
        columns = list(zip(*map(self._take, rows), strict=True))
        indexes = self._written if written is None else written
        return [list(map(self._to_database[i], columns[i])) for i in indexes]

    def delete(self, keys: Sequence[Any]) -> None:
        if not keys:
            return
        with self.connection.cursor() as cursor:
            for condition, params in self._match(keys):
                statement = f"DELETE FROM {self._table} WHERE {self._key_column} {condition}"
                cursor.execute(statement, params)

    def delete_all(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table}")
