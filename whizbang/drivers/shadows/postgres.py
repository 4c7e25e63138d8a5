"""Shadows on PostgreSQL: a table of the same name in a schema of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from whizbang.drivers.shadows.merge import MergedShadow
from whizbang.drivers.shadows.swapping import NEW_SCHEMA, OLD_SCHEMA
from whizbang.exceptions import WhizbangError

_PASSING_SCHEMA = "whizbang_passing"
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, attcollation, attgenerated
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attname
"""
# Unqualified where the search path finds what they name: the pretty form.
_CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid, true), contype, convalidated FROM pg_constraint
WHERE conrelid = to_regclass(%s) AND contype = ANY(%s::"char"[]) ORDER BY contype DESC, conname
"""
_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid, 0, true) FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(%s)
AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = i.indrelid)
ORDER BY c.relname
"""
# Tables of a schema with an index that has the name of one of the live table's.
_NAMESAKES = """
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(t.relname) FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = %s AND c.relname IN (
    SELECT x.relname FROM pg_index y JOIN pg_class x ON x.oid = y.indexrelid
    WHERE y.indrelid = to_regclass(%s))
"""
_LOCK_MILLISECONDS = 100


class PostgresShadow(MergedShadow):
    """A staging table with the live one's columns and checks."""

    @property
    def table(self) -> str:
        return f"{NEW_SCHEMA}.{self.live}"

    def exists(self) -> bool:
        return self._has(self.table)

    def make(self) -> None:
        self._make_schema(NEW_SCHEMA)
        self.discard()
        self.execute(
            f"CREATE TABLE {self.table} "
            f"(LIKE {self.live} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)"
        )

    def finish(self) -> None:
        """What finds rows by their key; the live table has the other constraints."""
        column = self.quote(self.key.column)
        name = self.quote(f"{self.model._meta.db_table[:45]}_whizbang_key")
        self.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {self.table} ({column})")
        self.execute(f"ANALYZE {self.table}")

    def discard(self) -> None:
        with self._short_locks():
            self.execute(f"DROP TABLE IF EXISTS {self.table}")

    def _has(self, table: str) -> bool:
        ((found,),) = self.fetch("SELECT to_regclass(%s) IS NOT NULL", [table])
        return bool(found)

    def _make_schema(self, name: str) -> None:
        if not self.fetch("SELECT 1 WHERE to_regnamespace(%s) IS NOT NULL", [name]):
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")

    def _live_schema(self) -> str:
        """Where the search path finds the live table; quoted."""
        ((schema,),) = self.fetch(
            "SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.oid = to_regclass(%s)",
            [self.live],
        )
        return str(schema)

    @contextmanager
    def _short_locks(self) -> Iterator[None]:
        """A transaction that rather fails than keeps readers waiting behind it in a lock's queue."""
        with transaction.atomic(using=self.connection.alias):
            ((before,),) = self.fetch("SELECT current_setting('lock_timeout')")
            self.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
            yield
            self.execute("SELECT set_config('lock_timeout', %s, true)", [before])


class SwappedShadow(PostgresShadow):
    """Has the names of the live table, its indexes and its constraints, and is exchanged for it."""

    method = "swap"
    keeps_old = True

    @property
    def kept_table(self) -> str:
        """The one that was live before, quoted."""
        return f"{OLD_SCHEMA}.{self.live}"

    def make(self) -> None:
        self._drop_namesakes(NEW_SCHEMA)
        super().make()
        ((comment,),) = self.fetch("SELECT obj_description(to_regclass(%s))", [self.live])
        if comment is not None:
            self.execute(f"COMMENT ON TABLE {self.table} IS %s", [comment])

    def finish(self) -> None:
        present = {name for name, *_ in self._constraints_of(self.table, "pux")}
        for name, definition, _, _ in self._constraints_of(self.live, "pux"):
            if name not in present:
                self._add_constraint(self.table, name, definition)
        self._add_indexes()
        self._add_foreign_keys(self.table)
        self.execute(f"ANALYZE {self.table}")

    def publish(self) -> None:
        """Locks both tables for a moment; fails when a reader keeps the live one for longer than 100 ms."""
        schema = self._live_schema()
        self._make_schema(OLD_SCHEMA)
        with self._short_locks():
            self._settle_constraints()
            self._drop_namesakes(OLD_SCHEMA)
            self.execute(f"DROP TABLE IF EXISTS {self.kept_table}")
            self._move(f"{schema}.{self.live}", OLD_SCHEMA)
            self._move(self.table, schema)

    def has_kept(self) -> bool:
        return self._has(self.kept_table)

    def put_back(self) -> None:
        """Exchange the kept table for the live one, as publish() does."""
        schema = self._live_schema()
        with self._short_locks():
            self._settle_constraints()
            self._make_schema(_PASSING_SCHEMA)
            self._move(f"{schema}.{self.live}", _PASSING_SCHEMA)
            self._move(self.kept_table, schema)
            self._move(f"{_PASSING_SCHEMA}.{self.live}", OLD_SCHEMA)
            self.execute(f"DROP SCHEMA {_PASSING_SCHEMA}")

    def release_kept(self) -> None:
        """Let the kept table refer to nothing, so that later migrations of other tables do not meet it."""
        with self._short_locks():
            for name, *_ in self._constraints_of(self.kept_table, "f"):
                self.execute(f"ALTER TABLE {self.kept_table} DROP CONSTRAINT {self.quote(name)}")

    def prepare_kept(self) -> None:
        """Give the kept table its foreign keys again. Raises WhizbangError if the model has changed since."""
        if self.fetch(_COLUMNS, [self.live]) != self.fetch(_COLUMNS, [self.kept_table]):
            raise WhizbangError(
                f"The columns of {self.live} have changed since {self.kept_table} was kept, so it cannot be "
                "put back: rebuild with the code that you want."
            )
        self._add_foreign_keys(self.kept_table)

    def discard_kept(self) -> None:
        with self._short_locks():
            self.execute(f"DROP TABLE IF EXISTS {self.kept_table}")

    def _drop_namesakes(self, schema: str) -> None:
        """Drop what is left there of the table from before a migration renamed it: names would clash."""
        for (table,) in self.fetch(_NAMESAKES, [schema, self.live]):
            with self._short_locks():
                self.execute(f"DROP TABLE {table}")

    def _settle_constraints(self) -> None:
        """A table with deferred checks that are still to come cannot be altered."""
        self.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self.execute("SET CONSTRAINTS ALL DEFERRED")

    def _move(self, table: str, schema: str) -> None:
        self.execute(f"ALTER TABLE {table} SET SCHEMA {schema}")

    def _constraints_of(self, table: str, kinds: str) -> list[tuple[str, str, str, bool]]:
        return self.fetch(_CONSTRAINTS, [table, list(kinds)])

    def _add_constraint(self, table: str, name: str, definition: str) -> None:
        statement = f"ALTER TABLE {table} ADD CONSTRAINT {self.quote(name)} {definition}"
        self.execute(statement.replace("%", "%%"), [])

    def _add_indexes(self) -> None:
        present = {name for name, _ in self.fetch(_INDEXES, [self.table])}
        for name, definition in self.fetch(_INDEXES, [self.live]):
            if name not in present:
                with self._searching_new():
                    self.execute(definition.replace("%", "%%"), [])

    def _add_foreign_keys(self, table: str) -> None:
        """Checked afterwards, so that the tables they refer to are not locked against writers for long."""
        known = {name: is_valid for name, _, _, is_valid in self._constraints_of(table, "f")}
        for name, definition, _, _ in self._constraints_of(self.live, "f"):
            if name not in known:
                with self._short_locks():
                    unchecked = f"{definition.removesuffix(' NOT VALID')} NOT VALID"
                    self._add_constraint(table, name, unchecked)
            if not known.get(name):
                self.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {self.quote(name)}")

    @contextmanager
    def _searching_new(self) -> Iterator[None]:
        """A transaction in which the table's name means the new one, as definitions of indexes have it."""
        with transaction.atomic(using=self.connection.alias):
            ((before,),) = self.fetch("SELECT current_setting('search_path')")
            self.execute("SELECT set_config('search_path', %s, true)", [f"{NEW_SCHEMA}, {before}"])
            yield
            self.execute("SELECT set_config('search_path', %s, true)", [before])
