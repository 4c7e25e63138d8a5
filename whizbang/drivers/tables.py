"""Which of our tables a database has, as the models describe them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections
from django.db.models import Model


def has_columns(model: type[Model], names: Iterable[str], *, using: str) -> bool:
    """Is the model's table there, with these columns?"""
    connection: Any = connections[using]
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        found = connection.introspection.get_table_description(cursor, table)
    return {column.name for column in found}.issuperset(names)
