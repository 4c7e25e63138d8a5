"""Events that no class of today would write, put into the log by the driver or as bare rows."""

from __future__ import annotations

from typing import Any

from django.db import connection

import whizbang
from tests.shop.messages import NOON
from whizbang.drivers.stores.base import NewRow, RowsOfStream
from whizbang.models import StoredEvent

_ID = "018f0000-0000-7000-8000-000000000000"
_METADATA = {"message_id": _ID, "correlation_id": _ID}


def append_raw(
    stream: str, type_name: str, payload: object, *, version: int = 1, schema: int = 1
) -> None:
    store = whizbang.event_store()
    encode = store.serializer.encode
    row = NewRow(type_name, schema, 0, encode(payload), encode(_METADATA), NOON)
    store.driver.append([RowsOfStream(stream, version - 1, [row])])


def insert_raw(stream: str, version: int, **columns: Any) -> StoredEvent:
    """A bare row, behind the driver's back: with a hole before it, or out of order."""
    facts: dict[str, Any] = {
        "type": "shop.OrderNoted",
        "schema": 1,
        "slice": 0,
        "payload": {"order_id": "1", "text": "raw"},
        "metadata": _METADATA,
        "occurred_at": NOON,
        "recorded_at": NOON,
    }
    if connection.vendor == "mysql" and "position" not in columns:
        with connection.cursor() as cursor:
            cursor.execute("SELECT whizbang_draw_positions(1)")
            facts["position"] = cursor.fetchone()[0]
    return StoredEvent.objects.create(stream=stream, version=version, **facts | columns)
