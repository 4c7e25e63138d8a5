"""Column types that differ by product."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class DocumentField(models.Field):  # type: ignore[type-arg]
    """A JSON document: a JSON column where the product has one, MessagePack bytes on SQLite.

    Python values are what msgspec makes of the document (dict, list, str, int, float, bool, None).
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        if connection.vendor == "sqlite":
            return "blob"
        if connection.vendor == "postgresql":
            return "jsonb"
        if connection.vendor == "mysql":
            return "longtext"
        return "nvarchar(max)"

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper) -> Any:
        if value is None:
            return None
        if connection.vendor == "sqlite":
            return msgspec.msgpack.decode(value, strict=False)
        return msgspec.json.decode(value)

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        if value is None:
            return None
        if connection.vendor == "sqlite":
            return msgspec.msgpack.encode(value)
        return msgspec.json.encode(value).decode()
