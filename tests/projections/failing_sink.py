"""The sink in memory, whose product fails when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from whizbang.drivers.sinks import base
from whizbang.drivers.sinks.base import Document
from whizbang.drivers.sinks.memory import MemorySink
from whizbang.exceptions import SinkUnavailable


class FailingSink(MemorySink):
    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.is_down = False
        self.error: Exception | None = None
        self.tries = 0
        self.refused: set[str] = set()
        self.refuses: Callable[[Document], bool] = lambda document: document.key in self.refused

    def live(self, collection: base.Collection) -> str | None:
        self.tries += 1
        if self.is_down:
            raise SinkUnavailable(self.alias, "it is down")
        if self.error is not None:
            raise self.error
        return super().live(collection)

    def _write(
        self,
        collection: base.Collection,
        generation: str,
        documents: Sequence[Document],
        refused: dict[str, str],
    ) -> Collection[str]:
        refused.update({d.key: "refused by the test" for d in documents if self.refuses(d)})
        accepted = [d for d in documents if d.key not in refused]
        return super()._write(collection, generation, accepted, refused)
