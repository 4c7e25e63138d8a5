"""The rows of one model by key: read at once, compared, and written in bulk.

The ORM builds a query anew for each statement (50–100 µs); here the SQL is written once a connection.
Where a column needs more than a value and a placeholder, and on products without an upsert that names
its key, the ORM does it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connections, models, transaction
from django.db.models import Field, Model

from whizbang.exceptions import WhizbangError

_CHUNK_ROWS = 1000
_CHUNK_KEYS = 512  # below the 999 variables of an old SQLite

# Exactly these classes, not their subclasses: they store such a value as it is, on every product.
_PLAIN: dict[type, type] = {
    models.CharField: str,
    models.TextField: str,
    models.SlugField: str,
    models.EmailField: str,
    models.URLField: str,
    models.IntegerField: int,
    models.SmallIntegerField: int,
    models.BigIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.PositiveBigIntegerField: int,
    models.AutoField: int,
    models.BigAutoField: int,
    models.SmallAutoField: int,
    models.BooleanField: bool,
    models.FloatField: float,
}
# Python values that these fields give, and that cannot change in place.
_IMMUTABLE = (str, int, float, bool, Decimal, date, datetime, UUID, type(None))
_CONTAINERS = (dict, list, tuple, set)
_ALWAYS_CHANGED = object()

Snapshot = Sequence[Any]
Change = tuple[Any, Model, Snapshot | None]  # key, row, as it was (None: made anew under its key)


def plain_type(field: Field[Any, Any]) -> type | None:
    """The type whose values a field takes and stores as they are."""
    return _PLAIN.get(type(field))


def rows_of(model: type[Model], key: Field[Any, Any], using: str) -> Rows:
    """The gateway to a model's rows, compiled once a connection, which is once a thread."""
    connection = connections[using]
    # Kept on the connection: its converters belong to it, and both end together.
    cache = connection.__dict__.setdefault("_whizbang_rows", {})
    found: Rows | None = cache.get((model, key.attname))
    if found is None:
        found = cache[model, key.attname] = _gateway_for(model, key, connection)
    return found


def _gateway_for(model: type[Model], key: Field[Any, Any], connection: Any) -> Rows:
    if connection.vendor == "postgresql" and all(_fits_array(f) for f in _columns(model)):
        return UnnestRows(model, key, connection)
    if connection.vendor == "sqlite" and all(_is_simple(f) for f in _columns(model)):
        return RowGateway(model, key, connection)
    return OrmRows(model, key, connection)


def _columns(model: type[Model]) -> list[Field[Any, Any]]:
    return list(model._meta.concrete_fields)


def _is_simple(field: Field[Any, Any]) -> bool:
    """Is its column written as %s and selected by its name?"""
    if type(field) is models.BinaryField:
        return True
    has_placeholder = hasattr(field, "get_placeholder") or hasattr(field, "get_placeholder_sql")
    return not has_placeholder and type(field).select_format is Field.select_format


def _fits_array(field: Field[Any, Any]) -> bool:
    """unnest() flattens arrays of arrays; a cast to bit(n) cuts silently."""
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return _is_simple(field) and not hasattr(target, "base_field")


class Rows(ABC):
    """What a projection needs of a table. All in the caller's transaction; no signals are sent."""

    def __init__(self, model: type[Model], key: Field[Any, Any], connection: Any) -> None:
        self.model, self.key, self.connection = model, key, connection
        self.using: str = connection.alias
        self.key_name: str = key.attname
        self._fields = _columns(model)
        self._names = [f.attname for f in self._fields]
        self._take = _tuple_getter(self._names)
        self._mutable = [
            index for index, field in enumerate(self._fields) if not _is_immutable(field)
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
            frozen[index] = _freeze(frozen[index])
        return frozen

    def changed_columns(self, row: Model, before: Snapshot) -> list[int]:
        return [
            index
            for index, (old, new) in enumerate(zip(before, self.snapshot(row), strict=True))
            if old is _ALWAYS_CHANGED or (old is not new and old != new)
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

    @abstractmethod
    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        """Insert rows; gives the keys that another transaction has taken meanwhile, left alone."""

    @abstractmethod
    def delete(self, keys: Sequence[Any]) -> None: ...

    @abstractmethod
    def delete_all(self) -> None: ...


class RowGateway(Rows):
    """Rows by SQL of our own, row by row with executemany: SQLite, where writers take turns."""

    lock_clause = ""

    def __init__(self, model: type[Model], key: Field[Any, Any], connection: Any) -> None:
        super().__init__(model, key, connection)
        quote = connection.ops.quote_name
        self._table = quote(model._meta.db_table)
        self._quoted = [quote(f.column) for f in self._fields]
        self._key_column = quote(key.column)
        self._to_database = [_to_database(f, connection) for f in self._fields]
        self._key_to_database = _to_database(key, connection)
        self._from_database = [
            (index, converter)
            for index, field in enumerate(self._fields)
            if (converter := _from_database(field, model, connection)) is not None
        ]
        self._before_save = [(i, f) for i, f in enumerate(self._fields) if _fills_itself(f)]
        self._written = [i for i, f in enumerate(self._fields) if self._is_written(f)]
        self._compile()

    def _is_written(self, field: Field[Any, Any]) -> bool:
        if getattr(field, "generated", False):
            return False
        # The database numbers the rows, unless the number is what they are found by.
        return field is self.key or not isinstance(field, models.AutoField)

    def _compile(self) -> None:
        columns = ", ".join(self._quoted)
        written = ", ".join(self._quoted[i] for i in self._written)
        self._select = f"SELECT {columns} FROM {self._table} WHERE {self._key_column}"
        self._insert = f"INSERT INTO {self._table} ({written}) {self._source()}"
        assignments = ", ".join(
            f"{self._quoted[i]} = excluded.{self._quoted[i]}"
            for i in self._written
            if self._fields[i] is not self.key and not self._fields[i].primary_key
        )
        action = f"UPDATE SET {assignments}" if assignments else "NOTHING"
        self._conflict = f"ON CONFLICT ({self._key_column})"
        self._upsert = f"{self._insert} {self._conflict} DO {action}"
        self._updates: dict[tuple[int, ...], str] = {}

    def _source(self) -> str:
        return f"VALUES ({', '.join(['%s'] * len(self._written))})"

    def load(self, keys: Sequence[Any], *, is_locked: bool) -> dict[Any, Model]:
        lock = self.lock_clause if is_locked else ""
        found: dict[Any, Model] = {}
        with self.connection.cursor() as cursor:
            for condition, params in self._match(keys):
                cursor.execute(f"{self._select} {condition}{lock}", params)
                for values in cursor.fetchall():
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
        return self.model.from_db(self.using, self._names, values)

    def update_one(self, key: Any, row: Model, columns: Sequence[int]) -> None:
        for index, field in self._before_save:
            field.pre_save(row, False)
            columns = [*columns, index] if index not in columns else columns
        values = self._take(row)
        params = [self._to_database[i](values[i]) for i in columns]
        params.append(self._key_to_database(key))
        with self.connection.cursor() as cursor:
            cursor.execute(self._update_statement(tuple(columns)), params)
            is_gone = cursor.rowcount == 0
        if is_gone:
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

    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        self._write(self._upsert, [row for _, row in rows])
        return set()

    def _write(self, statement: str, rows: Sequence[Model]) -> None:
        with self.connection.cursor() as cursor:
            for start in range(0, len(rows), _CHUNK_ROWS):
                columns = self._prepare(rows[start : start + _CHUNK_ROWS])
                cursor.executemany(statement, list(zip(*columns, strict=True)))

    def _prepare(self, rows: Sequence[Model]) -> list[list[Any]]:
        """The rows' values as the database takes them, a list a written column."""
        for _, field in self._before_save:
            for row in rows:
                field.pre_save(row, row._state.adding)
        columns = list(zip(*map(self._take, rows), strict=True))
        return [list(map(self._to_database[i], columns[i])) for i in self._written]

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


class UnnestRows(RowGateway):
    """PostgreSQL: a chunk is one statement with an array a column."""

    def _compile(self) -> None:
        self._key_type = _element_type(self.key, self.connection)
        super()._compile()
        self.lock_clause = f" ORDER BY {self._key_column} FOR UPDATE"
        self._insert_missing = (
            f"{self._insert} {self._conflict} DO NOTHING RETURNING {self._key_column}"
        )

    def _source(self) -> str:
        arrays = (f"%s::{_element_type(self._fields[i], self.connection)}[]" for i in self._written)
        return f"SELECT * FROM unnest({', '.join(arrays)})"

    def _match(self, keys: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
        prepared = [self._key_to_database(key) for key in keys]
        if len(prepared) == 1:
            yield "= %s", prepared
        else:
            yield f"= ANY(%s::{self._key_type}[])", [prepared]

    def _write(self, statement: str, rows: Sequence[Model]) -> None:
        with self.connection.cursor() as cursor:
            for start in range(0, len(rows), _CHUNK_ROWS):
                cursor.execute(statement, self._prepare(rows[start : start + _CHUNK_ROWS]))

    def insert_missing(self, rows: Sequence[tuple[Any, Model]]) -> set[Any]:
        taken = {key for key, _ in rows}
        convert = _from_database(self.key, self.model, self.connection)
        with self.connection.cursor() as cursor:
            for start in range(0, len(rows), _CHUNK_ROWS):
                chunk = [row for _, row in rows[start : start + _CHUNK_ROWS]]
                cursor.execute(self._insert_missing, self._prepare(chunk))
                made = [key for (key,) in cursor.fetchall()]
                taken.difference_update(map(convert, made) if convert else made)
        return taken


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
        if not (features.supports_update_conflicts and others):
            self._write_apart(rows, others)
            return
        target = [self.key.name] if features.supports_update_conflicts_with_target else None
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


def _tuple_getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    (name,) = names
    return lambda row: (getattr(row, name),)


def _is_immutable(field: Field[Any, Any]) -> bool:
    if isinstance(field, models.ForeignKey):
        field = field.target_field  # its attribute holds the target's value
    return type(field) in _PLAIN or type(field) in (
        models.DecimalField,
        models.DateField,
        models.DateTimeField,
        models.UUIDField,
    )


def _freeze(value: Any) -> Any:
    """A form in which a change in place shows; unlike ==, repr tells True from 1 in a document."""
    if isinstance(value, _IMMUTABLE):
        return value
    return repr(value) if type(value) in _CONTAINERS else _ALWAYS_CHANGED


def _fills_itself(field: Field[Any, Any]) -> bool:
    if isinstance(field, models.DateField | models.TimeField):
        return field.auto_now or field.auto_now_add
    return type(field).pre_save is not Field.pre_save


def _to_database(field: Field[Any, Any], connection: Any) -> Callable[[Any], Any]:
    """How a value of this column is made ready for a statement; a plain one passes as it is."""
    plain = plain_type(field)
    if connection.vendor == "postgresql" and type(field) is models.DecimalField:
        plain = Decimal

    def prepare(value: Any) -> Any:
        if value is None or type(value) is plain:
            return value
        if hasattr(value, "resolve_expression"):
            raise WhizbangError(
                f"{field.model._meta.label}.{field.name} was given the expression {value!r}: rows are "
                "folded in memory, so give it a value."
            )
        # A list with members of an enum beside plain strings is not one array to psycopg.
        value = value.value if isinstance(value, Enum) else value
        return field.get_db_prep_save(value, connection)

    return prepare


def _from_database(
    field: Field[Any, Any], model: type[Model], connection: Any
) -> Callable[[Any], Any] | None:
    column = field.get_col(model._meta.db_table)
    converters = [
        *connection.ops.get_db_converters(column),
        *column.get_db_converters(connection),
    ]
    if not converters:
        return None
    if len(converters) == 1:
        return partial(_convert_once, converters[0], column, connection)

    def convert(value: Any) -> Any:
        for converter in converters:
            value = converter(value, column, connection)
        return value

    return convert


def _convert_once(converter: Any, column: Any, connection: Any, value: Any) -> Any:
    return converter(value, column, connection)


_UNBOUNDED = {"varchar": "varchar", "character varying": "varchar", "char": "bpchar"}


def _element_type(field: Field[Any, Any], connection: Any) -> str:
    """The array's element type, without a length: a cast to varchar(3) would cut, not fail."""
    db_type: str = field.rel_db_type(connection) or ""
    name, bracket, _ = db_type.partition("(")
    return _UNBOUNDED.get(name.strip(), db_type) if bracket else db_type
