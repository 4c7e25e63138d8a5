"""The sink for tests: documents of this process, gone when it ends or the settings change."""

from __future__ import annotations

import threading
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from whizbang.drivers.sinks.base import (
    Collection,
    Document,
    GenerationGone,
    Sink,
)

_tokens = count(1)


class MemorySink(Sink):
    """Keeps everything in dicts. Tombstones stay until a rebuild."""

    is_remote = False

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self._generations: dict[str, dict[str, dict[str, Document]]] = {}
        self._live: dict[str, str] = {}
        self._lock = threading.RLock()

    def check(self) -> None:
        """It is always there."""

    def close(self) -> None:
        """Nothing is connected."""

    def live(self, collection: Collection) -> str | None:
        return self._live.get(collection.name)

    def open(self, collection: Collection, first: str) -> str:
        with self._lock:
            if self.live(collection) is None:
                self.create(collection, first)
                self.publish(collection, first)
            return self._live[collection.name]

    def create(self, collection: Collection, generation: str) -> None:
        with self._lock:
            live = self._live.get(collection.name)
            known = self._generations.get(collection.name, {})
            kept = {live: known[live]} if live is not None else {}
            self._generations[collection.name] = {**kept, generation: {}}

    def publish(self, collection: Collection, generation: str) -> None:
        with self._lock:
            documents = self._documents(collection, generation)
            self._generations[collection.name] = {generation: documents}
            self._live[collection.name] = generation

    def drop(self, collection: Collection) -> None:
        with self._lock:
            self._generations.pop(collection.name, None)
            self._live.pop(collection.name, None)

    def _read(
        self, collection: Collection, keys: Sequence[str], generation: str | None
    ) -> dict[str, Document]:
        with self._lock:
            generation = generation or self.live(collection)
            if generation is None:
                return {}
            documents = self._documents(collection, generation)
            return {key: documents[key] for key in keys if key in documents}

    def _write(
        self,
        collection: Collection,
        generation: str,
        documents: Sequence[Document],
        refused: dict[str, str],
    ) -> Several[str]:
        conflicts = []
        with self._lock:
            stored = self._documents(collection, generation)
            for document in documents:
                before = stored.get(document.key)
                if (None if before is None else before.token) == document.token:
                    stored[document.key] = replace(document, token=next(_tokens))
                else:
                    conflicts.append(document.key)
        return conflicts

    def _documents(self, collection: Collection, generation: str) -> dict[str, Document]:
        documents = self._generations.get(collection.name, {}).get(generation)
        if documents is None:
            raise GenerationGone(collection.name, generation)
        return documents
