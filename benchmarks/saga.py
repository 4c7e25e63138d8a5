"""How many four-step processes are completed a second, beside the same by hand with Celery, and what waiting costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks import databases, machine
from benchmarks.child import run_in_child
from benchmarks.options import Options
from benchmarks.orchestrating.completing import WAYS
from benchmarks.orchestrating.waiting import Waited, measure_waiting
from benchmarks.relaying import services
from benchmarks.report import Figure, Goal, Report, at_least, at_most

PROCESSES = (1, 2)
ALONE, AS_SERVICES, BY_HAND = WAYS
MIN_OF_BY_HAND = 1.0
MAX_GROWTH = 1.3

Rates = Mapping[tuple[str, int], Sequence[float]]


class Size(NamedTuple):
    """How many processes a run completes, how often, and how many instances wait."""

    count: int
    rounds: int
    open: tuple[int, ...]
    due: int


DEFAULT = Size(2_000, 3, (1_000, 10_000, 100_000), 1_000)
FULL = Size(20_000, 5, (1_000, 10_000, 100_000), 1_000)
SMOKE = Size(20, 1, (10, 30), 10)


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    absent = list(_note_absent())
    rates: dict[tuple[str, int], list[float]] = {}
    waited: list[Waited] = []
    versions = {}
    if not absent:
        for _ in range(size.rounds):
            for processes in PROCESSES:
                for name, complete in WAYS.items():
                    rates.setdefault((name, processes), []).append(complete(size.count, processes))
        waited = [run_in_child(measure_waiting, count, size.due) for count in size.open]
        with databases.make("postgresql") as database:
            versions = {"postgresql": database.version}
    return Report(
        benchmark="saga",
        machine=machine.describe(**versions),
        figures=[*describe(rates, size), *describe_waiting(waited)],
        goals=[*judge(rates), *judge_waiting(waited)],
        notes=absent,
    )


def _note_absent() -> Iterator[str]:
    yield from (note for note in databases.note_absent() if note.startswith("postgresql"))
    if not services.is_rabbitmq_there():
        yield "RabbitMQ does not answer, so nothing was measured and the goals count as not met"


def describe(rates: Rates, size: Size) -> Iterator[Figure]:
    for processes in PROCESSES if rates else ():
        by_hand = median(rates[BY_HAND, processes])
        for name in WAYS:
            rate = median(rates[name, processes])
            yield Figure(
                table=f"{size.count:,} processes of four steps, {_workers(processes)}",
                name=name,
                values={"completed_per_second": rate, "of_by_hand": rate / by_hand},
            )


def describe_waiting(waited: Sequence[Waited]) -> Iterator[Figure]:
    for each in waited:
        yield Figure(
            table="timeouts that are due beside open instances",
            name=f"{each.open:,} open",
            values={
                "us_per_timeout": each.seconds_per_timeout * 1e6,
                "peak_mib": each.peak_mib,
            },
        )


def judge(rates: Rates) -> Iterator[Goal]:
    for processes in PROCESSES:
        for name in (ALONE, AS_SERVICES):
            ratio = None
            if rates:
                pairs = zip(rates[name, processes], rates[BY_HAND, processes], strict=True)
                ratio = median(ours / by_hand for ours, by_hand in pairs)
            yield at_least(
                f"{name}, over Celery by hand, {_workers(processes)}", ratio, MIN_OF_BY_HAND
            )


def judge_waiting(waited: Sequence[Waited]) -> Iterator[Goal]:
    """The longest against the shortest."""
    time = memory = None
    if waited:
        first, last = waited[0], waited[-1]
        time = last.seconds_per_timeout / first.seconds_per_timeout
        if first.peak_mib and last.peak_mib:
            memory = last.peak_mib / first.peak_mib
    yield at_most("time per due timeout, most open over fewest", time, MAX_GROWTH)
    yield at_most("peak memory, most open over fewest", memory, MAX_GROWTH)


def _workers(processes: int) -> str:
    return "1 worker" if processes == 1 else f"{processes} workers"
