"""How long the console's pages take on big tables, and whether writers notice them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks import databases, machine, shop
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.looking import beside
from benchmarks.looking.beside import ALONE, WITH, Disturbed
from benchmarks.looking.pages import Opened
from benchmarks.options import Options
from benchmarks.report import Figure, Goal, Report, at_most

OVERVIEW = "overview"
MAX_MS, MAX_OVERVIEW_MS, MAX_STATEMENTS = 200.0, 100.0, 25


class Size(NamedTuple):
    """What is loaded, how often each page is opened, and how long the writers are watched."""

    events: int
    streams: int
    messages: int  # in the outbox, and as many in the inbox
    sagas: int
    letters: int
    rounds: int
    turns: int
    seconds: float


DEFAULT = Size(300_000, 30_000, 30_000, 10_000, 3_000, rounds=10, turns=7, seconds=2.0)
FULL = Size(10_000_000, 1_000_000, 1_000_000, 100_000, 100_000, rounds=20, turns=15, seconds=5.0)
SMOKE = Size(2_000, 200, 200, 100, 100, rounds=1, turns=2, seconds=0.05)


class Found(NamedTuple):
    version: str
    events: int
    pages: list[Opened]
    disturbed: Disturbed


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    if options.events:
        size = size._replace(events=max(options.events), streams=max(options.events) // 10)
    found = measure(size) if databases.is_available("postgresql") else None
    return Report(
        benchmark="console",
        machine=machine.describe(**({} if found is None else {"postgresql": found.version})),
        figures=[] if found is None else list(describe(found)),
        goals=list(judge(found)),
        notes=[n for n in databases.note_absent() if n.startswith("postgresql")],
    )


def measure(size: Size) -> Found:
    with databases.make("postgresql") as database:
        pages, disturbed = run_in_child(measure_in_child, database, size)
        return Found(database.version, size.events, pages, disturbed)


def measure_in_child(database: Database, size: Size) -> tuple[list[Opened], Disturbed]:
    with shop.set_up(database, is_whole_flow=True, process="saga"):
        load(size)
        from django.db import connections

        from benchmarks.looking.pages import log_in, open_all

        client = log_in()
        pages = open_all(client, rounds=size.rounds)
        appender = beside.OrderAppender("append")
        connections.close_all()
        with beside.Writers([appender], count=beside.WRITERS) as pool:
            onlooker = beside.Onlooker(client, [page.path for page in pages])
            disturbed = beside.measure(
                pool, appender, onlooker, rounds=size.turns, seconds=size.seconds
            )
        connections.close_all()
        return pages, disturbed


def load(size: Size) -> None:
    from io import StringIO

    from django.core.management import call_command
    from django.db import connection

    from whizbang.operations.worker import Worker

    call_command(
        "load_example",
        events=size.events,
        streams=size.streams,
        outbox=size.messages,
        inbox=size.messages,
        sagas=size.sagas,
        dead_letters=size.letters,
        parked=min(size.letters, 1_000),
        stdout=StringIO(),
    )
    Worker().run(until_idle=True)  # measures where everything stands, as it does in production
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def describe(found: Found) -> Iterator[Figure]:
    for page in sorted(found.pages, key=lambda page: -page.median_ms):
        yield Figure(
            table=f"pages beside {found.events:,} events, postgresql",
            name=str(page.kind),
            values={
                "median_ms": page.median_ms,
                "p95_ms": page.p95_ms,
                "statements": page.statements,
            },
        )
    disturbed = found.disturbed
    for name in (ALONE, WITH):
        series = disturbed.latency[name]
        yield Figure(
            table=f"appends of {beside.WRITERS} writers at half their rate",
            name=name,
            values={
                "events_per_second": round(disturbed.rate[name]),
                "median_us": series.median_seconds * 1e6,
                "spread_percent": series.spread_percent,
                "p99_us": disturbed.p99_seconds[name] * 1e6,
                "times_alone": series.times(disturbed.latency[ALONE]),
            },
        )


def judge(found: Found | None) -> Iterator[Goal]:
    pages = [] if found is None else found.pages
    overview = [page for page in pages if OVERVIEW in page.kind.view]
    yield _at_most_of("the slowest page", pages, MAX_MS)
    yield _at_most_of("the overview", overview, MAX_OVERVIEW_MS)
    most = max(pages, key=lambda page: page.statements, default=None)
    name = "statements of a page, the most" + ("" if most is None else f" ({most.kind})")
    yield at_most(name, None if most is None else most.statements, MAX_STATEMENTS)
    disturbed = None if found is None else found.disturbed
    yield at_most(
        "an append's median beside the console, over alone",
        disturbed and disturbed.ratio,
        disturbed.limit if disturbed else 1.0,
    )


def _at_most_of(name: str, pages: Sequence[Opened], limit: float) -> Goal:
    slowest = max(pages, key=lambda page: page.median_ms, default=None)
    if slowest is None:
        return at_most(name, None, limit, " ms")
    return at_most(f"{name} ({slowest.kind})", slowest.median_ms, limit, " ms")
