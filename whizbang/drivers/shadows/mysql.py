"""Shadows on MariaDB and MySQL, where DDL commits by itself."""

from __future__ import annotations

from zlib import crc32

from whizbang.drivers.shadows.comparing import differing_condition
from whizbang.drivers.shadows.merge import MergedShadow
from whizbang.exceptions import WhizbangError

_SUFFIX = "_wz_new"
_LONGEST_NAME = 64
_REFERENCES = """
SELECT table_name, column_name, referenced_column_name FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE() AND referenced_table_name = %s
"""


class MysqlShadow(MergedShadow):
    """A table made LIKE the live one: its indexes, and none of its foreign keys."""

    @property
    def table(self) -> str:
        return self.quote(self._name)

    @property
    def _name(self) -> str:
        name = f"{self.model._meta.db_table}{_SUFFIX}"
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{name[:48]}_{crc32(name.encode()):08x}{_SUFFIX}"

    def exists(self) -> bool:
        return bool(
            self.fetch(
                "SELECT 1 FROM information_schema.tables "
                "WHERE table_schema = DATABASE() AND table_name = %s",
                [self._name],
            )
        )

    def make(self) -> None:
        self.discard()
        self.execute(f"CREATE TABLE {self.table} LIKE {self.live}")

    def finish(self) -> None:
        """Its indexes came with it."""
        self.execute(f"ANALYZE TABLE {self.table}")

    def publish(self) -> None:
        """Rows that others refer to are deleted and inserted: checked when all are there again."""
        references = self.fetch(_REFERENCES, [self.model._meta.db_table])
        if not references:
            super().publish()
            return
        with self.connection.constraint_checks_disabled():
            super().publish()
        for table, column, referenced in references:
            self._refuse_orphans(table, column, referenced)

    def _delete_differing(self) -> None:
        """As a join, which the optimizer runs by the key; its NOT EXISTS looks at every pair."""
        key = self.quote(self.key.column)
        self.execute(
            f"DELETE a FROM {self.live} a LEFT JOIN {self.table} b ON b.{key} = a.{key} "
            f"WHERE b.{key} IS NULL OR {differing_condition(self, 'a', 'b')}"
        )

    def _refuse_orphans(self, table: str, column: str, referenced: str) -> None:
        child, name, target = map(self.quote, (table, column, referenced))
        found = self.fetch(
            f"SELECT c.{name} FROM {child} c LEFT JOIN {self.live} t ON t.{target} = c.{name} "
            f"WHERE c.{name} IS NOT NULL AND t.{target} IS NULL LIMIT 1"
        )
        if found:
            raise WhizbangError(
                f"The rebuild would remove row {found[0][0]!r} of {self.live}, to which {table}.{column} "
                "refers: remove or change the reference, and rebuild again."
            )

    def discard(self) -> None:
        self.execute(f"DROP TABLE IF EXISTS {self.table}")
