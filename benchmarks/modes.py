"""The same handler inline, durable and batched; with --full, cleaning ten million rows up beside a writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import databases, machine, site
from benchmarks.child import run_in_child
from benchmarks.cleaning import Cleaned, measure_cleanup
from benchmarks.command import EVENTS_PER_CART, analyze, check_rows, send_add_item, store_carts
from benchmarks.measuring import Contestant, Series, measure_stock, stock_needed
from benchmarks.options import Options
from benchmarks.report import Figure, Goal, Report, at_least, at_most

if TYPE_CHECKING:
    from benchmarks.app.messages import AddItem

INLINE, DURABLE, BATCHED = "inline", "durable", "batched"
MIN_OF_INLINE = 5.0
MAX_OF_P99, MAX_STEP_MS = 2.0, 50.0
STEP_GOALS = ("sqlite", "mariadb")


class Size(NamedTuple):
    """How often each mode runs, how many commands at a time, and how many old rows are cleaned up."""

    rounds: int
    operations: int
    rows: int
    seconds_before: float = 10.0
    most_seconds: float = 300.0  # of cleaning each of two tables


DEFAULT = Size(rounds=11, operations=500, rows=0)
FULL = Size(rounds=31, operations=500, rows=10_000_000)
SMOKE = Size(rounds=2, operations=3, rows=200, seconds_before=0.2)


class Measured(NamedTuple):
    """Seconds a command by mode, and what part of them storing took."""

    version: str
    series: dict[str, Series]
    storing: dict[str, float]


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    if options.events:
        size = size._replace(rows=max(options.events))
    found = {v: run_in_child(measure_modes, v, size) for v in available(databases.VENDORS)}
    cleaned: dict[str, Cleaned] = {}
    if size.rows:
        for vendor in available(databases.STORE_VENDORS):
            cleaned[vendor] = run_in_child(
                measure_cleanup, vendor, size.rows, size.seconds_before, size.most_seconds
            )
    versions = {v: each.version for v, each in {**cleaned, **found}.items()}
    figures = [row for vendor, each in found.items() for row in describe(vendor, each)]
    goals = [judge(vendor, found.get(vendor)) for vendor in databases.VENDORS]
    if size.rows:
        figures += [describe_cleanup(vendor, each) for vendor, each in cleaned.items()]
        goals += [g for v in databases.STORE_VENDORS for g in judge_cleanup(v, cleaned.get(v))]
    return Report(
        benchmark="modes",
        machine=machine.describe(**versions),
        figures=figures,
        goals=goals,
        notes=databases.note_absent(databases.STORE_VENDORS if size.rows else databases.VENDORS),
    )


def available(vendors: Sequence[str]) -> list[str]:
    return [vendor for vendor in vendors if databases.is_available(vendor)]


def measure_modes(vendor: str, size: Size) -> Measured:
    with databases.make(vendor) as database:
        site.set_up(database)
        storing: dict[str, list[float]] = {DURABLE: [], BATCHED: []}
        stock = make_stock(stock_needed(rounds=size.rounds, operations=size.operations))
        runs: dict[str, Callable[[list[str]], float]] = {
            INLINE: time_inline,
            DURABLE: partial(time_queued, publish_each, storing[DURABLE]),
            BATCHED: partial(time_queued, publish_all, storing[BATCHED]),
        }
        contestants = [
            Contestant(name=name, run=partial(time_stock, work, stock[name]))
            for name, work in runs.items()
        ]
        series = measure_stock(contestants, rounds=size.rounds, operations=size.operations)
        check_rows()
    shares = {name: sum(seconds) / len(seconds) for name, seconds in storing.items()}
    return Measured(version=database.version, series=series, storing=shares)


def make_stock(carts: int) -> dict[str, Iterator[str]]:
    """So many carts of five events for each mode, each to be used once."""
    names = (INLINE, DURABLE, BATCHED)
    ids = {name: [f"{name}-{number}" for number in range(carts)] for name in names}
    store_carts([cart_id for group in zip(*ids.values(), strict=True) for cart_id in group])
    analyze()
    return {name: iter(own) for name, own in ids.items()}


def time_stock(work: Callable[[list[str]], float], cart_ids: Iterator[str], count: int) -> float:
    taken = list(islice(cart_ids, count))
    if len(taken) < count:
        raise RuntimeError(f"{count - len(taken)} carts too few were prepared.")
    return work(taken)


def time_inline(cart_ids: list[str]) -> float:
    started = perf_counter()
    for cart_id in cart_ids:
        send_add_item(cart_id)
    return perf_counter() - started


def time_queued(
    store: Callable[[list[AddItem]], None], shares: list[float], cart_ids: list[str]
) -> float:
    """From the first publish until the worker has nothing left to do; notes the share of storing."""
    import whizbang
    from whizbang.messaging.processing import InboxProcessor

    processor = InboxProcessor(whizbang.event_store())
    started = perf_counter()
    store(make_commands(cart_ids))
    stored = perf_counter()
    while processor.run_once():
        pass
    ended = perf_counter()
    if len(cart_ids) > 1:  # else it is the warm-up
        shares.append((stored - started) / (ended - started))
    return ended - started


def make_commands(cart_ids: list[str]) -> list[AddItem]:
    from benchmarks.app.messages import AddItem
    from benchmarks.by_hand.base import AMOUNT, QUANTITY, SKU

    return [AddItem(cart_id=id, sku=SKU, quantity=QUANTITY, amount=AMOUNT) for id in cart_ids]


def publish_each(commands: list[AddItem]) -> None:
    import whizbang

    for command in commands:
        whizbang.publish(command)


def publish_all(commands: list[AddItem]) -> None:
    import whizbang

    receipt = whizbang.publish_batch(commands)
    if receipt.accepted != len(commands):
        raise RuntimeError(f"The batch was not accepted: {receipt}")


def describe(vendor: str, measured: Measured) -> list[Figure]:
    inline = measured.series[INLINE]
    return [
        Figure(
            table=f"a command on a cart of {EVENTS_PER_CART} events, {vendor}",
            name=name,
            values={
                "per_second": 1 / series.median_seconds,
                "spread_percent": series.spread_percent,
                "times_inline": inline.times(series),
                "percent_for_storing": 100 * share
                if (share := measured.storing.get(name)) is not None
                else None,
            },
        )
        for name, series in measured.series.items()
    ]


def judge(vendor: str, measured: Measured | None) -> Goal:
    series = None if measured is None else measured.series
    times = None if series is None else series[INLINE].times(series[BATCHED])
    return at_least(f"rate batched over inline, {vendor}", times, MIN_OF_INLINE)


def describe_cleanup(vendor: str, cleaned: Cleaned) -> Figure:
    return Figure(
        table="cleanup beside a writer",
        name=vendor,
        values={
            "rows": cleaned.rows,
            "cleaned": cleaned.cleaned,
            "seconds": cleaned.seconds,
            "steps": cleaned.steps,
            "longest_step_ms": cleaned.longest_step * 1e3,
            "writer_p99_ms_before": cleaned.p99_before * 1e3,
            "writer_p99_ms_during": cleaned.p99_during * 1e3,
        },
    )


def judge_cleanup(vendor: str, cleaned: Cleaned | None) -> list[Goal]:
    times = None if cleaned is None else cleaned.p99_during / cleaned.p99_before
    goals = [at_most(f"writer's p99 during cleanup over before, {vendor}", times, MAX_OF_P99)]
    if vendor in STEP_GOALS:
        longest = None if cleaned is None else cleaned.longest_step * 1e3
        goals.append(at_most(f"longest step of cleanup, {vendor}", longest, MAX_STEP_MS, " ms"))
    return goals
