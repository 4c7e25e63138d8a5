"""Publishing by merge: in one transaction delete what differs and insert what is missing.

No DDL on the live table, and readers are not blocked. Two rows may have exchanged a unique value, which an
upsert would refuse. Rows whose number is not their key keep the number they have.
"""

from __future__ import annotations

from whizbang.drivers.rows.columns import columns_of, numbers_itself
from whizbang.drivers.shadows.base import Shadow
from whizbang.drivers.shadows.comparing import differing_condition

_KEPT = "whizbang_kept_numbers"


class MergedShadow(Shadow):
    """A staging table; a product adds how it is made."""

    method = "merge"

    def publish(self) -> None:
        keeps_numbers = not self.key.primary_key
        if keeps_numbers:
            self._keep_numbers()
        self._delete_differing()
        if keeps_numbers:
            self._insert_with_numbers()
        self._insert_missing()
        if keeps_numbers:
            self.execute(f"DROP {self._temporary_table} {_KEPT}")

    @property
    def _temporary_table(self) -> str:
        return "TEMPORARY TABLE" if self.connection.vendor == "mysql" else "TABLE"

    def _keep_numbers(self) -> None:
        """Note the numbers of rows that will be written anew."""
        key, primary = self.quote(self.key.column), self.quote(self.model._meta.pk.column)
        self.execute(
            f"CREATE TEMPORARY TABLE {_KEPT} AS SELECT a.{key} AS k, a.{primary} AS number "
            f"FROM {self.live} a JOIN {self.table} b ON b.{key} = a.{key} "
            f"WHERE {differing_condition(self, 'a', 'b')}"
        )

    def _delete_differing(self) -> None:
        key = self.quote(self.key.column)
        self.execute(
            f"DELETE FROM {self.live} WHERE NOT EXISTS (SELECT 1 FROM {self.table} b "
            f"WHERE b.{key} = {self.live}.{key} "
            f"AND NOT ({differing_condition(self, self.live, 'b')}))"
        )

    def _insert_with_numbers(self) -> None:
        key, primary = self.quote(self.key.column), self.quote(self.model._meta.pk.column)
        columns = [c for c in self._columns() if c != primary]
        self.execute(
            f"INSERT INTO {self.live} ({primary}, {', '.join(columns)}) "
            f"SELECT k.number, {', '.join(f's.{c}' for c in columns)} "
            f"FROM {self.table} s JOIN {_KEPT} k ON k.k = s.{key}"
        )

    def _insert_missing(self) -> None:
        key = self.quote(self.key.column)
        primary = self.model._meta.pk
        columns = [
            c
            for c in self._columns()
            if primary is self.key or not numbers_itself(primary) or c != self.quote(primary.column)
        ]
        self.execute(
            f"INSERT INTO {self.live} ({', '.join(columns)}) "
            f"SELECT {', '.join(f's.{c}' for c in columns)} FROM {self.table} s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.live} t WHERE t.{key} = s.{key})"
        )

    def _columns(self) -> list[str]:
        return [
            self.quote(c.column)
            for c in columns_of(self.model)
            if not getattr(c, "generated", False)
        ]
