"""Cleaning up a long inbox and outbox while somebody publishes: how long writers wait for it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.synchronize import Event
from statistics import quantiles
from typing import Any, NamedTuple

from benchmarks import databases, site
from benchmarks.databases import Database

PACE_SECONDS = 0.002  # between two messages of the writer
BEFORE, DURING = 0, 1


class Cleaned(NamedTuple):
    """What one database made of it; times in seconds."""

    version: str
    rows: int
    cleaned: int
    seconds: float
    steps: int
    longest_step: float
    p99_before: float
    p99_during: float


class Writer:
    """A process of its own that publishes, and times each publish in the phase that it began in."""

    def __init__(self, database: Database) -> None:
        context = multiprocessing.get_context("spawn")
        self.phase: Any = context.Value("i", BEFORE)
        self.begun, self.stop = context.Event(), context.Event()
        self._receiver, sender = context.Pipe(duplex=False)
        arguments = (database, self.phase, self.begun, self.stop, sender)
        self._process = context.Process(target=publish_until, args=arguments, daemon=True)

    def start(self) -> None:
        self._process.start()
        while not self.begun.wait(1):
            if not self._process.is_alive():
                raise RuntimeError("The writer did not begin: see its traceback above.")

    def end(self) -> tuple[list[float], list[float]]:
        """The seconds of its publishes before and during the cleanup."""
        self.stop.set()
        if not self._receiver.poll(60):
            raise RuntimeError("The writer told nothing: see its traceback above.")
        found: tuple[list[float], list[float]] = self._receiver.recv()
        self._process.join()
        return found


def publish_until(database: Database, phase: Any, begun: Event, stop: Event, sender: Any) -> None:
    if database.vendor == "mariadb":
        databases.mysql_driver()  # in this process too, before Django looks for it
    site.set_up(database)
    import whizbang
    from benchmarks.app.messages import DoNothing

    def publish() -> float:
        started = time.perf_counter()
        whizbang.publish(DoNothing(order_id="1", quantity=1, amount=Decimal(1)))
        return time.perf_counter() - started

    for _ in range(50):
        publish()
    begun.set()
    taken: tuple[list[float], list[float]] = ([], [])
    while not stop.is_set():
        taken[phase.value].append(publish())
        time.sleep(PACE_SECONDS)
    sender.send(taken)


def measure_cleanup(vendor: str, rows: int, seconds_before: float, most_seconds: float) -> Cleaned:
    """Half of the rows in the inbox, half in the outbox, all of them old.

    It leaves most of its time to writers, so that millions of rows take it hours: each table is cleaned for
    `most_seconds`, and what is left stays.
    """
    with databases.make(vendor) as database:
        site.set_up(database)
        fill(vendor, rows // 2)
        from whizbang.operations.cleanup import sweeps_of

        writer = Writer(database)
        writer.start()
        time.sleep(seconds_before)
        writer.phase.value = DURING
        started = time.perf_counter()
        steps = [
            step for sweep in sweeps_of("default") for step in steps_within(most_seconds, sweep)
        ]
        seconds = time.perf_counter() - started
        before, during = writer.end()
    cleaned = sum(count for count, _ in steps)
    if cleaned != rows // 2 * 2 and seconds < most_seconds:
        raise RuntimeError(f"{cleaned} rows were removed of {rows}.")
    return Cleaned(
        version=database.version,
        rows=rows,
        cleaned=cleaned,
        seconds=seconds,
        steps=len(steps),
        longest_step=max(took for _, took in steps),
        p99_before=p99(before),
        p99_during=p99(during),
    )


def steps_within(seconds: float, sweep: Any) -> Iterator[tuple[int, float]]:
    """Its steps until it is done, or has had its time."""
    deadline = time.perf_counter() + seconds
    for step in sweep.run():
        yield step
        if time.perf_counter() > deadline:
            return


def p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[-1] if len(values) > 1 else 0.0


def fill(vendor: str, count: int) -> None:
    """Rows by statements of a million each: a month old, a hundred a second, with ids in order of time."""
    from django.db import connection

    from whizbang.models import InboxMessage, OutboxMessage

    inbox = {"status": "'handled'", "mode": "'durable'", "payload_hash": blob(vendor, 16)}
    outbox = {"kind": "'command'", "payload": blob(vendor, 200), "metadata": blob(vendor, 200)}
    chunk = 1_000_000
    for model, values, column in (
        (InboxMessage, inbox, "finished_at"),
        (OutboxMessage, outbox, "published_at"),
    ):
        for start in range(0, count, chunk):
            statement = insert(vendor, model, {**values, column: old(vendor)})
            with connection.cursor() as cursor:
                cursor.execute(statement.format(first=start + 1, last=min(start + chunk, count)))
    with connection.cursor() as cursor:
        tables = "whizbang_inbox, whizbang_outbox"
        mariadb = f"ANALYZE TABLE {tables}"
        cursor.execute({"postgresql": "VACUUM ANALYZE", "mariadb": mariadb}.get(vendor, "ANALYZE"))


def insert(vendor: str, model: Any, values: dict[str, str]) -> str:
    """A statement whose numbers run from {first} to {last}; columns without a value are empty."""
    from django.db import connection

    common = {
        "service": "'default'",
        "message_id": NUMBERED[vendor].id,
        "type": "'bench.DoNothing'",
        "schema": "1",
        "occurred_at": old(vendor),
        "available_at": old(vendor),
        "attempts": "1",
        "priority": "0",
        "lane": "0",
    }
    empty = {"error", "traceback", "reply_to"}
    columns: dict[str, str] = {}
    for f in model._meta.concrete_fields:
        if not f.primary_key:
            default = "''" if f.column in empty else "NULL"
            columns[f.column] = values.get(f.column) or common.get(f.column, default)
    names = ", ".join(map(connection.ops.quote_name, columns))
    selected = ", ".join(columns.values())
    return NUMBERED[vendor].insert.format(
        table=model._meta.db_table, names=names, selected=selected, first="{first}", last="{last}"
    )


class Numbered(NamedTuple):
    """How a product makes rows from numbers `n`, a message id of n, and an instant n/100 s into a month ago."""

    insert: str
    id: str
    at: str
    blob: str


NUMBERED = {
    "postgresql": Numbered(
        "INSERT INTO {table} ({names}) SELECT {selected} FROM generate_series({first}, {last}) AS s(n)",
        "lpad(to_hex(n), 32, '0')::uuid",
        "now() - interval '30 days' + n * interval '10 ms'",
        "decode(repeat('61', {bytes}), 'hex')",
    ),
    "sqlite": Numbered(
        "WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) "
        "INSERT INTO {table} ({names}) SELECT {selected} FROM s",
        "printf('%032x', n)",
        "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-30 days', (n / 100.0) || ' seconds')",
        "CAST(printf('%.{bytes}c', 'a') AS BLOB)",
    ),
    "mariadb": Numbered(
        "INSERT INTO {table} ({names}) SELECT {selected} FROM "
        "(SELECT seq AS n FROM seq_{first}_to_{last}) AS s",
        "LPAD(HEX(n), 32, '0')",
        "NOW(6) - INTERVAL 30 DAY + INTERVAL n * 10000 MICROSECOND",
        "REPEAT('a', {bytes})",
    ),
}


def old(vendor: str) -> str:
    return NUMBERED[vendor].at


def blob(vendor: str, size: int) -> str:
    return NUMBERED[vendor].blob.replace("{bytes}", str(size))
