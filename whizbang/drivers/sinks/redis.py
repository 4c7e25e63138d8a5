"""Redis as a sink: a hash a document, and scripts that compare before they write."""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import msgspec

from whizbang.drivers.sinks import redis_scripts as scripts
from whizbang.drivers.sinks.base import (
    Collection,
    Document,
    GenerationGone,
    Sink,
)
from whizbang.drivers.sinks.masking import mask
from whizbang.exceptions import SinkUnavailable, WhizbangError

_PURGED_AT_ONCE = 500
_decode_applied = msgspec.json.Decoder(dict[str, int]).decode


class RedisSink(Sink):
    """Documents in Redis 6 or newer, one server, a replica set's primary or a cluster.

    Keys are `PREFIX{COLLECTION}:…`, so that all of a collection are in one slot of a cluster. The server
    must not evict (`maxmemory-policy noeviction`), and what it loses in a crash is lost until a rebuild.
    """

    own_options: ClassVar[Mapping[str, Any]] = {"url": "redis://127.0.0.1:6379/0"}

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        if set("{}") & set(self.options["prefix"]):
            raise WhizbangError(f"Sink {alias!r} has braces in its prefix: Redis hashes by them.")
        url = urlsplit(self.options["url"])
        self._secrets = [unquote(url.password or ""), url.password or ""]

    def check(self) -> None:
        with self._answering():
            self._client.ping()

    def close(self) -> None:
        client = self.__dict__.pop("_client", None)
        self.__dict__.pop("_scripts", None)
        if client is not None:
            client.close()

    def live(self, collection: Collection) -> str | None:
        with self._answering():
            found = self._client.get(self._key(collection, "live"))
        return None if found is None else found.decode()

    def open(self, collection: Collection, first: str) -> str:
        with self._answering():
            found = self._run("open", self._admin_keys(collection), [first])
        return str(found.decode())

    def create(self, collection: Collection, generation: str) -> None:
        with self._answering():
            self._run("create", self._admin_keys(collection), [generation])
            self._purge(collection)

    def publish(self, collection: Collection, generation: str) -> None:
        with self._answering():
            if not self._run("publish", self._admin_keys(collection), [generation]):
                raise GenerationGone(collection.name, generation)
            self._purge(collection)

    def drop(self, collection: Collection) -> None:
        with self._answering():
            self._run("drop", self._admin_keys(collection), [])
            self._purge(collection)

    def _read(
        self, collection: Collection, keys: Sequence[str], generation: str | None
    ) -> dict[str, Document]:
        seen = generation or self.live(collection)
        if seen is None:
            return {}
        with self._answering():
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.hmget(self._key(collection, seen, "doc", key), "token", "p", "b", "a")
            # Asked for last: a generation that is dropped meanwhile is not taken for an empty one.
            pipeline.sismember(self._key(collection, "generations"), seen)
            *found, is_there = pipeline.execute()
        if not is_there:
            if generation is None:  # it was replaced between the two questions
                return self._read(collection, keys, None)
            raise GenerationGone(collection.name, seen)
        return {
            key: Document(
                key=key, position=int(p), body=body, applied=_decode_applied(applied), token=token
            )
            for key, (token, p, body, applied) in zip(keys, found, strict=True)
            if token is not None
        }

    def _write(
        self,
        collection: Collection,
        generation: str,
        documents: Sequence[Document],
        refused: dict[str, str],
    ) -> Several[str]:
        keys = [self._key(collection, "generations"), self._key(collection, generation, "keys")]
        keys += [self._key(collection, generation, "doc", d.key) for d in documents]
        values: list[Any] = [generation, int(self.options["tombstone_seconds"] * 1000)]
        for document in documents:
            applied = msgspec.json.encode(document.applied)
            is_tombstone = int(document.body is None)
            values += [document.token or b"", uuid4().bytes, document.position]
            values += [is_tombstone, document.body or b"", applied, document.key]
        with self._answering():
            conflicts = self._run("write", keys, values)
        if conflicts is None:
            raise GenerationGone(collection.name, generation)
        return [key.decode() for key in conflicts]

    def _purge(self, collection: Collection) -> None:
        """Remove dropped generations a bite at a time, so that nobody waits; a crash leaves the rest
        to the next one."""
        dropped = self._key(collection, "dropped")
        for generation in [name.decode() for name in self._client.smembers(dropped)]:
            names = self._key(collection, generation, "keys")
            while bite := self._client.srandmember(names, _PURGED_AT_ONCE):
                pipeline = self._client.pipeline(transaction=False)
                pipeline.unlink(
                    *(self._key(collection, generation, "doc", key.decode()) for key in bite)
                )
                pipeline.srem(names, *bite)
                pipeline.execute()
            self._client.srem(dropped, generation)

    def _admin_keys(self, collection: Collection) -> list[str]:
        return [self._key(collection, name) for name in ("live", "generations", "dropped")]

    def _key(self, collection: Collection, *parts: str) -> str:
        return ":".join((f"{self.options['prefix']}{{{collection.name}}}", *parts))

    def _run(self, name: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
        return self._scripts[name](keys=keys, args=values)

    @cached_property
    def _client(self) -> Any:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        limit = self.options["timeout_seconds"]
        # No retries of its own: the runner waits between attempts, and the time of one is bounded.
        return Redis.from_url(
            self.options["url"],
            socket_timeout=limit,
            socket_connect_timeout=limit,
            retry=Retry(NoBackoff(), 0),
        )

    @cached_property
    def _scripts(self) -> dict[str, Any]:
        return {name: self._client.register_script(text) for name, text in scripts.ALL.items()}

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except (RedisError, OSError) as exc:
            # From None: the product's own error may tell secrets, and tracebacks are stored and logged.
            reason = mask(f"{type(exc).__name__}: {exc}", self._secrets)
            raise SinkUnavailable(self.alias, reason) from None
