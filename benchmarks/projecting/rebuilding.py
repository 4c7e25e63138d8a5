"""The same read model from the same log: by a rebuild, and by the loop that one would write by hand."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from benchmarks import site
from benchmarks.appenders.bare_psycopg import connect
from benchmarks.databases import Database

ROUNDS_OF_KEYS = 20  # events a cart
BY_HAND = "cart_total_by_hand"
_FETCHED = 5000
_LOOK_SECONDS = 0.002
_PATIENCE_SECONDS = 60.0
_COLUMNS = "cart_id, items, quantity, total, changed_at"
_EVENTS = """
SELECT payload::text, occurred_at FROM whizbang_event WHERE type = 'bench.ItemAdded' ORDER BY position
"""


class Rebuilt(NamedTuple):
    seconds: float
    events: int


def fill_log(count: int, *, keys: int | None = None) -> None:
    """So many events, cart by cart and round by round, as carts are filled at the same time.

    `keys` carts, or as many as get ROUNDS_OF_KEYS events each.
    """
    import whizbang

    whizbang.event_store().import_events(make_events(count, keys or count // ROUNDS_OF_KEYS))


def settle_table() -> None:
    """What the server would do to a table that was just filled, at a moment of its own: not while we measure."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) whizbang_event")


def make_events(count: int, keys: int) -> Iterator[tuple[str, Any]]:
    from benchmarks.app.messages import ItemAdded

    for number in range(count):
        cart_id = f"cart-{number % keys}"
        amount = Decimal(number % 900 + 100) / 100
        yield (
            f"bench.Cart-{cart_id}",
            ItemAdded(cart_id=cart_id, sku=f"sku-{number % 97}", quantity=2, amount=amount),
        )


def rebuild(name: str) -> Rebuilt:
    """Ours, in this process. Raises RuntimeError when it did not end well."""
    from whizbang.operations.rebuild import rebuild_here, request_rebuild

    started = perf_counter()
    run, _ = request_rebuild(name, reason="benchmark")
    run = rebuild_here(run)
    if run.status != run.Status.DONE:
        raise RuntimeError(f"The rebuild is {run.status}: {run.error}")
    return Rebuilt(perf_counter() - started, run.events)


def rebuild_together(name: str) -> Rebuilt:
    """In two shares, by this process and by whichever other one runs do_shares()."""
    from whizbang.operations.rebuild import request_rebuild

    started = perf_counter()
    run, _ = request_rebuild(name, reason="benchmark", shares=2)
    part = _part()
    while run.status in (run.Status.REQUESTED, run.Status.RUNNING):
        if not part.run_once():
            time.sleep(_LOOK_SECONDS)
        run.refresh_from_db()
    if run.status != run.Status.DONE:
        raise RuntimeError(f"The rebuild is {run.status}: {run.error}")
    return Rebuilt(perf_counter() - started, run.events)


@contextmanager
def helping_process(database: Database) -> Iterator[None]:
    """Another process that takes shares of whatever rebuild is requested."""
    context = multiprocessing.get_context("spawn")
    is_ready, is_stopping = context.Event(), context.Event()
    process = context.Process(target=_help, args=(database, is_ready, is_stopping), daemon=True)
    process.start()
    if not is_ready.wait(_PATIENCE_SECONDS):
        raise RuntimeError("The process that was to help did not start.")
    try:
        yield
    finally:
        is_stopping.set()
        process.join(_PATIENCE_SECONDS)


def _help(database: Database, is_ready: Any, is_stopping: Any) -> None:
    site.set_up(database)
    part = _part()
    is_ready.set()
    while not is_stopping.is_set():
        if not part.run_once():
            time.sleep(_LOOK_SECONDS)


def _part() -> Any:
    from whizbang.operations.rebuild import RebuildPart
    from whizbang.store.event_store import event_store
    from whizbang.subscriptions.leases import make_owner

    return RebuildPart(event_store(), make_owner())


class _Payload(msgspec.Struct):
    """What the loop needs of an event; msgspec skips the rest."""

    cart_id: str
    quantity: int
    amount: Decimal


def fold_by_hand(database: dict[str, Any]) -> Rebuilt:
    """A server-side cursor, a dict of lists, and COPY in one transaction."""
    from psycopg.types.string import ByteaBinaryLoader

    decode = msgspec.json.Decoder(_Payload).decode
    rows: dict[str, list[Any]] = {}
    events = 0
    started = perf_counter()
    with connect(database) as connection, connection.transaction():
        with connection.cursor("events", binary=True) as cursor:
            cursor.itersize = _FETCHED
            cursor.adapters.register_loader("text", ByteaBinaryLoader)
            for payload, occurred_at in cursor.execute(_EVENTS):
                event = decode(payload)
                row = rows.get(event.cart_id)
                if row is None:
                    row = rows[event.cart_id] = [event.cart_id, 0, 0, Decimal(0), None]
                row[1] += 1
                row[2] += event.quantity
                row[3] += event.amount
                row[4] = occurred_at
                events += 1
        connection.execute(f"DELETE FROM {BY_HAND}")
        with connection.cursor().copy(f"COPY {BY_HAND} ({_COLUMNS}) FROM STDIN") as copy:
            for row in rows.values():
                copy.write_row(row)
    return Rebuilt(perf_counter() - started, events)


def create_table(database: dict[str, Any]) -> None:
    with connect(database) as connection:
        connection.execute(f"CREATE TABLE {BY_HAND} (LIKE bench_carttotal INCLUDING ALL)")


def check_alike(database: dict[str, Any]) -> None:
    """Raises RuntimeError unless both ways ended with the same rows."""
    with connect(database) as connection:
        differing = connection.execute(
            f"SELECT count(*) FROM (SELECT {_COLUMNS} FROM bench_carttotal EXCEPT"
            f" SELECT {_COLUMNS} FROM {BY_HAND}) AS d"
        ).fetchone()
        sizes = connection.execute(
            f"SELECT (SELECT count(*) FROM bench_carttotal), (SELECT count(*) FROM {BY_HAND})"
        ).fetchone()
    if differing != (0,) or sizes is None or sizes[0] != sizes[1]:
        raise RuntimeError(f"The two read models differ: {differing} rows, {sizes} in all.")
