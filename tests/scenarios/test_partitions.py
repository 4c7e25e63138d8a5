"""Scenario 16, its second part, and what workers do with partitions: rows keyed across streams lose no update,
whoever comes, goes or is killed, and while partitions are split and merged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models.functions import Now

import whizbang
from tests.marks import soak_on
from tests.processes import kill, stop, wait_until
from tests.scenarios.read_model import Environment, start_worker
from tests.words.fold import (
    SPEAKERS,
    WORDS,
    counted_speakers,
    counted_words,
    folded_speakers,
    folded_words,
    say,
)
from whizbang.models import Lease, Partition
from whizbang.operations.partitions import set_partition_count
from whizbang.store.slices import slice_of

pytestmark = pytest.mark.django_db(transaction=True)
SPEAKERS_IN_BOTH_HALVES = (("ada", "bob"), ("eve", "dan"))  # of each thread
_MOST_BEHIND = 500


@pytest.fixture(autouse=True)
def database_in_a_file(transactional_db: None) -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("processes need a database in a file")


@contextmanager
def talking() -> Iterator[None]:
    """Two threads append for as long as the block runs; all use the same few words."""
    is_done = threading.Event()

    def talk(speakers: tuple[str, str]) -> None:
        number = 0
        try:
            while not is_done.is_set():
                number += 1
                if number % 50 == 0:  # no further ahead of slow workers than this
                    wait_until(lambda: is_done.is_set() or _backlog() < _MOST_BEHIND)
                say(speakers[number % 2], f"w{number % 5}", f"w{number % 3 + 5}", "all")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=talk, args=(names,)) for names in SPEAKERS_IN_BOTH_HALVES]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_done.set()
        for thread in threads:
            thread.join()


def _backlog() -> int:
    return whizbang.event_store().driver.last_position() - min(
        positions(WORDS) + positions(SPEAKERS)
    )


def owners(name: str = WORDS) -> list[str]:
    """Who runs each of the partitions that there are."""
    rows = Lease.objects.filter(expires_at__gt=Now(), name__regex=f"^{name}(#.*)?$")
    return sorted(rows.values_list("owner", flat=True))


def are_shared(name: str = WORDS, *, by: int = 2) -> bool:
    found = owners(name)
    return len(found) == Partition.objects.filter(subscription=name).count() and (
        len(set(found)) == by
    )


def positions(name: str = WORDS) -> list[int]:
    rows = Partition.objects.filter(subscription=name)
    return list(rows.values_list("position", flat=True))


def has_caught_up(name: str = WORDS) -> bool:
    return min(positions(name)) >= whizbang.event_store().head()


def goes_on(name: str = WORDS) -> None:
    """Every partition applies something from now on."""
    head = whizbang.event_store().head()
    wait_until(lambda: min(positions(name)) > head)


def are_equal() -> bool:
    return counted_words() == folded_words() and counted_speakers() == folded_speakers()


start = partial(start_worker, BATCH_SIZE=50)


def test_speakers_are_in_both_halves() -> None:
    """Else a partition by stream would have nothing to do."""
    for names in SPEAKERS_IN_BOTH_HALVES:
        assert {slice_of(f"words.Speaker-{name}") < 512 for name in names} == {True, False}


def test_two_workers_lose_no_update(child_environment: Environment) -> None:
    for name in (WORDS, SPEAKERS):
        set_partition_count(name, 2)
    with start(child_environment) as one, start(child_environment) as two:
        wait_until(lambda: are_shared(WORDS) and are_shared(SPEAKERS))
        with talking():
            for _ in range(3):
                goes_on(WORDS)
                goes_on(SPEAKERS)
        wait_until(are_equal)
        stop(one)
        stop(two)
    assert are_equal() and counted_words()["all"][0] > 100


def test_hashing_the_stream_would_lose_updates(child_environment: Environment) -> None:
    """The test above can fail: then two workers write to one row."""
    set_partition_count(WORDS, 2)
    broken: Callable[..., Any] = partial(start, broken="key")
    with broken(child_environment) as one, broken(child_environment) as two:
        wait_until(lambda: are_shared(WORDS))
        with talking():
            for _ in range(3):
                goes_on(WORDS)
        wait_until(has_caught_up)
        stop(one)
        stop(two)
    assert counted_words() != folded_words()


@pytest.mark.soak
def test_split_and_merge_while_events_flow(child_environment: Environment) -> None:
    with start(child_environment) as one, start(child_environment) as two:
        with talking():
            for count in (2, 5, 3, 1, 2, 8, 1, 3):
                for name in (WORDS, SPEAKERS):
                    set_partition_count(name, count, timeout_seconds=120)
                    goes_on(name)
            wait_until(lambda: are_shared(WORDS) and are_shared(SPEAKERS))
        wait_until(are_equal)
        stop(one)
        stop(two)
    assert are_equal()


def test_partitions_of_a_killed_worker_are_taken_over(child_environment: Environment) -> None:
    set_partition_count(WORDS, 2)
    with start(child_environment) as one, start(child_environment) as two:
        wait_until(lambda: are_shared(WORDS))
        with talking():
            goes_on()
            before = set(owners())
            kill(one)
            wait_until(lambda: are_shared(WORDS, by=1))
            goes_on()
        assert set(owners()) < before
        wait_until(are_equal)
        stop(two)
    assert are_equal()


@soak_on("sqlite", "mariadb")
def test_worker_that_comes_gets_its_share_and_gives_it_back(
    child_environment: Environment,
) -> None:
    set_partition_count(WORDS, 3)
    with ExitStack() as stack, talking():
        one = stack.enter_context(start(child_environment))
        wait_until(lambda: are_shared(by=1))
        goes_on()
        two = stack.enter_context(start(child_environment))
        three = stack.enter_context(start(child_environment))
        wait_until(lambda: are_shared(by=3))
        goes_on()
        stop(one)
        stop(three)
        wait_until(lambda: are_shared(by=1))
        goes_on()
        stop(two)
    wait_until_idle(child_environment)
    assert are_equal()


def wait_until_idle(environment: Environment) -> None:
    with start(environment) as worker:
        wait_until(lambda: has_caught_up(WORDS) and has_caught_up(SPEAKERS))
        stop(worker)
