"""What fails where a projection is partitioned by key: the key is parked, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.raw_events import append_raw
from tests.words.fold import WORDS, counted_words, folded_words, say
from tests.words.models import WordCount
from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SkippedEvent, Subscription
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.partitions import merge_partitions, set_partition_count, split_partition
from whizbang.operations.rebuild import rebuild_here, request_rebuild
from whizbang.subscriptions.partitioning import SliceRange, slice_of_key

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
STREAM = "words.Speaker-1"


def counts() -> dict[str, int]:
    return {word: count for word, (count, _) in counted_words().items()}


def cure(word: str = "poison") -> None:
    """As if the code had been mended: the row is made as that of one that was never met."""
    WordCount.objects.update_or_create(word=word, defaults={"is_cured": True})


def parked() -> list[tuple[str, str]]:
    rows = ParkedStream.objects.filter(subscription=WORDS).order_by("id")
    return list(rows.values_list("unit", "key"))


@pytest.mark.parametrize("count", [1, 2, 8])
def test_key_is_parked_and_other_keys_of_its_events_go_on(drain: Drain, count: int) -> None:
    set_partition_count(WORDS, count)
    say(1, "a", "poison", "b")
    say(2, "poison", "a")
    say(1, "b")
    drain()
    say(3, "poison", "c")
    drain()
    assert counts() == {"a": 2, "b": 2, "c": 1}
    row = ParkedStream.objects.get()
    assert (row.unit, row.key, row.stream, row.version) == ("key", "poison", STREAM, 1)
    at = slice_of_key("poison")
    assert (row.first_slice, row.end_slice) == (at, at + 1)
    assert "cannot be counted" in row.error


@pytest.mark.parametrize("count", [1, 2, 8])
def test_retry_applies_the_events_of_a_key_across_streams_in_order(
    drain: Drain, count: int
) -> None:
    set_partition_count(WORDS, count)
    for speaker in (1, 2, 1, 3):
        say(speaker, "poison", "a")
    drain()
    say(2, "poison")
    drain()
    cure()
    retry_parked(WORDS, key="poison")
    drain()
    assert parked() == []
    assert counted_words() == folded_words()


def test_retry_without_a_cure_stays_parked_and_applies_nothing_twice(drain: Drain) -> None:
    say(1, "poison", "a")
    drain()
    retry_parked(WORDS)
    drain()
    row = ParkedStream.objects.get()
    assert (row.attempts, row.is_retry_requested, counts()) == (2, False, {"a": 1})


def test_two_keys_of_one_event_are_parked_each_by_itself(drain: Drain) -> None:
    say(1, "poison1", "a", "poison2")
    say(1, "poison2")
    drain()
    assert parked() == [("key", "poison1"), ("key", "poison2")]
    cure("poison2")
    retry_parked(WORDS, key="poison2")
    drain()
    assert parked() == [("key", "poison1")]
    assert counts() == {"a": 1, "poison2": 2}


def test_parked_key_goes_with_its_partition(drain: Drain) -> None:
    say(1, "poison", "a")
    drain()
    split_partition(WORDS)
    say(2, "poison", "b")
    drain()
    cure()
    retry_parked(WORDS)
    drain()
    merge_partitions(WORDS)
    say(3, "poison", "b")
    drain()
    assert parked() == [] and counted_words() == folded_words()


def test_skip_leaves_an_event_out_for_one_key(drain: Drain) -> None:
    say(1, "poison", "a")
    say(2, "poison")
    drain()
    cure()
    skipped = skip_parked(WORDS, key="poison", reason="A typo, ticket 7.", skipped_by="ada")
    drain()
    assert (skipped.stream, skipped.version, skipped.key) == (STREAM, 1, "poison")
    assert counts() == {"a": 1, "poison": 1} and parked() == []


def test_skip_says_what_it_needs(drain: Drain) -> None:
    say(1, "poison")
    drain()
    with pytest.raises(ValueError, match="one of the two"):
        skip_parked(WORDS, reason="A typo.")
    with pytest.raises(ValueError, match="one of the two"):
        skip_parked(WORDS, stream=STREAM, key="poison", reason="A typo.")
    with pytest.raises(WhizbangError, match="Key 'a' is not parked"):
        skip_parked(WORDS, key="a", reason="A typo.")
    with pytest.raises(WhizbangError, match="Stream .* is not parked"):
        skip_parked(WORDS, stream=STREAM, reason="A typo.")
    assert not SkippedEvent.objects.exists()


def test_keys_on_the_command_line(drain: Drain) -> None:
    say(1, "poison", "a")
    drain()
    out = StringIO()
    call_command("whizbang", "retry", WORDS, "--key", "poison", stdout=out)
    call_command("whizbang", "skip", WORDS, "--key", "poison", "--reason", "A typo.", stdout=out)
    assert "1 parked" in out.getvalue() and "left out" in out.getvalue()
    with pytest.raises(CommandError, match="one of the two"):
        call_command("whizbang", "skip", WORDS, "--reason", "A typo.")


# Events that do not tell their keys


def say_nonsense(version: int) -> None:
    append_raw(STREAM, "words.Said", {"speaker": "1", "words": 7}, version=version)


@pytest.mark.parametrize("count", [1, 4])
def test_event_that_does_not_tell_its_keys_parks_its_stream_for_all_of_them(
    drain: Drain, count: int
) -> None:
    set_partition_count(WORDS, count)
    say(1, "a", "b")
    say_nonsense(2)
    say(1, "a", "c")
    say(2, "a", "d")
    drain()
    assert counts() == {"a": 2, "b": 1, "d": 1}
    rows = ParkedStream.objects.filter(subscription=WORDS)
    assert set(rows.values_list("unit", "stream", "version")) == {("stream", STREAM, 2)}
    assert [(r.first_slice, r.end_slice) for r in rows.order_by("first_slice")] == [
        (i * 1024 // count, (i + 1) * 1024 // count) for i in range(count)
    ]


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 4), (4, 1), (3, 2)])
def test_what_follows_it_is_applied_once_when_it_is_skipped(
    drain: Drain, before: int, after: int
) -> None:
    set_partition_count(WORDS, before)
    say_nonsense(1)
    for word in "abcdefgh":
        say(1, word, "all")
        say(2, word)
    drain()
    set_partition_count(WORDS, after)
    say(1, "late")
    drain()
    skip_parked(WORDS, stream=STREAM, reason="Nonsense.")
    drain()
    assert parked() == []
    assert counts() == {**dict.fromkeys("abcdefgh", 2), "all": 8, "late": 1}


def test_retry_of_a_key_leaves_out_what_is_parked_or_skipped_otherwise(drain: Drain) -> None:
    say(2, "poison")
    say_nonsense(1)
    say(1, "poison", "a")
    drain()
    cure()
    retry_parked(WORDS, key="poison")
    drain()
    assert parked() == [("stream", "")] and counts() == {"poison": 1}
    say(2, "poison2", "poison")
    drain()
    skip_parked(WORDS, stream=STREAM, reason="Nonsense.")
    drain()
    assert counts() == {"poison": 3, "a": 1}
    cure("poison2")
    retry_parked(WORDS)
    drain()
    assert counts()["poison2"] == 1 and parked() == []


def test_key_that_fails_while_its_stream_is_retried_is_parked_by_itself(drain: Drain) -> None:
    split_partition(WORDS)
    say_nonsense(1)
    say(1, "poison", "a")
    say(1, "b", "poison")
    drain()
    skip_parked(WORDS, stream=STREAM, reason="Nonsense.")
    drain()
    assert parked() == [("key", "poison")] and counts() == {"a": 1, "b": 1}
    cure()
    retry_parked(WORDS)
    drain()
    assert parked() == [] and counts() == {"a": 1, "b": 1, "poison": 2}


def test_rebuild_parks_in_each_partition_what_it_leaves_out(drain: Drain) -> None:
    split_partition(WORDS)
    say(1, "a")
    say(1, "poison")
    say(1, "b")
    say(2, "b")
    drain()
    rebuild_here(request_rebuild(WORDS)[0])
    assert parked() == [("stream", ""), ("stream", "")]
    assert counts() == {"a": 1, "b": 1}
    say(1, "b")
    drain()
    assert counts() == {"a": 1, "b": 1}
    cure()
    retry_parked(WORDS)
    drain()
    assert parked() == [] and counts() == {"a": 1, "b": 3, "poison": 1}


def test_code_that_knows_no_keys_leaves_parked_keys_alone(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.words.projections import WordCounts

    say(1, "poison")
    drain()
    monkeypatch.setattr(WordCounts, "partition_by", None)
    say(1, "a")
    drain()
    assert "has keys parked" in Subscription.objects.get(name=WORDS).error
    assert counts() == {} and parked() == [("key", "poison")]


def test_fold_is_restricted_to_slices() -> None:
    from tests.words.projections import WordCounts

    for number in range(30):
        say(1, f"w{number}", "all")
    parts = {}
    for slices in (SliceRange(0, 300), SliceRange(300, 1024)):
        events = whizbang.event_store().read_all(limit=None)
        found = WordCounts().fold_all(events, using="default", slices=slices)
        assert all(slices.contains(slice_of_key(key)) for key in found)
        assert not parts.keys() & found.keys()
        parts |= found
    assert {key: (row.count, row.trail) for key, row in parts.items()} == folded_words()
