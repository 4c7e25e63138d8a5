"""What an append costs, against the bare insert of the same row and the library eventsourcing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import databases, follower, machine, site
from benchmarks.appenders.base import PAYLOAD_BYTES, make_event, make_row
from benchmarks.appenders.library import (
    AnyAppender,
    ImportAppender,
    LibraryAppender,
    NextAppender,
)
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.follower import Followed
from benchmarks.measuring import Series
from benchmarks.options import Options
from benchmarks.report import Figure, Goal, Report, at_least, at_most
from benchmarks.writers import Writers, measure_writers

if TYPE_CHECKING:
    from benchmarks.appenders.base import Appender, Row

WRITERS = (1, 8, 32)
BATCHES = (10, 100, 1000)
IMPORTED = 10_000  # events an import
FOLLOWED_WRITERS = 8

APPEND, IN_ATOMIC = "store.append", "store.append in atomic()"
NEXT, ANYWHERE = "store.append at a known version", "store.append at any version"
IMPORT = "store.import_events"
BARE, BARE_TRANSACTION, BARE_COPY = "bare insert", "bare BEGIN, INSERT, COMMIT", "bare COPY"
BARE_COUNTER, UNSAFE = "bare counter row and insert", "unsafe bare insert"
PEER = "eventsourcing"

MIN_OF_BARE, MIN_OF_BARE_AT_ONCE = 0.85, 0.75  # by one writer, by several
MIN_OF_BATCH = {10: 0.85, 100: 0.85, 1000: 0.8}
MIN_OF_COPY, MIN_OF_SQLITE, MIN_OF_MARIADB = 0.8, 0.8, 0.9
MIN_OF_PEER = 5.0


class Size(NamedTuple):
    """How many rounds there are, and how long each contestant runs in one."""

    rounds: int
    seconds: float
    writers: Sequence[int] = WRITERS
    imported: int = IMPORTED


DEFAULT = Size(rounds=10, seconds=0.15)
FULL = Size(rounds=30, seconds=0.6)
SMOKE = Size(rounds=2, seconds=0.01, writers=(1, 2), imported=50)


class Pair(NamedTuple):
    """What the series of `ours` is measured against; without a limit it is only reported."""

    ours: str
    other: str
    at_least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Contestants that took turns; `title` says how many writers or how big a batch."""

    title: str
    series: dict[str, Series]
    pairs: Sequence[Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    version: str
    groups: Sequence[Group]
    followed: Followed | None = None
    missing: Sequence[str] = ()


Table = Callable[["Plan"], Iterator[Group]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One database's processes, contestants and size."""

    pool: Writers
    appenders: Sequence[Appender]
    size: Size

    def measure(
        self, title: str, pairs: Sequence[Pair], *, writers: int = 1, batch: int = 1
    ) -> Group:
        chosen = [each for each in self.appenders if each.batch == batch and _is_in(each, pairs)]
        names = {each.name for each in chosen}
        series = measure_writers(
            self.pool, chosen, writers=writers, rounds=self.size.rounds, seconds=self.size.seconds
        )
        return Group(title=title, series=series, pairs=[p for p in pairs if p.other in names])

    def find(self, name: str) -> Appender:
        return next(each for each in self.appenders if each.name == name)


def _is_in(appender: Appender, pairs: Sequence[Pair]) -> bool:
    return any(appender.name in (pair.ours, pair.other) for pair in pairs)


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    vendors = [v for v in databases.STORE_VENDORS if databases.is_available(v)]
    found = {vendor: run_in_child(MEASURE[vendor], size) for vendor in vendors}
    return Report(
        benchmark="append",
        machine=machine.describe(**{vendor: each.version for vendor, each in found.items()}),
        figures=[row for vendor, each in found.items() for row in describe(vendor, each)],
        goals=[
            goal for vendor in databases.STORE_VENDORS for goal in judge(vendor, found.get(vendor))
        ],
        notes=[
            *databases.note_absent(databases.STORE_VENDORS),
            *(note for each in found.values() for note in note_missing(each.missing)),
        ],
    )


def note_missing(packages: Sequence[str]) -> list[str]:
    return [
        f"not installed, so left out: {name} (pip install -r requirements/benchmarks.txt)"
        for name in packages
    ]


def make_library(*, batches: Sequence[int] = BATCHES) -> list[Appender]:
    return [
        form
        for batch in (1, *batches)
        for form in (
            LibraryAppender(APPEND, batch=batch),
            LibraryAppender(IN_ATOMIC, batch=batch, in_atomic=True),
        )
    ]


@contextmanager
def make_plan(
    vendor: str, size: Size, make_others: Callable[[Database, Size], list[Appender]]
) -> Iterator[tuple[str, Plan]]:
    """The database's version, and its tables and processes ready to run."""
    from django.db import connections

    with databases.make(vendor) as database:
        site.set_up(database)
        check_payload()
        appenders = [*make_library(), *make_others(database, size)]
        connections.close_all()
        with Writers(appenders, count=max(size.writers)) as pool:
            yield database.version, Plan(pool=pool, appenders=appenders, size=size)


def check_payload() -> None:
    from whizbang.store.codec import JSON

    found = len(JSON.encode(make_event()))
    if found != PAYLOAD_BYTES:
        raise RuntimeError(f"The event has {found} bytes as JSON, not {PAYLOAD_BYTES}.")


# PostgreSQL


def measure_postgresql(size: Size) -> Measured:
    with make_plan("postgresql", size, make_postgresql_forms) as (version, plan):
        names = {each.name for each in plan.appenders}
        return Measured(
            version=version,
            groups=list(measure_postgresql_groups(plan)),
            followed=follower.measure(
                plan.pool,
                plan.find(APPEND),
                writers=min(FOLLOWED_WRITERS, *size.writers[1:]),
                size=size,
            ),
            missing=[] if PEER in names else [PEER],
        )


def make_postgresql_forms(database: Database, size: Size) -> list[Appender]:
    from benchmarks.appenders import bare_psycopg
    from benchmarks.appenders.bare_psycopg import CopyAppender, PsycopgAppender

    row, settings = make_row(is_json=True), database.settings
    bare_psycopg.create_table(settings)
    bare = [
        PsycopgAppender(name, settings, row, batch=batch, in_transaction=name == BARE_TRANSACTION)
        for batch in (1, *BATCHES)
        for name in (BARE, BARE_TRANSACTION)
    ]
    return [
        *bare,
        NextAppender(NEXT),
        AnyAppender(ANYWHERE),
        ImportAppender(IMPORT, batch=size.imported),
        CopyAppender(BARE_COPY, settings, row, batch=size.imported),
        *make_peers(database),
    ]


def make_peers(database: Database) -> list[Appender]:
    """None where the peer is not installed."""
    try:
        from benchmarks.peers import eventsourcing_peer
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("benchmarks"):
            raise
        return []
    eventsourcing_peer.create_tables(database.settings)
    return [
        eventsourcing_peer.EventsourcingAppender(PEER, database.settings, batch=batch)
        for batch in (1, *BATCHES)
    ]


def measure_postgresql_groups(plan: Plan) -> Iterator[Group]:
    for writers in plan.size.writers:
        least = MIN_OF_BARE if writers == 1 else MIN_OF_BARE_AT_ONCE
        yield plan.measure(
            f"{writers} writer{'s' * (writers > 1)}",
            [
                Pair(APPEND, BARE, least),
                Pair(IN_ATOMIC, BARE_TRANSACTION, least),
                Pair(APPEND, PEER, MIN_OF_PEER if writers > 1 else None),
            ],
            writers=writers,
        )
    yield plan.measure("1 writer, one stream", [Pair(NEXT, BARE), Pair(ANYWHERE, BARE)])
    for batch in BATCHES:
        yield plan.measure(
            f"batches of {batch}",
            [
                Pair(APPEND, BARE, MIN_OF_BATCH[batch]),
                Pair(IN_ATOMIC, BARE_TRANSACTION, MIN_OF_BATCH[batch]),
                Pair(APPEND, PEER),
            ],
            batch=batch,
        )
    yield plan.measure(
        "bulk import", [Pair(IMPORT, BARE_COPY, MIN_OF_COPY)], batch=plan.size.imported
    )


# SQLite


def measure_sqlite(size: Size) -> Measured:
    with make_plan("sqlite", size, make_sqlite_forms) as (version, plan):
        return Measured(version=version, groups=list(measure_sqlite_groups(plan)))


def make_sqlite_forms(database: Database, size: Size) -> list[Appender]:
    from benchmarks.appenders import bare_sqlite
    from benchmarks.appenders.bare_sqlite import SqliteAppender

    row: Row = make_row(is_json=False)
    bare_sqlite.create_table(database.settings)
    return [
        SqliteAppender(
            name, database.settings, row, batch=batch, in_transaction=name == BARE_TRANSACTION
        )
        for batch in (1, *BATCHES)
        for name in (BARE, BARE_TRANSACTION)
    ]


def measure_sqlite_groups(plan: Plan) -> Iterator[Group]:
    yield plan.measure(
        "1 writer",
        [Pair(APPEND, BARE, MIN_OF_SQLITE), Pair(IN_ATOMIC, BARE_TRANSACTION, MIN_OF_SQLITE)],
    )
    for batch in BATCHES:
        yield plan.measure(
            f"batches of {batch}", [Pair(APPEND, BARE_TRANSACTION, MIN_OF_SQLITE)], batch=batch
        )


# MariaDB


def measure_mariadb(size: Size) -> Measured:
    with make_plan("mariadb", size, make_mariadb_forms) as (version, plan):
        return Measured(version=version, groups=list(measure_mariadb_groups(plan)))


def make_mariadb_forms(database: Database, size: Size) -> list[Appender]:
    from benchmarks.appenders import bare_mariadb
    from benchmarks.appenders.bare_mariadb import CounterAppender, MariadbAppender

    row, settings = make_row(is_json=True), database.settings
    bare_mariadb.create_tables(settings)
    return [
        form
        for batch in (1, *BATCHES)
        for form in (
            CounterAppender(BARE_COUNTER, settings, row, batch=batch),
            MariadbAppender(UNSAFE, settings, row, batch=batch),
        )
    ]


def measure_mariadb_groups(plan: Plan) -> Iterator[Group]:
    pairs = [Pair(APPEND, BARE_COUNTER, MIN_OF_MARIADB), Pair(APPEND, UNSAFE)]
    for writers in plan.size.writers:
        yield plan.measure(f"{writers} writer{'s' * (writers > 1)}", pairs, writers=writers)
    yield plan.measure("batches of 100", pairs, batch=100)


MEASURE: dict[str, Callable[[Size], Measured]] = {
    "sqlite": measure_sqlite,
    "postgresql": measure_postgresql,
    "mariadb": measure_mariadb,
}


# Report


def describe(vendor: str, measured: Measured) -> Iterator[Figure]:
    for group in measured.groups:
        yield from describe_group(f"append, {vendor}, {group.title}", group)
    if measured.followed is not None:
        yield from follower.describe(f"append, {vendor}, at half the rate", measured.followed)


def describe_group(table: str, group: Group) -> Iterator[Figure]:
    """A row a contestant; ours with the ratio to the form that it has to be as quick as."""
    for name, series in group.series.items():
        other = next((group.series[p.other] for p in group.pairs if p.ours == name), None)
        yield Figure(
            table=table,
            name=name,
            values={
                "events_per_second": round(1 / series.median_seconds),
                "spread_percent": series.spread_percent,
                "of_the_bare_form": None if other is None else other.times(series),
                "spread_of_that_percent": None if other is None else other.spread_of_times(series),
            },
        )


def judge(vendor: str, measured: Measured | None) -> Iterator[Goal]:
    if measured is None:
        yield at_least(f"append, {vendor}", None, 0)
        return
    for group in measured.groups:
        for pair in group.pairs:
            if pair.at_least is not None:
                ratio = group.series[pair.other].times(group.series[pair.ours])
                name = f"{pair.ours} over {pair.other}, {vendor}, {group.title}"
                yield at_least(name, ratio, pair.at_least)
    for missing in measured.missing:
        yield at_least(f"{APPEND} over {missing}, {vendor}", None, MIN_OF_PEER)
    if measured.followed is not None:
        yield at_most(
            f"an append's time with a follower over without, {vendor}",
            measured.followed.ratio,
            measured.followed.limit,
        )
