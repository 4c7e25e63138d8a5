from __future__ import annotations

from tests.words.messages import Said
from tests.words.models import SpeakerCount, WordCount
from whizbang import Metadata, ModelProjection, on


def step(trail: int, position: int) -> int:
    """What stands for all positions so far, in their order."""
    return (trail * 31 + position) % 1_000_000_007


class WordCounts(ModelProjection):
    """Keyed across streams: an event concerns a row for each of its words."""

    model = WordCount
    partition_by = "key"

    @on(Said, by="words")
    def said(self, row: WordCount, event: Said, meta: Metadata) -> None:
        if row.word.startswith("poison") and not row.is_cured:
            raise ValueError("This word cannot be counted.")
        row.count += 1
        row.trail = step(row.trail, meta.position)


class SpeakerCounts(ModelProjection):
    """Row and stream agree."""

    model = SpeakerCount
    partition_by = "stream"

    @on(Said, by="speaker")
    def said(self, row: SpeakerCount, event: Said, meta: Metadata) -> None:
        row.count += 1
        row.trail = step(row.trail, meta.position)
