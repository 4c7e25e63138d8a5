"""What the database itself says about a table, to the last name."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

_POSTGRES = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attnum > 0, attidentity,"
    " pg_get_expr(adbin, adrelid), col_description(attrelid, attnum) FROM pg_attribute"
    " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname",
    "SELECT conname, pg_get_constraintdef(oid), convalidated, condeferrable FROM pg_constraint"
    " WHERE conrelid = %s::regclass ORDER BY conname",
    "SELECT indexname, indexdef FROM pg_indexes"
    " WHERE (schemaname || '.' || quote_ident(tablename))::regclass = %s::regclass ORDER BY indexname",
    "SELECT relname, relkind, relpersistence, relnamespace::regnamespace::text,"
    " obj_description(oid) FROM pg_class WHERE oid = %s::regclass",
)


def describe(table: str) -> list[Any]:
    """Columns, constraints and indexes; two tables with the same description cannot be told apart."""
    if connection.vendor == "postgresql":
        return [_fetch(statement, [table]) for statement in _POSTGRES]
    if connection.vendor == "mysql":
        ((_, text),) = _fetch(f"SHOW CREATE TABLE `{table}`", [])
        return sorted(re.sub(r" AUTO_INCREMENT=\d+", "", text).split("\n"))
    return _fetch(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = %s ORDER BY name", [table]
    )


def _fetch(statement: str, params: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
