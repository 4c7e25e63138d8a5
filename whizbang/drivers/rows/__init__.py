"""Bulk reading and writing of model rows.

The ORM builds a query anew for each statement (50–100 µs); here the SQL is written once a connection.
Where a column needs more than a value and a placeholder, and on any other product, the ORM does it.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import Field, Model

from whizbang.drivers.rows.base import Rows
from whizbang.drivers.rows.columns import columns_of, fits_array, is_simple
from whizbang.drivers.rows.mysql import MysqlRows
from whizbang.drivers.rows.orm import OrmRows
from whizbang.drivers.rows.statements import StatementRows


def rows_of(
    model: type[Model], key: Field[Any, Any], using: str, *, table: str | None = None
) -> Rows:
    """The gateway to a model's rows, compiled once a connection, which is once a thread.

    `table` is another one with the same columns, quoted; see can_name_table().
    """
    connection = connections[using]
    # Kept on the connection: its converters belong to it, and both end together.
    cache = connection.__dict__.setdefault("_whizbang_rows", {})
    found: Rows | None = cache.get((model, key.attname, table))
    if found is None:
        gateway = _gateway_for(model, connection)
        found = gateway(model, key, connection, table=table)
        cache[model, key.attname, table] = found
    return found


def can_name_table(model: type[Model], using: str) -> bool:
    """Can rows of this model be written to another table than its own?"""
    return _gateway_for(model, connections[using]).can_name_table


def _gateway_for(model: type[Model], connection: Any) -> type[Rows]:
    if connection.vendor == "postgresql" and all(fits_array(f) for f in columns_of(model)):
        from whizbang.drivers.rows.postgres import UnnestRows  # needs psycopg, which is an extra

        return UnnestRows
    if connection.vendor == "sqlite" and all(is_simple(f) for f in columns_of(model)):
        return StatementRows
    if connection.vendor == "mysql" and all(is_simple(f) for f in columns_of(model)):
        return MysqlRows
    return OrmRows
