"""How quickly the log is read and aggregates are loaded, against the bare fetch and eventsourcing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

from benchmarks import databases, machine, readers, site
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.measuring import Contestant, Series, measure, time_calls
from benchmarks.options import Options
from benchmarks.report import Figure, Goal, Report, at_least

LOADED = (10, 100, 1000)  # events of an aggregate

READ_ALL, LOAD, PEER = "store.read_all", "store.load", "eventsourcing"

MIN_OF_BARE, MIN_OF_PEER = 0.35, 5.0

Read = Callable[[int], Iterable[Any]]  # gives so many events from the start of the log


class Size(NamedTuple):
    """How many events there are, how many rounds, and how long each contestant reads in one."""

    events: int
    rounds: int
    round_seconds: float


DEFAULT = Size(events=40_000, rounds=10, round_seconds=0.3)
FULL = Size(events=400_000, rounds=30, round_seconds=1.0)
SMOKE = Size(events=200, rounds=2, round_seconds=0.002)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Series of the log, by contestant, and of loading, by the number of events."""

    version: str
    bare: str
    log: dict[str, Series]
    loads: dict[int, dict[str, Series]]
    missing: Sequence[str] = ()


class Sources(NamedTuple):
    """What one database is read by: the bare driver, and the peer where it is here."""

    bare: readers.BareReader
    peer: ModuleType | None
    application: Any


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    vendors = [v for v in databases.STORE_VENDORS if databases.is_available(v)]
    found = {vendor: run_in_child(measure_database, vendor, size) for vendor in vendors}
    return Report(
        benchmark="read",
        machine=machine.describe(**{vendor: each.version for vendor, each in found.items()}),
        figures=[row for vendor, each in found.items() for row in describe(vendor, each)],
        goals=[goal for v in databases.STORE_VENDORS for goal in judge(v, found.get(v))],
        notes=[
            *databases.note_absent(databases.STORE_VENDORS),
            *(
                f"not installed, so left out: {name} (pip install -r requirements/benchmarks.txt)"
                for each in found.values()
                for name in each.missing
            ),
        ],
    )


def measure_database(vendor: str, size: Size) -> Measured:
    with ExitStack() as stack:
        database = stack.enter_context(databases.make(vendor))
        site.set_up(database)
        readers.fill_log(size.events)
        sources = open_sources(database, size.events)
        stack.callback(sources.bare.close)
        if sources.peer is not None:
            stack.callback(sources.application.close)
        loads = {events: make_load_contestants(sources, events) for events in LOADED}
        readers.analyze(vendor)
        return Measured(
            version=database.version,
            bare=sources.bare.name,
            log=measure(
                make_log_contestants(sources, size.events),
                rounds=size.rounds,
                round_seconds=size.round_seconds,
            ),
            loads={
                events: measure(
                    contestants, rounds=size.rounds, round_seconds=size.round_seconds / 2
                )
                for events, contestants in loads.items()
            },
            missing=[PEER] if vendor == "postgresql" and sources.peer is None else [],
        )


def open_sources(database: Database, events: int) -> Sources:
    bare = readers.make_bare_reader(database)
    peer = load_peer() if database.vendor == "postgresql" else None
    if peer is None:
        return Sources(bare, None, None)
    application = peer.make_application(database.settings, creates_tables=True)
    peer.fill_log(application, events)
    return Sources(bare, peer, application)


def load_peer() -> ModuleType | None:
    """None where it is not installed."""
    try:
        from benchmarks.peers import eventsourcing_peer
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("benchmarks"):
            raise
        return None
    return eventsourcing_peer


def make_log_contestants(sources: Sources, events: int) -> list[Contestant]:
    import whizbang

    def read_all(count: int) -> Iterator[Any]:
        return whizbang.event_store().read_all(limit=count)

    contestants = [
        Contestant(name=READ_ALL, run=partial(time_log, read_all, events)),
        Contestant(name=sources.bare.name, run=partial(time_log, sources.bare.read_log, events)),
    ]
    if sources.peer is not None:
        read: Read = partial(sources.peer.read_typed, sources.application)
        contestants.append(Contestant(name=PEER, run=partial(time_log, read, events)))
    return contestants


def time_log(read: Read, events: int, count: int) -> float:
    """Read `count` events, from the start again where the log has no more."""
    started = perf_counter()
    for size in [*[events] * (count // events), count % events]:
        if size:
            deque(read(size), maxlen=0)
    return perf_counter() - started


def make_load_contestants(sources: Sources, events: int) -> list[Contestant]:
    import whizbang
    from benchmarks.app.aggregates import Notebook

    notebook_id = f"loaded-{events}"
    readers.store_notebook(notebook_id, events)
    load = partial(whizbang.event_store().load, Notebook)
    check_notes(load(notebook_id).notes, events)
    bare = sources.bare
    contestants = [
        Contestant(name=LOAD, run=partial(time_calls, load, notebook_id)),
        Contestant(
            name=bare.name,
            run=partial(time_calls, bare.read_stream, Notebook.stream_of(notebook_id)),
        ),
    ]
    if sources.peer is not None:
        id = sources.peer.store_notebook(sources.application, events)
        get = sources.application.repository.get
        check_notes(get(id).version, events)
        contestants.append(Contestant(name=PEER, run=partial(time_calls, get, id)))
    return contestants


def check_notes(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"A notebook of {wanted} events was loaded as one of {found}.")


def describe(vendor: str, measured: Measured) -> Iterator[Figure]:
    for name, series in measured.log.items():
        yield Figure(
            table=f"the whole log, {vendor}",
            name=name,
            values={
                "events_per_second": round(1 / series.median_seconds),
                "spread_percent": series.spread_percent,
                "our_rate_over_its": series.times(measured.log[READ_ALL]),
                "spread_of_that_percent": series.spread_of_times(measured.log[READ_ALL]),
            },
        )
    for events, found in measured.loads.items():
        for name, series in found.items():
            yield Figure(
                table=f"an aggregate of {events} events, {vendor}",
                name=name,
                values={
                    "median_us": series.median_seconds * 1e6,
                    "spread_percent": series.spread_percent,
                    "events_per_second": round(events / series.median_seconds),
                    "our_rate_over_its": series.times(found[LOAD]),
                },
            )


def judge(vendor: str, measured: Measured | None) -> Iterator[Goal]:
    of_bare = None if measured is None else rate_over(measured, measured.bare)
    yield at_least(f"read_all over the bare fetch, {vendor}", of_bare, MIN_OF_BARE)
    if vendor == "postgresql":
        of_peer = rate_over(measured, PEER) if measured and PEER in measured.log else None
        yield at_least(f"read_all over {PEER}, {vendor}", of_peer, MIN_OF_PEER)


def rate_over(measured: Measured, other: str) -> float:
    """Our rate as a multiple of another's."""
    return measured.log[other].times(measured.log[READ_ALL])
