"""Events that no class of today would write, put into the log by the driver."""

from __future__ import annotations

import whizbang
from tests.shop.messages import NOON
from whizbang.drivers.stores.base import NewRow, RowsOfStream

_ID = "018f0000-0000-7000-8000-000000000000"


def append_raw(
    stream: str, type_name: str, payload: object, *, version: int = 1, schema: int = 1
) -> None:
    store = whizbang.event_store()
    encode = store.serializer.encode
    metadata = encode({"message_id": _ID, "correlation_id": _ID})
    row = NewRow(type_name, schema, 0, encode(payload), metadata, NOON)
    store.driver.append([RowsOfStream(stream, version - 1, [row])])
