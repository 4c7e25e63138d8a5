"""What the message pipeline costs, against a plain call, an empty atomic() and other mediators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from itertools import repeat
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks import databases, machine, site
from benchmarks.child import run_in_child
from benchmarks.measuring import Contestant, Series, measure, time_calls
from benchmarks.options import Options
from benchmarks.peers import load_installed
from benchmarks.report import Figure, Goal, Report, at_least, at_most

MAX_VALIDATED_US = 8.0
MAX_ABOVE_ATOMIC_US = 15.0

PLAIN = "plain function call"
COMMAND, QUERY = "whizbang command", "whizbang query"
BARE_COMMAND, BARE_QUERY = "whizbang command, no Validate", "whizbang query, no Validate"
EMPTY_ATOMIC, IN_TRANSACTION = "empty atomic()", "whizbang command in its transaction"
OURS = (PLAIN, COMMAND, QUERY, BARE_COMMAND, BARE_QUERY)

Measured = dict[str, Series]


class Size(NamedTuple):
    """How often each contestant runs, and for how long at a time."""

    rounds: int
    round_seconds: float


DEFAULT = Size(rounds=21, round_seconds=0.12)
FULL = Size(rounds=61, round_seconds=0.12)
SMOKE = Size(rounds=2, round_seconds=0.002)


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    calls, missing = run_in_child(measure_calls, size)
    vendors = [vendor for vendor in databases.VENDORS if databases.is_available(vendor)]
    measured = {v: run_in_child(measure_transaction, v, size) for v in vendors}
    transactions = {vendor: series for vendor, (_, series) in measured.items()}
    return Report(
        benchmark="dispatch",
        machine=machine.describe(**{vendor: found for vendor, (found, _) in measured.items()}),
        figures=[*describe_calls(calls), *describe_transactions(transactions)],
        goals=[*judge_calls(calls), *judge_transactions(transactions)],
        notes=[*note_missing(missing), *databases.note_absent()],
    )


def measure_calls(size: Size) -> tuple[Measured, tuple[str, ...]]:
    """Everything that runs without a transaction, and the peers that are not installed."""
    with databases.make("sqlite") as database:
        site.set_up(database)
        installed = load_installed()
        peers = [Contestant(name=peer.name, run=peer.run) for peer in installed.peers]
        contestants = [*make_own_contestants(), *peers]
        measured = measure(contestants, rounds=size.rounds, round_seconds=size.round_seconds)
    return measured, installed.missing


def make_own_contestants() -> list[Contestant]:
    import whizbang
    from benchmarks.app.messages import AskNothing, DoNothing

    command = DoNothing(order_id="order-17", quantity=3, amount=Decimal("12.50"))
    query = AskNothing(order_id="order-17", quantity=3, amount=Decimal("12.50"))
    send, ask = whizbang.send, whizbang.query
    return [
        _repeat(PLAIN, _do_nothing, command),
        _repeat(COMMAND, send, command),
        _repeat(QUERY, ask, query),
        _repeat(BARE_COMMAND, send, command, around=without_validate),
        _repeat(BARE_QUERY, ask, query, around=without_validate),
    ]


def _do_nothing(command: object) -> None:
    return None


def _repeat(
    name: str,
    call: Callable[[Any], object],
    argument: Any,
    around: Callable[[], AbstractContextManager[object]] | None = None,
) -> Contestant:
    run = partial(time_calls, call, argument)
    return (
        Contestant(name=name, run=run, around=around) if around else Contestant(name=name, run=run)
    )


def without_validate() -> AbstractContextManager[object]:
    """The default pipeline but for its first stage; chains are compiled anew outside the clock."""
    from django.test.utils import override_settings

    from whizbang.conf import DEFAULT_PIPELINE

    stages = [path for path in DEFAULT_PIPELINE if not path.endswith(".Validate")]
    changed: AbstractContextManager[object] = override_settings(WHIZBANG={"PIPELINE": stages})
    return changed


def measure_transaction(vendor: str, size: Size) -> tuple[str, Measured]:
    """The database's version, and a command in its transaction beside an empty one."""
    with databases.make(vendor) as database:
        site.set_up(database)
        import whizbang
        from benchmarks.app.messages import DoNothingInTransaction

        command = DoNothingInTransaction(order_id="order-17", quantity=3, amount=Decimal("12.50"))
        contestants = [
            Contestant(name=EMPTY_ATOMIC, run=time_empty_atomic),
            _repeat(IN_TRANSACTION, whizbang.send, command),
        ]
        return database.version, measure(
            contestants, rounds=size.rounds, round_seconds=size.round_seconds
        )


def time_empty_atomic(count: int) -> float:
    from django.db import transaction

    started = perf_counter()
    for _ in repeat(None, count):
        with transaction.atomic():
            _do_nothing(None)
    return perf_counter() - started


def describe_calls(calls: Measured) -> list[Figure]:
    table = "no-op, no transaction"
    return [
        Figure(
            table=table,
            name=name,
            values={
                "median_us": series.median_seconds * 1e6,
                "spread_percent": series.spread_percent,
                "times_plain_call": series.times(calls[PLAIN]),
            },
        )
        for name, series in calls.items()
    ]


def describe_transactions(transactions: dict[str, Measured]) -> list[Figure]:
    return [
        Figure(
            table=f"no-op in a transaction, {vendor}",
            name=name,
            values={
                "median_us": series.median_seconds * 1e6,
                "spread_percent": series.spread_percent,
                "us_above_empty_atomic": series.minus(measured[EMPTY_ATOMIC]) * 1e6,
            },
        )
        for vendor, measured in transactions.items()
        for name, series in measured.items()
    ]


def judge_calls(calls: Measured) -> list[Goal]:
    peers = [name for name in calls if name not in OURS]
    ahead = [
        at_least(
            f"{ours}: time of the fastest peer over ours",
            min((calls[peer].times(calls[ours]) for peer in peers), default=None),
            1.0,
        )
        for ours in (BARE_COMMAND, BARE_QUERY)
    ]
    quick = [
        at_most(f"{ours} with Validate", calls[ours].median_seconds * 1e6, MAX_VALIDATED_US, " us")
        for ours in (COMMAND, QUERY)
    ]
    return [*ahead, *quick]


def judge_transactions(transactions: dict[str, Measured]) -> list[Goal]:
    return [
        at_most(
            f"{IN_TRANSACTION} above the empty atomic(), {vendor}",
            _above_empty_us(transactions.get(vendor)),
            MAX_ABOVE_ATOMIC_US,
            " us",
        )
        for vendor in databases.VENDORS
    ]


def _above_empty_us(measured: Measured | None) -> float | None:
    return (
        None if measured is None else measured[IN_TRANSACTION].minus(measured[EMPTY_ATOMIC]) * 1e6
    )


def note_missing(packages: Sequence[str]) -> list[str]:
    if not packages:
        return []
    return [
        f"not installed, so left out: {', '.join(packages)} "
        "(pip install -r requirements/benchmarks.txt)"
    ]
