"""How quickly a projection is rebuilt, and how closely it follows, against a loop written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks import databases, machine, site
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.measuring import Series, interleave
from benchmarks.options import Options
from benchmarks.projecting import capacity, following, growth, rebuilding
from benchmarks.projecting.capacity import Capacity
from benchmarks.projecting.following import Latencies
from benchmarks.projecting.growth import Grown
from benchmarks.projecting.rebuilding import Rebuilt
from benchmarks.report import Figure, Goal, Report, at_least, at_most

PROJECTION = "bench.CartTotals"
OURS, BY_HAND, PEER = "rebuild", "loop by hand", "eventsourcing's runner"
TOGETHER = "rebuild by two processes"

MIN_OF_HAND = 0.6
MAX_P50_MS, MAX_P99_MS = 15.0, 60.0
MAX_LAG_SECONDS = 1.0
MIN_OF_PACE = 0.95
SLOW, FAST = 500, 2000  # events a second
FAST_BATCH = 4


class Size(NamedTuple):
    """How many events there are, and how long the worker is watched."""

    events: int
    rounds: int
    follow_seconds: float
    peer_events: int
    backlog: int  # that one worker alone catches up with
    capacity_rounds: int = 1
    writing_seconds: float = 3.0
    growth: Sequence[int] = ()
    growth_rounds: int = 1


DEFAULT = Size(events=100_000, rounds=3, follow_seconds=10, peer_events=2_000, backlog=100_000)
FULL = Size(
    events=1_000_000,
    rounds=3,
    follow_seconds=60,
    peer_events=20_000,
    backlog=200_000,
    capacity_rounds=3,
    growth=(100_000, 1_000_000, 5_000_000),
    growth_rounds=3,
)
SMOKE = Size(
    events=200,
    rounds=2,
    follow_seconds=0.5,
    peer_events=40,
    backlog=200,
    writing_seconds=0.05,
    growth=(100, 300),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    version: str
    size: Size
    rebuilt: dict[str, Series]  # seconds an event
    slow: Latencies
    fast: Latencies
    peer_rate: float | None
    capacity: Sequence[Capacity]
    growth: Sequence[Grown]


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    if options.events:
        size = size._replace(growth=options.events)
    found = measure(size) if databases.is_available("postgresql") else None
    versions = {} if found is None else {"postgresql": found.version}
    missing = found is not None and found.peer_rate is None
    return Report(
        benchmark="project",
        machine=machine.describe(**versions),
        figures=[] if found is None else list(describe(found)),
        goals=list(judge(found)),
        notes=[
            *(n for n in databases.note_absent() if n.startswith("postgresql")),
            *(
                [f"not installed, so left out: {PEER} (pip install -r requirements/benchmarks.txt)"]
                if missing
                else []
            ),
        ],
    )


def measure(size: Size) -> Measured:
    with databases.make("postgresql") as database:
        rebuilt = run_in_child(measure_rebuild, database, size)
        slow, fast = run_in_child(measure_following, database, size)
    return Measured(
        version=database.version,
        size=size,
        rebuilt=rebuilt,
        slow=slow,
        fast=fast,
        peer_rate=measure_peer(size.peer_events),
        capacity=capacity.measure(
            size.backlog, rounds=size.capacity_rounds, writing_seconds=size.writing_seconds
        ),
        growth=growth.measure(PROJECTION, size.growth, rounds=size.growth_rounds),
    )


def measure_rebuild(database: Database, size: Size) -> dict[str, Series]:
    site.set_up(database)
    rebuilding.fill_log(size.events)
    rebuilding.create_table(database.settings)
    ways: dict[str, Callable[[], Rebuilt]] = {
        OURS: lambda: rebuilding.rebuild(PROJECTION),
        TOGETHER: lambda: rebuild_together(database),
        BY_HAND: lambda: rebuilding.fold_by_hand(database.settings),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for name in interleave(list(ways), size.rounds):
        done = ways[name]()
        if done.events != size.events:
            raise RuntimeError(f"{name} folded {done.events} events of {size.events}.")
        taken[name].append(done.seconds / done.events)
    rebuilding.check_alike(database.settings)
    return {name: Series(tuple(seconds)) for name, seconds in taken.items()}


def rebuild_together(database: Database) -> Rebuilt:
    with rebuilding.helping_process(database):  # which is there when the clock starts
        return rebuilding.rebuild_together(PROJECTION)


def measure_following(database: Database, size: Size) -> tuple[Latencies, Latencies]:
    """At the slow rate one event an append, at the fast one four."""
    site.set_up(database)
    with following.running_worker(database):
        rebuilding.fill_log(rebuilding.ROUNDS_OF_KEYS)  # the worker is there once it has seen these
        following.wait_until_caught_up(database)
        return (
            following.follow(database, PROJECTION, rate=SLOW, batch=1, seconds=size.follow_seconds),
            following.follow(
                database, PROJECTION, rate=FAST, batch=FAST_BATCH, seconds=size.follow_seconds
            ),
        )


def measure_peer(events: int) -> float | None:
    """Events a second; None where it is not installed."""
    try:
        from benchmarks.peers import eventsourcing_projection
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("benchmarks"):
            raise
        return None
    with databases.make("postgresql") as database:
        return run_in_child(eventsourcing_projection.measure, database.settings, events)


def describe(found: Measured) -> Iterator[Figure]:
    events, keys = found.size.events, found.size.events // rebuilding.ROUNDS_OF_KEYS
    for name, series in found.rebuilt.items():
        yield Figure(
            table=f"{events:,} events into {keys:,} rows, postgresql",
            name=name,
            values={
                "events_per_second": round(1 / series.median_seconds),
                "spread_percent": series.spread_percent,
                "of_the_loop_by_hand": found.rebuilt[BY_HAND].times(series),
            },
        )
    if found.peer_rate is not None:
        yield Figure(
            table=f"{events:,} events into {keys:,} rows, postgresql",
            name=PEER,
            values={"events_per_second": round(found.peer_rate)},
        )
    for rate, latencies in ((SLOW, found.slow), (FAST, found.fast)):
        yield Figure(
            table=f"from commit to projected, {found.size.follow_seconds:g} s, postgresql",
            name=f"{rate:,} events/s",
            values={
                "reached_per_second": round(latencies.rate),
                "p50_ms": median(latencies.seconds) * 1e3,
                "p99_ms": p99(latencies) * 1e3,
                "most_ms": max(latencies.seconds) * 1e3,
            },
        )
    yield from capacity.describe(found.capacity, backlog=found.size.backlog)
    yield from growth.describe(found.growth)


def p99(latencies: Latencies) -> float:
    """In seconds."""
    return quantiles(latencies.seconds, n=100)[-1]


def judge(found: Measured | None) -> Iterator[Goal]:
    ratio = None if found is None else found.rebuilt[BY_HAND].times(found.rebuilt[OURS])
    slow = None if found is None else found.slow
    fast = None if found is None else found.fast
    # `times` is the time of the loop over ours, which is our rate over its.
    yield at_least(f"{OURS} over the {BY_HAND}", ratio, MIN_OF_HAND)
    yield at_most(
        f"from commit to projected at {SLOW} events/s, p50",
        slow and median(slow.seconds) * 1e3,
        MAX_P50_MS,
        " ms",
    )
    yield at_most(
        f"from commit to projected at {SLOW} events/s, p99",
        slow and p99(slow) * 1e3,
        MAX_P99_MS,
        " ms",
    )
    yield at_most(
        f"lag at {FAST:,} events/s, the longest", fast and max(fast.seconds), MAX_LAG_SECONDS, " s"
    )
    # Else a writer that was held up would make the lag look well.
    yield at_least(f"reached of {FAST:,} events/s", fast and fast.rate / FAST, MIN_OF_PACE)
    yield from capacity.judge([] if found is None else found.capacity)
    if found is None or found.growth:
        yield from growth.judge([] if found is None else found.growth)
