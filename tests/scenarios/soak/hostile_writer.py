"""A process of hostile writers for PostgreSQL: threads that append in every way there is, at full speed.

`python -m tests.scenarios.soak.hostile_writer NUMBER THREADS` writes until its standard input ends, then
prints how much it stored. Its sessions may be ended from outside at any moment.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import django
from django.db import DatabaseError, connection, connections, transaction

COPY = """
    COPY whizbang_event
        (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
    FROM STDIN
"""
DRAW = "SELECT nextval(pg_get_serial_sequence('whizbang_event', 'position'))"
INSERT_AT = """
    INSERT INTO whizbang_event
        (position, stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
    VALUES (%s, %s, 1, 't.A', 1, 1, '{}', '{}', now(), clock_timestamp())
"""


class Undone(Exception):
    """Takes a transaction or savepoint back on purpose."""


class HostileWriter:
    """One thread: random appends, each by one of the ways below, until `stop` is set."""

    def __init__(self, number: int, counts: Counter[str]) -> None:
        from whizbang.drivers.stores.postgres import PostgresStore

        self._store = PostgresStore(using="default")
        self._number = number
        self._counts = counts
        self._chance = random.Random(number)
        self._is_hurried = number % 3 > 0  # two of three never wait inside a transaction
        self._streams = 0
        self._attempted = 0

    def run(self, stop: threading.Event) -> None:
        from whizbang.exceptions import ConcurrencyError

        ways, weights = zip(*self._ways(), strict=True)
        while not stop.is_set():
            self._attempted = 0
            way = self._chance.choices(ways, weights)[0]
            try:
                self._counts["stored"] += way()
            except ConcurrencyError:
                self._counts["refused"] += 1
            except DatabaseError:  # the session was ended or its statement cancelled
                self._counts["interrupted"] += 1
                self._counts["unknown"] += self._attempted
                connection.close()

    def _ways(self) -> Sequence[tuple[Callable[[], int], int]]:
        return [
            (self.append_one, 30),
            (self.append_slowly, 15),
            (self.append_batch, 5),
            (self.append_to_shared_stream, 10),
            (self.append_with_stale_version, 3),
            (self.copy_batch, 4),
            (self.draw_and_insert_later, 6),
            (self.roll_back, 8),
            (self.roll_back_savepoint, 10),
        ]

    def append_one(self) -> int:
        self._append(self._new_stream(), 1)
        return 1

    def append_slowly(self) -> int:
        count = self._chance.randint(1, 4)
        with transaction.atomic():
            for _ in range(count):
                self._append(self._new_stream(), 1)
                self._pause()
        return count

    def append_batch(self) -> int:
        count = self._chance.choice([10, 50, 200])
        self._append(self._new_stream(), count)
        return count

    def append_to_shared_stream(self) -> int:
        self._append(f"soak.Shared-{self._chance.randint(1, 50)}", 1, expected=None)
        return 1

    def append_with_stale_version(self) -> int:
        self._append(f"soak.Shared-{self._chance.randint(1, 50)}", 1, expected=0)
        return 1

    def copy_batch(self) -> int:
        """Positions come from the column's default while the rows stream in."""
        count, stream = self._chance.choice([10, 100]), self._new_stream()
        with transaction.atomic():
            connection.ensure_connection()
            self._attempted += count
            with connection.wrap_database_errors, connection.connection.cursor() as cursor:
                with cursor.copy(COPY) as copy:
                    for version in range(1, count + 1):
                        now = "2026-01-01T00:00:00Z"
                        copy.write_row((stream, version, "t.A", 1, 1, "{}", "{}", now, now))
            self._pause()
        return count

    def draw_and_insert_later(self) -> int:
        """No lock on the table is held between the two statements."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(DRAW)
            position = cursor.fetchone()[0]
            time.sleep(self._chance.choice([0, 0.002, 0.02, 0.1]))
            self._attempted += 1
            cursor.execute(INSERT_AT, [position, self._new_stream()])
        return 1

    def roll_back(self) -> int:
        try:
            with transaction.atomic():
                self._append(self._new_stream(), self._chance.randint(1, 5))
                self._pause()
                self._attempted = 0
                raise Undone
        except Undone:
            return 0

    def roll_back_savepoint(self) -> int:
        with transaction.atomic():
            self._append_undone()
            self._pause()
            self._append(self._new_stream(), 1)
            self._append_undone()
            # A savepoint that could not be rolled back takes the transaction with it, without an error.
            return 0 if transaction.get_rollback() else 1

    def _append_undone(self) -> None:
        try:
            with transaction.atomic():
                self._append(self._new_stream(), 2)
                raise Undone
        except Undone:
            self._attempted -= 2

    def _append(self, stream: str, count: int, expected: int | None = 0) -> None:
        from tests.drivers.stores.rows import append
        from whizbang.drivers.stores.base import ANY

        self._attempted += count
        append(self._store, stream, count, ANY if expected is None else expected)

    def _new_stream(self) -> str:
        self._streams += 1
        return f"soak.Writer{self._number}-{self._streams}"

    def _pause(self) -> None:
        if not self._is_hurried:
            time.sleep(self._chance.choice([0, 0.0005, 0.002, 0.02]))


def main(first_number: int, thread_count: int) -> None:
    stop, counts = threading.Event(), [Counter[str]() for _ in range(thread_count)]
    errors: list[BaseException] = []

    def write(index: int) -> None:
        try:
            HostileWriter(first_number + index, counts[index]).run(stop)
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(index,)) for index in range(thread_count)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    print(json.dumps(sum(counts, Counter())))


if __name__ == "__main__":
    django.setup()
    os.nice(10)  # a reader that falls behind meets no open writer and proves nothing
    main(int(sys.argv[1]), int(sys.argv[2]))
