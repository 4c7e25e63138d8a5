"""How quickly do messages get from the outbox through RabbitMQ into another service, beside pika alone?"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

from benchmarks import databases, machine
from benchmarks.appenders.bare_psycopg import connect
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.options import Options
from benchmarks.relaying import celery_outbox, relays, services
from benchmarks.relaying.services import BENCH, FRONT
from benchmarks.report import Figure, Goal, Report, at_least, at_most

MIN_RELAYED, MIN_OF_BARE, MIN_OF_PEER, MIN_HANDLED = 10_000, 0.6, 8.0, 2_500
SEVERAL = (2, 4)  # relays that share an outbox
MAX_P50_MS, MAX_P99_MS = 20.0, 100.0
LATENCY_RATE = 200  # messages a second
NOTE = "x" * 300
_LOOK_SECONDS = 0.001
_PATIENCE_SECONDS = 300.0
_FRESH = "SELECT count(*) FROM bench_carttotal WHERE cart_id LIKE 'late-%'"
_HANDLED = "SELECT count(*) FROM bench_carttotal"


class Size(NamedTuple):
    """How many messages a round, and how long latency is looked at."""

    messages: int
    rounds: int
    seconds: float


DEFAULT, FULL, SMOKE = Size(20_000, 3, 10), Size(100_000, 5, 60), Size(200, 1, 0.5)


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second."""

    relayed: float
    by_several: dict[int, float]  # by the number of relays
    bare: float
    peer: float | None
    handled: float


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    absent = list(_note_absent())
    rounds: list[Round] = []
    latencies: list[float] = []
    versions = {}
    if not absent:
        rounds = [measure_round(size) for _ in range(size.rounds)]
        latencies = measure_latency(size)
        with databases.make("postgresql") as database:
            versions = {"postgresql": database.version}
    return Report(
        benchmark="relay",
        machine=machine.describe(**versions),
        figures=list(describe(rounds, latencies, size)) if rounds else [],
        goals=list(judge(rounds, latencies)),
        notes=[*absent, *_note_peer()],
    )


def _note_absent() -> Iterator[str]:
    yield from (note for note in databases.note_absent() if note.startswith("postgresql"))
    if not services.is_rabbitmq_there():
        yield "RabbitMQ does not answer, so nothing was measured and the goals count as not met"


def _note_peer() -> Iterator[str]:
    if not celery_outbox.is_there():
        yield "django-celery-outbox is not installed, so it was left out"


@contextmanager
def two_services() -> Iterator[tuple[Database, Database, str]]:
    """Databases of who sends and of who handles, and the prefix of their queues."""
    prefix = f"benchmark-{uuid4().hex[:8]}"
    with databases.make("postgresql") as front, databases.make("postgresql") as bench:
        try:
            yield front, bench, prefix
        finally:
            services.remove_queues(prefix)


def measure_round(size: Size) -> Round:
    with two_services() as (front, bench, prefix):
        bodies, relayed = run_in_child(relay, front, prefix, size.messages)
        bare = run_in_child(publish_bare, bodies, prefix)
        peer = measure_peer(prefix, size.messages // 10)
        handled = handle(bench, prefix, size.messages)
    by_several = {count: measure_several(count, size.messages) for count in SEVERAL}
    return Round(relayed, by_several, bare, peer, handled)


def measure_several(count: int, messages: int) -> float:
    with two_services() as (front, _bench, prefix):
        run_in_child(refill, front, prefix, messages)
        return relays.run(front, prefix, count, messages)


def refill(database: Database, prefix: str, count: int) -> None:
    services.set_up(database, FRONT, prefix)
    fill_outbox(count)


def measure_peer(prefix: str, count: int) -> float | None:
    """None where it is not installed."""
    if not celery_outbox.is_there():
        return None
    queue = f"{prefix}.peer"
    with databases.make("postgresql") as database:
        try:
            return run_in_child(celery_outbox.run, database, services.URL, queue, count, NOTE)
        finally:
            delete_queue(queue)


def relay(database: Database, prefix: str, count: int) -> tuple[list[bytes], float]:
    """What was sent, and how many a second one relay moved from the outbox to confirmed and marked."""
    services.set_up(database, FRONT, prefix)
    from whizbang.drivers.brokers.cloudevents import to_structured
    from whizbang.messaging.relay import Relay, _outgoing
    from whizbang.models import OutboxMessage
    from whizbang.store.event_store import event_store

    fill_outbox(count)
    rows = OutboxMessage.objects.order_by("id").iterator(chunk_size=1000)
    bodies = [to_structured(_outgoing(row)) for row in rows]
    mover = Relay(event_store(), "benchmark")
    left, started = count, perf_counter()
    while left:
        left -= mover.run_once()
        if perf_counter() - started > _PATIENCE_SECONDS:
            raise RuntimeError(f"{left} messages were not relayed.")
    seconds = perf_counter() - started
    mover.close()
    return bodies, count / seconds


def fill_outbox(count: int) -> None:
    from benchmarks.app.messages import CountCart

    commands = [CountCart(cart_id=f"cart-{n}", quantity=n, note=NOTE) for n in range(count)]
    for start in range(0, count, 1000):
        store(commands[start : start + 1000])


def store(commands: Sequence[Any]) -> None:
    """As a handler's context does: without a receipt that would ask for answers."""
    from django.db import transaction

    from whizbang import envelope
    from whizbang.messaging.queue import store_messages
    from whizbang.routing.verbs import check

    with transaction.atomic():
        store_messages([check(envelope(command)) for command in commands], using="default")


def publish_bare(bodies: Sequence[bytes], prefix: str) -> float:
    from benchmarks.relaying.bare_pika import BatchPublisher

    queue = f"{prefix}.bare"
    try:
        return BatchPublisher(services.URL, queue, bodies).run()
    finally:
        delete_queue(queue)


def delete_queue(queue: str) -> None:
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(services.URL))
    connection.channel().queue_delete(queue)
    connection.close()


def handle(database: Database, prefix: str, count: int) -> float:
    """Messages a second of one worker that receives, stores and handles what waits in its queue.

    From a tenth of them to the last: its start is not of interest.
    """
    run_in_child(services.set_up, database, BENCH, prefix)
    with services.running_worker(database, BENCH, prefix), connect(database.settings) as connection:
        first = _wait_for(connection, _HANDLED, count // 10)
        started = perf_counter()
        _wait_for(connection, _HANDLED, count)
        return (count - first) / (perf_counter() - started)


def _wait_for(connection: Any, sql: str, count: int) -> int:
    """Until there are so many; gives how many there are. Raises RuntimeError after a while."""
    deadline = perf_counter() + _PATIENCE_SECONDS
    while True:
        (found,) = connection.execute(sql).fetchone()
        if found >= count:
            return int(found)
        if perf_counter() > deadline:
            raise RuntimeError(f"{found} of {count} messages were handled.")
        time.sleep(_LOOK_SECONDS)


def measure_latency(size: Size) -> list[float]:
    """Seconds from the sender's commit to the commit of the handler in the other service."""
    with two_services() as (front, bench, prefix):
        for database, service in ((front, FRONT), (bench, BENCH)):
            run_in_child(services.set_up, database, service, prefix)
        with (
            services.running_worker(front, FRONT, prefix),
            services.running_worker(bench, BENCH, prefix),
        ):
            return run_in_child(send_paced, front, bench, prefix, size.seconds)


def send_paced(front: Database, bench: Database, prefix: str, seconds: float) -> list[float]:
    services.set_up(front, FRONT, prefix)
    from benchmarks.app.messages import CountCart

    with connect(bench.settings) as connection:
        store([CountCart(cart_id="first", quantity=1)])
        _wait_for(connection, _HANDLED, 1)  # both are at work
        found: list[float] = []
        waiting: deque[float] = deque()
        started, sent = perf_counter(), 0
        while sent < LATENCY_RATE * seconds or waiting:
            now = perf_counter()
            if sent < LATENCY_RATE * seconds and now >= started + sent / LATENCY_RATE:
                store([CountCart(cart_id=f"late-{sent}", quantity=1, note=NOTE)])
                waiting.append(perf_counter())
                sent += 1
            (arrived,) = connection.execute(_FRESH).fetchone()
            now = perf_counter()
            while len(found) < arrived:
                found.append(now - waiting.popleft())
            if now - started > seconds + _PATIENCE_SECONDS:
                raise RuntimeError(f"{len(waiting)} messages did not arrive.")
            time.sleep(_LOOK_SECONDS)
    return found


def describe(rounds: Sequence[Round], latencies: Sequence[float], size: Size) -> Iterator[Figure]:
    table = f"{size.messages:,} messages, RabbitMQ and postgresql"
    bare = median(r.bare for r in rounds)
    several = {
        f"outbox to confirmed and marked, {count} relays": [r.by_several[count] for r in rounds]
        for count in SEVERAL
    }
    for name, rates in {
        "outbox to confirmed and marked, one relay": [r.relayed for r in rounds],
        **several,
        "pika alone, a list to confirmed": [r.bare for r in rounds],
        "django-celery-outbox with confirms, one relay": _peers(rounds),
        "queue to handled, one worker": [r.handled for r in rounds],
    }.items():
        if not rates:
            continue
        rate = median(rates)
        yield Figure(
            table=table,
            name=name,
            values={"messages_per_second": round(rate), "of_pika_alone": rate / bare},
        )
    yield Figure(
        table=f"from commit to the other service's commit, {size.seconds:g} s",
        name=f"{LATENCY_RATE} messages/s",
        values={
            "p50_ms": median(latencies) * 1e3,
            "p99_ms": quantiles(latencies, n=100)[-1] * 1e3,
            "most_ms": max(latencies) * 1e3,
        },
    )


def _peers(rounds: Sequence[Round]) -> list[float]:
    return [r.peer for r in rounds if r.peer is not None]


def judge(rounds: Sequence[Round], latencies: Sequence[float]) -> Iterator[Goal]:
    relayed = median(r.relayed for r in rounds) if rounds else None
    ratio = median(r.relayed / r.bare for r in rounds) if rounds else None
    handled = median(r.handled for r in rounds) if rounds else None
    yield at_least("outbox to confirmed, one relay", relayed, MIN_RELAYED, " messages/s")
    yield at_least("the same over pika alone", ratio, MIN_OF_BARE)
    peers = [r.relayed / r.peer for r in rounds if r.peer is not None]
    yield at_least(
        "the same over django-celery-outbox with confirms",
        median(peers) if peers else None,
        MIN_OF_PEER,
    )
    yield at_least("queue to handled, one worker", handled, MIN_HANDLED, " messages/s")
    p50 = median(latencies) * 1e3 if latencies else None
    p99 = quantiles(latencies, n=100)[-1] * 1e3 if latencies else None
    yield at_most(f"end to end at {LATENCY_RATE}/s, p50", p50, MAX_P50_MS, " ms")
    yield at_most(f"end to end at {LATENCY_RATE}/s, p99", p99, MAX_P99_MS, " ms")
