"""What the read models of words must hold: an offline fold of the log."""

from __future__ import annotations

from collections.abc import Callable

import whizbang
from tests.words.messages import Said
from tests.words.models import SpeakerCount, WordCount
from tests.words.projections import step

WORDS, SPEAKERS = "words.WordCounts", "words.SpeakerCounts"
Counts = dict[str, tuple[int, int]]  # how often, and in which order


def say(speaker: object, *words: str) -> None:
    event = Said(speaker=str(speaker), words=list(words))
    whizbang.event_store().append(f"words.Speaker-{speaker}", [event])


def folded_words() -> Counts:
    return _fold(lambda event: list(dict.fromkeys(event.words)))


def folded_speakers() -> Counts:
    return _fold(lambda event: [event.speaker])


def counted_words() -> Counts:
    rows = WordCount.objects.values_list("word", "count", "trail")
    return {word: (n, trail) for word, n, trail in rows}


def counted_speakers() -> Counts:
    rows = SpeakerCount.objects.values_list("speaker", "count", "trail")
    return {speaker: (n, trail) for speaker, n, trail in rows}


def _fold(keys_of: Callable[[Said], list[str]]) -> Counts:
    found: Counts = {}
    for recorded in whizbang.event_store().read_all(limit=None, types=[Said]):
        for key in keys_of(recorded.event):
            count, trail = found.get(key, (0, 0))
            found[key] = (count + 1, step(trail, recorded.meta.position))
    return found
