"""Rows for tests of the drivers themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Barrier, Thread
from typing import Any

import msgspec
from django.db import connections

from whizbang.drivers.stores.base import ANY, EventStoreDriver, Expected, NewRow, RowsOfStream


def make_rows(store: EventStoreDriver, count: int = 1) -> list[NewRow]:
    encode = msgspec.json.encode if store.supports_json else msgspec.msgpack.encode
    return [NewRow("t.A", 1, 1, encode({}), encode({}), datetime.now(UTC))] * count


def append(
    store: EventStoreDriver, stream: str, count: int = 1, expected: Expected = ANY
) -> list[int]:
    (places,) = store.append([RowsOfStream(stream, expected, make_rows(store, count))])
    return [place.version for place in places]


def run_together(count: int, action: Callable[[int], Any]) -> list[Any]:
    """Results, or the errors, of `action(number)` in threads that begin at the same time."""
    results: list[Any] = [None] * count
    start = Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait(10)
            results[number] = action(number)
        except Exception as exc:
            results[number] = exc
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
