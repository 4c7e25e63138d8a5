"""Shadows on SQLite: DDL is part of the transaction, and a writer keeps nobody from reading."""

from __future__ import annotations

import re

from whizbang.drivers.shadows.merge import MergedShadow
from whizbang.exceptions import WhizbangError

_SUFFIX = "__whizbang_new"
_HEAD = re.compile(r'^CREATE TABLE\s+("(?:[^"]|"")*"|\S+?)\s*\(', re.IGNORECASE)


class SqliteShadow(MergedShadow):
    """A table by the live one's own statement, its inline constraints included."""

    @property
    def table(self) -> str:
        return self.quote(self._name)

    @property
    def _name(self) -> str:
        return f"{self.model._meta.db_table}{_SUFFIX}"

    def exists(self) -> bool:
        return bool(self.fetch("SELECT 1 FROM sqlite_master WHERE name = %s", [self._name]))

    def make(self) -> None:
        self.discard()
        name = self.model._meta.db_table
        found = self.fetch(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = %s", [name]
        )
        if not found:
            raise WhizbangError(f"Table {name!r} does not exist: run `manage.py migrate`.")
        statement, count = _HEAD.subn(
            lambda _: f"CREATE TABLE {self.table} (", found[0][0], count=1
        )
        if not count:
            raise WhizbangError(f"Table {name!r} was not made by CREATE TABLE: {found[0][0][:80]}")
        self.execute(statement.replace("%", "%%"), [])

    def finish(self) -> None:
        """The statement has the constraints; what finds rows by their key is one of them or made here."""
        index = self.quote(f"{self._name}_key")
        column = self.quote(self.key.column)
        self.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {self.table} ({column})")

    def discard(self) -> None:
        self.execute(f"DROP TABLE IF EXISTS {self.table}")
