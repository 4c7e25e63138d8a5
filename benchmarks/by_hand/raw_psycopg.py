"""By psycopg on a connection of its own with psycopg's own defaults, which prepare statements.

Payloads are decoded typed, by msgspec from the text of the document: the quickest way there is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from benchmarks.app.messages import CartOpened, ItemAdded
from benchmarks.by_hand.base import (
    AMOUNT,
    EVENT_TYPE,
    QUANTITY,
    SCHEMA,
    CartState,
    Form,
    check_room,
    make_metadata,
    make_payload,
    slice_of,
    stream_of,
)

READ = "SELECT version, type, payload::text FROM whizbang_event WHERE stream = %s ORDER BY version"
APPEND = """
INSERT INTO whizbang_event
    (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, clock_timestamp())
RETURNING position
"""
LOCK = """
SELECT cart_id, customer_id, items, quantity, total, changed_at
FROM bench_cartsummary WHERE cart_id = %s FOR UPDATE
"""
UPDATE = """
UPDATE bench_cartsummary SET items = %s, quantity = %s, total = %s, changed_at = %s
WHERE cart_id = %s
"""

DECODE_ADDED = msgspec.json.Decoder(ItemAdded).decode
DECODE_OPENED = msgspec.json.Decoder(CartOpened).decode


class CountingCursor(psycopg.Cursor[Any]):
    """Counts the statements of all its instances."""

    executed = 0

    def execute(self, *args: Any, **kwargs: Any) -> CountingCursor:
        CountingCursor.executed += 1
        return super().execute(*args, **kwargs)


class PsycopgForm(Form):
    name = "psycopg by hand"

    def __init__(self, database: dict[str, Any]) -> None:
        self._connection = psycopg.connect(
            dbname=database["NAME"],
            host=database["HOST"],
            port=database["PORT"],
            user=database["USER"],
            password=database["PASSWORD"],
            autocommit=True,
        )

    def add_item(self, cart_id: str) -> int:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            state = _read(cursor, cart_id)
            check_room(state)
            now = datetime.now(UTC)
            _append(cursor, cart_id, state, now)
            _update(cursor, cart_id, now)
            return state.quantity + QUANTITY

    def count_statements(self, cart_id: str) -> int:
        usual, CountingCursor.executed = self._connection.cursor_factory, 0
        self._connection.cursor_factory = CountingCursor
        self.add_item(cart_id)
        self._connection.cursor_factory = usual
        # `transaction()` sends its BEGIN and COMMIT without a cursor.
        return CountingCursor.executed + 2

    def close(self) -> None:
        self._connection.close()


def _read(cursor: psycopg.Cursor[Any], cart_id: str) -> CartState:
    state = CartState()
    for version, type_name, payload in cursor.execute(READ, [stream_of(cart_id)]).fetchall():
        state.version = version
        if type_name == EVENT_TYPE:
            event = DECODE_ADDED(payload)
            state.quantity += event.quantity
            state.total += event.amount
        else:
            DECODE_OPENED(payload)
    return state


def _append(cursor: psycopg.Cursor[Any], cart_id: str, state: CartState, now: datetime) -> None:
    stream = stream_of(cart_id)
    payload = msgspec.json.encode(make_payload(cart_id)).decode()
    metadata = msgspec.json.encode(make_metadata()).decode()
    version, number = state.version + 1, slice_of(stream)
    values = [stream, version, EVENT_TYPE, SCHEMA, number, payload, metadata, now]
    cursor.execute(APPEND, values).fetchone()


def _update(cursor: psycopg.Cursor[Any], cart_id: str, now: datetime) -> None:
    row = cursor.execute(LOCK, [cart_id]).fetchone()
    if row is None:
        raise LookupError(f"Cart {cart_id} has no row.")
    _, _, items, quantity, total, _ = row
    cursor.execute(UPDATE, [items + 1, quantity + QUANTITY, total + AMOUNT, now, cart_id])
