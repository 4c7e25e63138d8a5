"""By sqlite3 on a connection of its own, with the same journal and synchronous settings."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

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
from benchmarks.databases import SQLITE_PRAGMAS

READ = "SELECT version, type, payload FROM whizbang_event WHERE stream = ? ORDER BY version"
APPEND = """
INSERT INTO whizbang_event
    (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING position
"""
LOCK = """
SELECT cart_id, customer_id, items, quantity, total, changed_at
FROM bench_cartsummary WHERE cart_id = ?
"""
UPDATE = """
UPDATE bench_cartsummary SET items = ?, quantity = ?, total = ?, changed_at = ? WHERE cart_id = ?
"""

DECODE_ADDED = msgspec.msgpack.Decoder(ItemAdded).decode
DECODE_OPENED = msgspec.msgpack.Decoder(CartOpened).decode


class SqliteForm(Form):
    name = "sqlite3 by hand"

    def __init__(self, database: dict[str, Any]) -> None:
        self._connection = sqlite3.connect(database["NAME"], isolation_level=None)
        self._connection.executescript(SQLITE_PRAGMAS)
        # As Django sets it on every connection.
        self._connection.execute("PRAGMA foreign_keys = ON")

    def add_item(self, cart_id: str) -> int:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        # The connection commits or rolls back when the block ends.
        with connection:
            state = _read(connection, cart_id)
            check_room(state)
            now = str(datetime.now(UTC).replace(tzinfo=None))
            _append(connection, cart_id, state, now)
            _update(connection, cart_id, now)
            return state.quantity + QUANTITY

    def count_statements(self, cart_id: str) -> int:
        sent: list[str] = []
        self._connection.set_trace_callback(sent.append)
        self.add_item(cart_id)
        self._connection.set_trace_callback(None)
        return len(sent)

    def close(self) -> None:
        self._connection.close()


def _read(connection: sqlite3.Connection, cart_id: str) -> CartState:
    state = CartState()
    for version, type_name, payload in connection.execute(READ, [stream_of(cart_id)]).fetchall():
        state.version = version
        if type_name == EVENT_TYPE:
            event = DECODE_ADDED(payload)
            state.quantity += event.quantity
            state.total += event.amount
        else:
            DECODE_OPENED(payload)
    return state


def _append(connection: sqlite3.Connection, cart_id: str, state: CartState, now: str) -> None:
    stream = stream_of(cart_id)
    payload = msgspec.msgpack.encode(make_payload(cart_id))
    metadata = msgspec.msgpack.encode(make_metadata())
    version, number = state.version + 1, slice_of(stream)
    values = [stream, version, EVENT_TYPE, SCHEMA, number, payload, metadata, now, now]
    connection.execute(APPEND, values).fetchone()


def _update(connection: sqlite3.Connection, cart_id: str, now: str) -> None:
    row = connection.execute(LOCK, [cart_id]).fetchone()
    if row is None:
        raise LookupError(f"Cart {cart_id} has no row.")
    _, _, items, quantity, total, _ = row
    # Django keeps a decimal as text there, which the column's affinity makes a number.
    new_total = str(Decimal(str(total)) + AMOUNT)
    connection.execute(UPDATE, [items + 1, quantity + QUANTITY, new_total, now, cart_id])
