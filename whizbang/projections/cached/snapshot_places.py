"""Where snapshots of cached projections are kept: in two tables, or in a cache of Django's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
from django.core.cache import caches as django_caches

from whizbang.conf import settings
from whizbang.models import CachedSnapshot, CachedSnapshotChunk

KEEP_SECONDS = 7 * 24 * 3600  # of what nobody replaces in a cache of Django's


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot was folded from, and where its chunks are."""

    projection: str
    token: UUID
    version: int
    fingerprint: str
    store_id: UUID
    history_change: int
    position: int
    chunk_count: int
    entry_count: int


class SnapshotPlace(ABC):
    """Keeps the last snapshot of each projection."""

    @abstractmethod
    def find(self, projection: str) -> Header | None:
        """The snapshot that was published last."""

    @abstractmethod
    def chunks(self, header: Header) -> Iterator[bytes]:
        """Its chunks in order, read one by one; fewer than it says when they are gone meanwhile."""

    @abstractmethod
    def put_chunk(self, projection: str, token: UUID, number: int, payload: bytes) -> None:
        """Keep a chunk of a snapshot that is not published yet."""

    @abstractmethod
    def publish(self, header: Header) -> None:
        """Let others find a snapshot whose chunks are all there, and remove older ones."""


class TablePlace(SnapshotPlace):
    """In the store's database."""

    def __init__(self, using: str) -> None:
        self._headers = CachedSnapshot.objects.using(using)
        self._chunks = CachedSnapshotChunk.objects.using(using)

    def find(self, projection: str) -> Header | None:
        names = Header.__struct_fields__
        values = self._headers.filter(projection=projection).values(*names).first()
        return None if values is None else Header(**values)

    def chunks(self, header: Header) -> Iterator[bytes]:
        rows = self._chunks.filter(token=header.token).values_list("payload", flat=True)
        for number in range(header.chunk_count):
            payload = rows.filter(number=number).first()
            if payload is None:
                return
            yield bytes(payload)

    def put_chunk(self, projection: str, token: UUID, number: int, payload: bytes) -> None:
        self._chunks.create(projection=projection, token=token, number=number, payload=payload)

    def publish(self, header: Header) -> None:
        values: dict[str, Any] = msgspec.structs.asdict(header)
        self._headers.update_or_create(projection=values.pop("projection"), defaults=values)
        self._chunks.filter(projection=header.projection).exclude(token=header.token).delete()


class DjangoCachePlace(SnapshotPlace):
    """In a cache of settings.CACHES that processes share, such as Redis; entries end after a week."""

    def __init__(self, alias: str) -> None:
        self._cache = django_caches[alias]

    def find(self, projection: str) -> Header | None:
        data = self._cache.get(self._key(projection))
        return None if data is None else msgspec.json.decode(data, type=Header)

    def chunks(self, header: Header) -> Iterator[bytes]:
        for number in range(header.chunk_count):
            payload = self._cache.get(self._key(header.projection, header.token, number))
            if payload is None:
                return
            yield payload

    def put_chunk(self, projection: str, token: UUID, number: int, payload: bytes) -> None:
        self._cache.set(self._key(projection, token, number), payload, KEEP_SECONDS)

    def publish(self, header: Header) -> None:
        old = self.find(header.projection)
        data = msgspec.json.encode(header)
        self._cache.set(self._key(header.projection), data, KEEP_SECONDS)
        if old is not None and old.token != header.token:
            for number in range(old.chunk_count):
                self._cache.delete(self._key(old.projection, old.token, number))

    def _key(self, *parts: Any) -> str:
        return ":".join(("whizbang", settings.SERVICE, "cached", *map(str, parts)))
