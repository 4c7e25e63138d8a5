"""A process that appends to SQLite in every way there is, beside others like it.

`python -m tests.scenarios.soak.sqlite_writer NUMBER KIND` writes until its standard input ends, then prints
how much it stored. KIND is `driver`, or `allocator`: positions drawn from a counter before the transaction
that uses them, which is what the driver's own order must not be.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import django
from django.db import OperationalError, connection, transaction

INSERT_AT = """
    INSERT INTO whizbang_event
        (position, stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
    VALUES (%s, %s, 1, 't.A', 1, 1, x'80', x'80', '2026-01-01', '2026-01-01')
"""


class Undone(Exception):
    """Takes a transaction or savepoint back on purpose."""


class SqliteWriter:
    """Random appends, each by one of the ways below, until `stop` is set."""

    def __init__(self, number: int) -> None:
        from whizbang.drivers.stores.sqlite import SqliteStore

        self._store = SqliteStore(using="default")
        self._number, self._streams = number, 0
        self._chance = random.Random(number)

    def run(self, kind: str, stop: threading.Event) -> Counter[str]:
        from whizbang.exceptions import ConcurrencyError

        counts = Counter[str]()
        while not stop.is_set():
            try:
                counts["stored"] += self._chance.choice(self._ways(kind))()
            except ConcurrencyError:
                counts["refused"] += 1
            except OperationalError as exc:
                if "locked" not in str(exc):
                    raise
                counts["locked"] += 1
        return counts

    def _ways(self, kind: str) -> list[Callable[[], int]]:
        if kind == "allocator":
            return [self.draw_and_insert_later]
        return [self.append_one, self.append_shared, self.append_several, self.append_undone]

    def append_one(self) -> int:
        self._append(self._new_stream(), 1)
        return 1

    def append_shared(self) -> int:
        self._append("soak.Shared-1", 1, expected=self._store.stream_version("soak.Shared-1"))
        return 1

    def append_several(self) -> int:
        with transaction.atomic():
            self._append(self._new_stream(), 10)
            self._pause()
            try:
                with transaction.atomic():
                    self._append(self._new_stream(), 3)
                    raise Undone
            except Undone:
                self._append(self._new_stream(), 2)
        return 12

    def append_undone(self) -> int:
        try:
            with transaction.atomic():
                self._append(self._new_stream(), 2)
                self._pause()
                raise Undone
        except Undone:
            return 0

    def draw_and_insert_later(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE soak_counter SET value = value + 1 RETURNING value")
            position = cursor.fetchone()[0]
            self._pause()
            cursor.execute(INSERT_AT, [position, self._new_stream()])
        return 1

    def _append(self, stream: str, count: int, expected: int = 0) -> None:
        from tests.drivers.stores.rows import append

        append(self._store, stream, count, expected)

    def _new_stream(self) -> str:
        self._streams += 1
        return f"soak.Writer{self._number}-{self._streams}"

    def _pause(self) -> None:
        time.sleep(self._chance.choice([0, 0.0005, 0.002]))


def main(number: int, kind: str) -> None:
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    print(json.dumps(SqliteWriter(number).run(kind, stop)))


if __name__ == "__main__":
    django.setup()
    os.nice(10)
    main(int(sys.argv[1]), sys.argv[2])
