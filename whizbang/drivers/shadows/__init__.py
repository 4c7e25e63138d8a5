"""A rebuild's own table beside the live one, and how it takes that one's place.

How each way behaves on each product: docs/operations.md, "Rebuilds".
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import Field, Model

from whizbang.drivers.rows import can_name_table
from whizbang.drivers.shadows.base import Shadow
from whizbang.drivers.shadows.merge import MergedShadow
from whizbang.drivers.shadows.mysql import MysqlShadow
from whizbang.drivers.shadows.postgres import PostgresShadow, SwappedShadow
from whizbang.drivers.shadows.sqlite import SqliteShadow
from whizbang.drivers.shadows.swapping import obstacles_to_schema, obstacles_to_swap

__all__ = ["Shadow", "shadow_for", "why_not_swapped"]

_MERGED: dict[str, type[MergedShadow]] = {
    "postgresql": PostgresShadow,
    "mysql": MysqlShadow,
    "sqlite": SqliteShadow,
}


def shadow_for(
    model: type[Model],
    key: Field[Any, Any],
    using: str,
    *,
    method: str | None = None,
    is_made_now: bool = True,
) -> Shadow | None:
    """The shadow of a model's table, by swap where nothing stands against it, else by merge.

    `method` asks for "swap" or "merge". None where the table cannot have one: columns that only the ORM
    can write, no right to make a table, another product, or an open transaction that DDL would end (which
    is no matter where it is only asked for: not `is_made_now`).
    """
    connection = connections[using]
    kind = _MERGED.get(connection.vendor)
    if kind is None or not can_name_table(model, using):
        return None
    ends_transaction = connection.in_atomic_block and not connection.features.can_rollback_ddl
    if is_made_now and ends_transaction:
        return None
    if connection.vendor != "postgresql":
        return None if method == "swap" else kind(model, key, connection)
    if obstacles_to_schema(model, connection):
        return None
    if method != "merge" and not obstacles_to_swap(model, key, connection):
        return SwappedShadow(model, key, connection)
    return None if method == "swap" else kind(model, key, connection)


def why_not_swapped(model: type[Model], key: Field[Any, Any], using: str) -> list[str]:
    """What stands against publishing by swap, a sentence each; none: it can be."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return [
            f"{connection.display_name} cannot put a table in another one's place in a transaction"
        ]
    return [
        *obstacles_to_schema(model, connection),
        *obstacles_to_swap(model, key, connection),
    ]
