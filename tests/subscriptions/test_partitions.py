"""Several partitions of one subscription: by key and by stream, split and merged while events flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models.functions import Now

import whizbang
from tests.collected import Collected
from tests.words.fold import (
    SPEAKERS,
    WORDS,
    counted_speakers,
    counted_words,
    folded_speakers,
    folded_words,
    say,
)
from tests.words.messages import Said
from tests.words.projections import SpeakerCounts, WordCounts
from whizbang.exceptions import WaitTimeout, WhizbangError
from whizbang.models import Lease, Partition, Subscription
from whizbang.operations.partitions import (
    list_partitions,
    merge_partitions,
    set_partition_count,
    split_partition,
)
from whizbang.operations.rebuild import rebuild_here, request_rebuild
from whizbang.operations.status import subscription_statuses
from whizbang.projections.declaration import problems
from whizbang.routing.registry import registry
from whizbang.subscriptions import engine as engine_module
from whizbang.subscriptions import fair_share, splitting
from whizbang.subscriptions.checkpoint import hold_still, move_all
from whizbang.subscriptions.engine import Engine
from whizbang.subscriptions.partitioning import SliceRange, slice_of_key
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.runner import StaleLease, SubscriptionRunner

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
MANY = [f"word{number}" for number in range(40)]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Engine]]:
    """Workers in this process, which look around every turn."""
    monkeypatch.setattr(engine_module, "_REFRESH_SECONDS", -1.0)
    made: list[Engine] = []

    def make(owner: str) -> Engine:
        made.append(Engine(whizbang.event_store(), owner))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def run_in_turn(*workers: Engine) -> None:
    """Until nobody has anything to do any more, three times in a row."""
    quiet = 0
    while quiet < 3:
        done = sum(worker.run_once() for worker in workers)
        quiet = 0 if done else quiet + 1


def test_partition_tells_telemetry_which_one_it_is(drain: Drain, collected: Collected) -> None:
    set_partition_count(WORDS, 2)
    say("anna", *MANY)
    drain()
    spans = [span for span in collected.spans if span.name == f"process {WORDS}"]
    found = [
        span.attributes["messaging.destination.partition.id"] for span in spans if span.attributes
    ]
    assert sorted(map(str, found)) == ["0-512", "512-1024"]
    assert all(span.links for span in spans)


def runners(worker: Engine, name: str = WORDS) -> list[SubscriptionRunner]:
    """Those of a subscription that a worker runs."""
    return [r for r in worker.runners if r.definition.name == name and r.epoch >= 0]


def definition(name: str = WORDS) -> Any:
    return next(d for d in all_definitions(whizbang.event_store()) if d.name == name)


def ranges(name: str = WORDS) -> list[str]:
    return [str(partition) for partition in list_partitions(name)]


def babble(count: int = 30) -> None:
    """Speakers use the same words, so that rows have events of many streams."""
    for number in range(count):
        say(number % 3, MANY[number % 7], MANY[number % 11 + 7], MANY[number % 40])


# Two workers


@pytest.mark.parametrize(
    ("name", "counted", "folded"),
    [(WORDS, counted_words, folded_words), (SPEAKERS, counted_speakers, folded_speakers)],
)
def test_two_workers_share_two_partitions_and_lose_nothing(
    engines: Callable[[str], Engine], name: str, counted: Any, folded: Any
) -> None:
    split_partition(name)
    one, two = engines("one"), engines("two")
    run_in_turn(one, two)
    babble()
    run_in_turn(one, two)
    assert [len(runners(worker, name)) for worker in (one, two)] == [1, 1]
    assert counted() == folded() != {}
    assert sum(runner.position > 0 for w in (one, two) for runner in runners(w, name)) == 2


def test_each_partition_touches_rows_of_its_own(engines: Callable[[str], Engine]) -> None:
    split_partition(WORDS)
    worker = engines("one")
    worker.run_once()
    babble()
    worker._read()
    low = next(r for r in runners(worker) if r.slices == SliceRange(0, 512))
    rows = list(worker._buffer)
    low.run(rows, rows[-1].position)
    assert set(counted_words()) == {word for word in folded_words() if slice_of_key(word) < 512}


def test_newcomer_gets_its_share_and_a_leaver_gives_it_back(
    engines: Callable[[str], Engine],
) -> None:
    set_partition_count(WORDS, 4)
    one = engines("one")
    run_in_turn(one)
    assert len(runners(one)) == 4
    two = engines("two")
    for worker in (two, one, two):
        worker.run_once()
    assert (len(runners(one)), len(runners(two))) == (2, 2)
    assert abs(running(one) - running(two)) <= 1
    two.close()
    one.run_once()
    assert len(runners(one)) == 4


def running(worker: Engine) -> int:
    return sum(runner.epoch >= 0 for runner in worker.runners)


def test_share_of_a_dead_worker_is_taken_when_its_leases_have_run_out(
    engines: Callable[[str], Engine],
) -> None:
    split_partition(WORDS)
    one, two = engines("one"), engines("two")
    run_in_turn(one, two)
    assert len(runners(one)) == len(runners(two)) == 1
    Lease.objects.filter(owner="two").update(expires_at=Now() - timedelta(seconds=1))
    babble()
    run_in_turn(one)
    assert len(runners(one)) == 2
    assert counted_words() == folded_words()


def test_free_partition_that_its_taker_leaves_lying_is_taken(
    engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, dead = engines("one"), engines("dead")
    run_in_turn(one, dead)
    for runner in runners(one) + runners(dead):
        Lease.objects.filter(name=runner.lease).update(owner="", expires_at=None)
    split_partition(WORDS)
    one.run_once()
    assert len(runners(one)) == 1, "the other half is for the one that is alive, for all one knows"
    later = fair_share.time.monotonic() + 100
    monkeypatch.setattr(fair_share, "time", SimpleNamespace(monotonic=lambda: later))
    one.run_once()
    assert len(runners(one)) == 2


# Fencing


def test_runner_of_a_partition_that_was_split_writes_nothing_more(
    engines: Callable[[str], Engine],
) -> None:
    runner, rows = about_to_apply(engines)
    split_partition(WORDS)
    with pytest.raises(StaleLease):
        runner.run(rows, rows[-1].position)
    assert counted_words() == {}


def test_without_a_new_epoch_it_would_apply_twice(
    engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    store = splitting._store

    def store_without_epoch(*args: Any, epoch: Any, **values: Any) -> None:
        store(*args, **values)

    monkeypatch.setattr(splitting, "_store", store_without_epoch)
    runner, rows = about_to_apply(engines)
    split_partition(WORDS)
    runner.run(rows, rows[-1].position)
    run_in_turn(engines("two"))
    assert sum(n for n, _ in counted_words().values()) > sum(n for n, _ in folded_words().values())


def about_to_apply(engines: Callable[[str], Engine]) -> tuple[SubscriptionRunner, list[Any]]:
    worker = engines("one")
    run_in_turn(worker)
    babble()
    worker._read()
    (runner,) = runners(worker)
    worker.close = lambda: None  # type: ignore[method-assign]
    Lease.objects.update(expires_at=Now() - timedelta(seconds=1))
    return runner, list(worker._buffer)


def test_checkpoint_of_who_has_nothing_to_apply_follows_without_new_events(
    engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    from whizbang.subscriptions import runner as runner_module

    monkeypatch.setattr(runner_module, "_IDLE_CHECKPOINT_SECONDS", 1_000.0)
    split_partition(SPEAKERS)
    worker = engines("one")
    say("ada", "a")
    run_in_turn(worker)
    say("ada", "a")
    run_in_turn(worker)
    head = whizbang.event_store().head()
    rows = Partition.objects.filter(subscription=SPEAKERS)
    monkeypatch.setattr(runner_module, "_IDLE_CHECKPOINT_SECONDS", 0.0)
    run_in_turn(worker)
    assert set(rows.values_list("position", flat=True)) == {head}


# Split and merge


@pytest.mark.parametrize(
    ("name", "counted", "folded"),
    [(WORDS, counted_words, folded_words), (SPEAKERS, counted_speakers, folded_speakers)],
)
def test_split_and_merge_while_events_come(
    engines: Callable[[str], Engine], name: str, counted: Any, folded: Any
) -> None:
    one, two = engines("one"), engines("two")
    for count in (1, 2, 3, 8, 3, 1, 2, 1):
        babble(7)
        one.run_once()
        set_partition_count(name, count)
        assert len(ranges(name)) == count
        babble(3)
        two.run_once()
    run_in_turn(one, two)
    assert counted() == folded() != {}
    leases = Lease.objects.filter(name__startswith=f"{name}#")
    assert not leases.exists(), "leases of partitions that are no more"


def test_split_takes_the_middle_of_the_widest_or_of_the_one_that_is_named() -> None:
    split_partition(WORDS)
    split_partition(WORDS, 512)
    split_partition(WORDS)
    assert ranges() == ["0-256", "256-512", "512-768", "768-1024"]
    with pytest.raises(WhizbangError, match="they do at 0, 256, 512, 768"):
        split_partition(WORDS, 1)


def test_merge_applies_what_the_one_behind_lacks(engines: Callable[[str], Engine]) -> None:
    split_partition(WORDS)
    worker = engines("one")
    worker.run_once()
    babble()
    apply_to_the_lower_half(worker)
    merge_partitions(WORDS)
    assert ranges() == ["0-1024"]
    assert counted_words() == folded_words()
    run_in_turn(worker)
    assert counted_words() == folded_words()


def apply_to_the_lower_half(worker: Engine) -> None:
    worker._read()
    low = next(r for r in runners(worker) if r.slices.first == 0)
    rows = list(worker._buffer)
    low.run(rows, rows[-1].position)


def test_merge_waits_for_workers_where_partitions_stand_far_apart(
    engines: Callable[[str], Engine], settings: Any
) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "BATCH_SIZE": 2}
    split_partition(WORDS)
    worker = engines("one")
    worker.run_once()
    babble(40)
    low, high = Partition.objects.filter(subscription=WORDS).order_by("first_slice")
    Partition.objects.filter(pk=low.pk).update(position=whizbang.event_store().head())
    with pytest.raises(WaitTimeout, match="too far apart"):
        merge_partitions(WORDS, timeout_seconds=0)
    assert ranges() == ["0-512", "512-1024"]
    high.refresh_from_db()
    assert high.position < 40 and counted_words() == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shop.OrderSummaries", "does not say partition_by"),
        ("shop.CustomerTotals", "does not say partition_by"),
        ("words.Nothing", "No subscription"),
    ],
)
def test_what_cannot_be_split_is_refused(name: str, reason: str) -> None:
    for change in (split_partition, merge_partitions):
        with pytest.raises(WhizbangError, match=reason):
            change(name)


def test_partition_of_one_slice_is_not_split() -> None:
    set_partition_count(WORDS, 1024)
    with pytest.raises(WhizbangError, match="one slice"):
        split_partition(WORDS)


# Others that handle checkpoints


def test_hold_still_brings_all_to_one_position(engines: Callable[[str], Engine]) -> None:
    split_partition(WORDS)
    worker = engines("one")
    worker.run_once()
    babble()
    apply_to_the_lower_half(worker)
    with transaction.atomic():
        position = hold_still(definition())
    assert set(Partition.objects.filter(subscription=WORDS).values_list("position", flat=True)) == {
        position
    }
    assert position == whizbang.event_store().head()
    assert counted_words() == folded_words()
    run_in_turn(worker)
    assert counted_words() == folded_words()


def test_move_all_is_seen_by_who_runs_them(engines: Callable[[str], Engine]) -> None:
    set_partition_count(WORDS, 3)
    babble()
    worker = engines("one")
    run_in_turn(worker)
    with transaction.atomic():
        move_all(definition(), 0)
        type(definition().projection).model.objects.all().delete()
    run_in_turn(worker)
    assert counted_words() == folded_words() != {}


def test_subscriber_that_is_split_hears_each_stream_in_order(
    engines: Callable[[str], Engine], isolated_registry: None
) -> None:
    heard: list[tuple[str, int]] = []

    def hear(event: Any, context: whizbang.Context) -> None:
        heard.append((context.metadata.stream, context.metadata.version))

    hear.__module__ = "tests.words.handlers"
    whizbang.subscribes(Said, partition_by="stream", backfill_from=whizbang.BEGINNING)(hear)
    name = next(s.name for s in registry.subscribers if s.function is hear)
    one, two = engines("one"), engines("two")
    split_partition(name)
    run_in_turn(one, two)
    babble()
    run_in_turn(one, two)
    assert [len(runners(worker, name)) for worker in (one, two)] == [1, 1]
    streams = {stream for stream, _ in heard}
    assert len(streams) == 3
    for stream in streams:
        versions = [version for place, version in heard if place == stream]
        assert versions == list(range(1, len(versions) + 1))


def test_subscriber_is_not_split_by_key_or_inline() -> None:
    with pytest.raises(TypeError, match='takes "stream" or None'):
        whizbang.subscribes(Said, partition_by="key")
    with pytest.raises(TypeError, match="no partitions"):
        whizbang.subscribes(Said, partition_by="stream", delivery="inline")


def test_rebuild_of_a_split_projection(engines: Callable[[str], Engine]) -> None:
    set_partition_count(WORDS, 3)
    babble()
    worker = engines("one")
    run_in_turn(worker)
    type(definition().projection).model.objects.all().delete()
    say(1, "more")
    rebuild_here(request_rebuild(WORDS)[0])
    assert counted_words() == folded_words()
    say(1, "more")
    run_in_turn(worker)
    assert counted_words() == folded_words() and len(ranges()) == 3


def test_code_that_partitions_otherwise_stands_still_until_a_rebuild(
    engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    split_partition(WORDS)
    babble()
    run_in_turn(engines("one"))
    monkeypatch.setattr(WordCounts, "partition_by", None)
    say(1, "more")
    other = engines("two")
    engines("one").close()
    Lease.objects.all().delete()
    run_in_turn(other)
    assert "is split by key" in Subscription.objects.get(name=WORDS).error
    assert "more" not in counted_words()
    rebuild_here(request_rebuild(WORDS)[0])
    run_in_turn(other)
    assert ranges() == ["0-1024"]
    say(1, "more")
    run_in_turn(other)
    assert counted_words() == folded_words()


def test_row_that_is_deleted_begins_anew_with_one_partition(drain: Drain) -> None:
    split_partition(WORDS)
    babble(3)
    drain()
    Subscription.objects.filter(name=WORDS).delete()
    type(definition().projection).model.objects.all().delete()
    drain()
    assert ranges() == ["0-1024"] and counted_words() == folded_words()


# What is seen of them


def test_status_tells_each_partition_and_the_one_that_is_furthest_behind(
    engines: Callable[[str], Engine],
) -> None:
    split_partition(WORDS)
    worker = engines("one")
    worker.run_once()
    babble()
    apply_to_the_lower_half(worker)
    found = next(s for s in subscription_statuses() if s.name == WORDS)
    low, high = found.partitions
    assert (low.lag_events, low.lag_seconds, low.owner, str(low)) == (0, 0.0, "one", "0-512")
    assert (found.position, found.lag_events) == (high.position, high.lag_events)
    assert high.lag_events >= 30 and found.lag_seconds == high.lag_seconds
    out = StringIO()
    call_command("whizbang", "status", stdout=out)
    lines = [line.split() for line in out.getvalue().splitlines() if line.startswith("    key")]
    assert lines[0] == ["key", "0-512", "lag", "0", "by", "one"]
    assert lines[1][:3] == ["key", "512-1024", "lag"]


def test_command_splits_and_merges() -> None:
    def run(*options: str) -> str:
        out = StringIO()
        call_command("whizbang", "partitions", WORDS, *options, stdout=out)
        return out.getvalue()

    assert len(run("--count", "3").splitlines()) == 3
    assert run("--split").splitlines()[0].split()[0] == "0-341"
    assert run("--split", "0").splitlines()[0].split()[0] == "0-170"
    assert '"first_slice": 0' in run("--json")
    [merged] = run("--merge").splitlines()
    assert merged.split()[0] == "0-1024" and merged.endswith("by nobody")
    with pytest.raises(CommandError, match="1 to 1024"):
        run("--count", "0")


@pytest.mark.parametrize("partition_by", ["key", "stream"])
def test_waiting_asks_the_partitions_that_are_concerned(
    partition_by: str, engines: Callable[[str], Engine]
) -> None:
    from whizbang.projections.waiting import Target

    name = {"key": WORDS, "stream": SPEAKERS}[partition_by]
    split_partition(name)
    worker = engines("one")
    worker.run_once()
    say(1, "a")
    head = whizbang.event_store().head()
    target = Target(definition(name), head)
    assert not target.is_reached()
    worker.run_once()
    assert target.is_reached()


# Declarations


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"partition_by": "shard"}, 'use "stream", "key" or None'),
        ({"partition_by": "key", "delivery": "inline"}, "drop partition_by"),
        ({"partition_by": "stream", "delivery": "inline"}, "drop partition_by"),
    ],
)
def test_declaration_that_cannot_work_is_told(
    values: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setattr(WordCounts, name, value)
    assert any(reason in problem for problem in problems(WordCounts))
    assert not list(problems(SpeakerCounts))


def test_free_form_needs_keys_to_be_partitioned_by_key(isolated_registry: None) -> None:
    from tests.words.messages import Said

    class Heard(whizbang.Projection):
        partition_by = "key"

        @whizbang.on(Said)
        def said(self, event: Said, meta: Any) -> None:
            raise AssertionError

    assert any("needs the key of said()" in problem for problem in problems(Heard))


def test_free_form_is_called_by_the_partition_of_its_key(isolated_registry: None) -> None:
    from tests.words.messages import Said

    calls: list[str] = []

    class Heard(whizbang.Projection):
        partition_by = "key"

        @whizbang.on(Said, by="words")
        def said(self, event: Said, meta: Any) -> None:
            calls.append(event.words[0])

    for word in MANY:
        say(1, word)
    say(1)
    recorded = [tuple(item) for item in whizbang.event_store().read_all(limit=None)]
    Heard().apply_batch(recorded, using="default", slices=SliceRange(0, 512))
    assert calls == [word for word in MANY if slice_of_key(word) < 512] != []
    Heard().apply_batch(recorded, using="default", slices=SliceRange(512, 1024))
    assert sorted(calls) == sorted(MANY)
    two = Said(speaker="1", words=["a", "b"])
    with pytest.raises(WhizbangError, match="2 keys for one call"):
        Heard().apply_batch([(two, recorded[0][1])], using="default", slices=SliceRange(0, 1024))
