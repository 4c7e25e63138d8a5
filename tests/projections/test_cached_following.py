"""Caches that a thread keeps current while others write, commit late, and the database goes away."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

import whizbang
from tests.processes import running, wait_for_end, wait_until
from tests.shop.messages import OpenOrder, OrderNoted
from tests.shop.projections import NoteCounts, OrderCache, Pairs
from whizbang import StaleCache, WrongMode
from whizbang.drivers.stores.commit_order_tail import CommitOrderTail
from whizbang.models import StoreHead
from whizbang.projections.cached import caches, contents, following
from whizbang.projections.cached.following import LogFollower

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("following_caches")]
PROCESSES = "tests.projections.cached_processes"


def note(order_id: str, *texts: str) -> int:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    store = whizbang.event_store()
    store.append(f"shop.Order-{order_id}", events)
    return store.driver.last_position()  # type: ignore[attr-defined, no-any-return]


def fold_counts() -> dict[str, int]:
    """What NoteCounts has to hold, by another way."""
    rows = whizbang.event_store().read_all(limit=None)
    ids = [event.order_id for event, _ in rows if isinstance(event, OrderNoted)]
    return {**Counter(ids), "all": len(ids)} if ids else {}


def test_thread_brings_in_what_is_written() -> None:
    note("1", "a")
    assert OrderCache.get("1").notes == ["a"]
    note("1", "b")
    wait_until(lambda: OrderCache.get("1").notes == ["a", "b"])


def test_own_write_is_read_after_waiting_for_it() -> None:
    for number in range(20):
        whizbang.send(OpenOrder(order_id=str(number)), wait_for=[OrderCache])
        assert OrderCache.get(str(number)).status == "open"
    OrderCache.wait_until(note("1", "a"))
    assert OrderCache.get("1").notes == ["a"]
    with transaction.atomic(), pytest.raises(WrongMode, match="open transaction"):
        OrderCache.wait_until(1)


def test_fill_of_several_pages_while_others_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whizbang.projections.cached.cache.FILL_PAGE_EVENTS", 7)
    note("1", *["a"] * 50)
    OrderCache.start()
    note("2", *["a"] * 50)
    NoteCounts.start()
    assert dict(NoteCounts.items()) == {"1": 50, "2": 50, "all": 100}
    position = note("3", "a")
    for projection in (OrderCache, NoteCounts):
        projection.wait_until(position)
    assert dict(NoteCounts.items()) == fold_counts()
    assert len(OrderCache.get("2").notes) == 50


@pytest.mark.requires_postgres
@pytest.mark.parametrize("is_naive", [False, True])
def test_late_committer_is_not_lost(monkeypatch: pytest.MonkeyPatch, is_naive: bool) -> None:
    """A naive tail, the mutant, goes past the position of the open transaction and loses its event."""
    NoteCounts.start()
    if is_naive:
        use_naive_tail(monkeypatch)
    has_written, may_commit = threading.Event(), threading.Event()
    late = threading.Thread(target=_write_late, args=(has_written, may_commit))
    late.start()
    has_written.wait(60)
    note("early", "a")
    if is_naive:
        wait_until(lambda: NoteCounts.get("early") == 1)
    else:
        assert NoteCounts.get("early") is None
    may_commit.set()
    late.join(60)
    NoteCounts.wait_until(note("last", "a"))
    wait_until(lambda: NoteCounts.get("last") == 1)
    assert NoteCounts.get("late") == (None if is_naive else 1)


def use_naive_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = whizbang.event_store().driver
    monkeypatch.setattr(
        driver, "tail", lambda *, after: CommitOrderTail(driver, after=after), raising=False
    )
    monkeypatch.setattr(driver, "settled_head", driver.last_position)  # type: ignore[attr-defined]
    caches.reset()
    NoteCounts.start()


def _write_late(has_written: threading.Event, may_commit: threading.Event) -> None:
    try:
        with transaction.atomic():
            note("late", "a")
            has_written.set()
            may_commit.wait(60)
    finally:
        connections.close_all()


def test_cache_equals_the_log_while_processes_write(child_environment: dict[str, str]) -> None:
    """Writers commit late and roll back; one cache follows from the start, one begins in the middle."""
    NoteCounts.start()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                running(child_environment, "-m", PROCESSES, "write", str(number), "4")
            )
            for number in range(4)
        ]
        wait_until(lambda: (NoteCounts.get("all") or 0) > 20)
        Pairs.start()
        for writer in writers:
            wait_for_end(writer)
    position = note("last", "a")
    for projection in (NoteCounts, Pairs):
        projection.wait_until(position)
    expected = fold_counts()
    assert expected["all"] > 50
    assert dict(NoteCounts.items()) == expected
    assert {key: pair.other for key, pair in Pairs.items()} == {
        key: count for key, count in expected.items() if key != "all"
    }
    with running(child_environment, "-m", PROCESSES, "read", str(position)) as reader:
        assert json.loads(wait_for_end(reader)) == expected


@pytest.mark.parametrize("is_in_place", [False, True])
def test_no_reader_sees_half_an_event(monkeypatch: pytest.MonkeyPatch, is_in_place: bool) -> None:
    """Entries that are changed in place, the mutant, are seen between their halves."""
    if is_in_place:
        monkeypatch.setattr(contents, "copied", lambda value: value)
    note("1", "a")
    Pairs.start()
    halves: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            pair = Pairs.get("1")
            one, other = pair.one, pair.other
            if one != other:
                halves.append((one, other))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(8):
        note("1", *["a"] * 25)
    Pairs.wait_until(note("1", "a"))
    stop.set()
    for reader in readers:
        reader.join()
    assert Pairs.get("1").one == 202
    assert bool(halves) is is_in_place


def test_cache_that_cannot_be_kept_current_refuses_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OrderCache, "max_staleness_seconds", 0.2)
    note("1", "a")
    OrderCache.start()
    Pairs.start()

    def fail(self: Any) -> int:
        raise OperationalError("the server is away")

    with monkeypatch.context() as broken:
        broken.setattr(LogFollower, "turn", fail)
        wait_until(lambda: is_refused(OrderCache, "may be 0.2 s old: .*the server is away"))
        assert not OrderCache.is_current()
        assert Pairs.get("1").one == 1  # declares no bound
    wait_until(lambda: not is_refused(OrderCache, ""))
    assert OrderCache.get("1").notes == ["a"]


def is_refused(projection: Any, reason: str) -> bool:
    try:
        projection.get("1")
    except StaleCache as exc:
        return re.search(reason, str(exc)) is not None
    return False


@pytest.mark.requires_postgres
def test_unreachable_database_and_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderCache, "max_staleness_seconds", 0.5)
    note("1", "a")
    OrderCache.start()
    settings = connections.settings["default"]
    with monkeypatch.context() as unreachable:
        unreachable.setitem(settings, "PORT", "1")
        terminate_others()
        wait_until(lambda: is_refused(OrderCache, "OperationalError"))
        note("1", "b")
    OrderCache.wait_until(note("1", "c"))
    assert OrderCache.get("1").notes == ["a", "b", "c"]


def terminate_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_another_store_behind_the_alias_fills_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "IDENTITY_SECONDS", 0.0)
    note("1", "a")
    StoreHead.objects.update_or_create(id=1, defaults={"store_id": uuid.uuid4()})
    OrderCache.start()
    held = caches.cache_of(OrderCache).contents
    StoreHead.objects.update(store_id=uuid.uuid4())
    wait_until(lambda: caches.cache_of(OrderCache).contents is not held)
    assert OrderCache.get("1").notes == ["a"]


def test_forked_process_follows_by_itself(child_environment: dict[str, str]) -> None:
    with running(child_environment, "-m", PROCESSES, "fork") as process:
        found = json.loads(wait_for_end(process))
    assert found == {"before": 1, "parent": 1, "child": 1, "after": 1, "all": 4}


def test_stopping_closes_the_connection_of_the_thread() -> None:
    OrderCache.start()
    threads = list(caches._threads.values())
    assert [thread.is_alive for thread in threads] == [True]
    caches.reset()
    assert [thread._thread.is_alive() for thread in threads] == [False]
    assert all(thread.kept.connection is None for thread in threads)  # type: ignore[attr-defined]
