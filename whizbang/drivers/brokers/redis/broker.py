"""Redis Streams as a broker."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from whizbang.drivers.brokers.base import (
    Broker,
    BrokerMessage,
    BrokerUnavailable,
    Delivery,
    Kind,
    Published,
    Topology,
)
from whizbang.drivers.brokers.cloudevents import STRUCTURED_HEADER, to_structured
from whizbang.drivers.brokers.redis import scripts
from whizbang.drivers.brokers.redis.connection import RedisConnection
from whizbang.drivers.brokers.redis.lag import LagWatch
from whizbang.drivers.brokers.redis.receiver import RedisReceiver
from whizbang.drivers.telemetry.operations import Server
from whizbang.exceptions import WhizbangError

logger = logging.getLogger(__name__)

# One round trip; a script that adds 500 entries holds the server up for a few milliseconds.
_ROUND_MESSAGES = 500
_ROUND_BYTES = 4 * 1024 * 1024


class _Entry(NamedTuple):
    stream: str
    message_id: UUID
    document: bytes


class RedisBroker(Broker):
    """Messages in streams of Redis 7 or newer: one server or the primary of a replica set, no cluster.

    **Messages are as durable as Redis is.** Without `appendonly yes` a crash loses what was confirmed since
    the last snapshot; with `appendfsync everysec` about the last second, and a failover what the replica had
    not got. The server must not evict (`maxmemory-policy noeviction`).

    Streams are `PREFIX:service:SERVICE` for the commands and replies of a service and `PREFIX:events:DOMAIN`
    for a topic; a group has the name of its service. A service that joins late gets what a topic still has.
    Entries stay after they are handled, and memory is needed for them: a stream is trimmed to about
    `max_length` and by nothing else. **What is trimmed before a slow service has read it is lost for that
    service**; from 80% of `max_length` on its lag is logged as a warning.

    One receiver of a service reads a stream at a time, under a lease of `lease_seconds`; another one
    takes over when it is closed or, if it died, when its lease ends. What some other consumer in the group
    holds (someone who tried `XREADGROUP` by hand) is taken from it after `claim_after_seconds`.

    TLS is a `rediss://` url; its parameters are those of redis-py, such as `?ssl_ca_certs=/path`.
    """

    system: ClassVar[str] = "redis"
    own_options: ClassVar[Mapping[str, Any]] = {
        "url": "redis://127.0.0.1:6379/0",
        "max_length": 1_000_000,  # entries of a stream, about
        "max_message_bytes": 5 * 1024 * 1024,  # as a CloudEvent
        "lease_seconds": 15.0,
        "claim_after_seconds": 60.0,
    }

    def __init__(
        self, *, using: str, alias: str = "default", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(using=using, alias=alias, options=options)
        if urlsplit(self.options["url"]).scheme not in ("redis", "rediss", "unix"):
            raise WhizbangError(
                f"Broker {alias!r}: its url begins with none of redis://, rediss://, unix://."
            )
        for name in self.own_options.keys() - {"url"}:
            if self.options[name] <= 0:
                raise WhizbangError(
                    f"Broker {alias!r}: {name} is {self.options[name]}, not above 0."
                )
        self._receiver: RedisReceiver | None = None

    @property
    def server(self) -> Server:
        url = urlsplit(self.options["url"])
        if url.scheme == "unix":
            return Server(url.path)
        return Server(url.hostname or "localhost", url.port or 6379)

    def destination_of(self, message: BrokerMessage) -> str:
        folder = "events" if message.kind is Kind.EVENT else "service"
        return self._key(folder, message.destination)

    @property
    def group(self) -> str:
        return "" if self._receiver is None else self._receiver.service

    def source_of(self, delivery: Delivery) -> str:
        return str(delivery.token[0])

    def depths(self) -> Mapping[str, int]:
        return self._declared().depths()

    def declare(self, topology: Topology) -> None:
        leases = {
            self._key(part): self._key("receiver", topology.service, part)
            for part in _parts(topology.service, topology.listens_to)
        }
        groups = [(stream, topology.service) for stream in leases]
        for peer, domains in topology.peers.items():
            groups += [(self._key(part), peer) for part in _parts(peer, domains)]
        owned = [self._key("events", domain) for domain in topology.owns]
        # First: receive() may be tried before declare() has succeeded, and then tells what is wrong.
        if self._receiver is None or self._receiver.service != topology.service:
            self._receiver = self._make_receiver(topology.service)
        self._receiver.set_streams(leases)
        self._refuse_other_types([*owned, *(stream for stream, _ in groups)])
        self._make(groups)

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        deadline = time.monotonic() + self.options["timeout_seconds"]
        entries, refused = self._to_entries(messages)
        confirmed: set[UUID] = set()
        failed: dict[str, str] = {}  # why, by stream: nothing later of it may be stored
        try:
            with self._connection.answering() as client:
                self._lag.check(client, [entry.stream for entry in entries])
                for batch in _rounds(entries):
                    if time.monotonic() >= deadline:
                        break
                    self._add(client, batch, confirmed, failed)
        except BrokerUnavailable as exc:
            if not confirmed and not refused:
                raise
            logger.warning("Not all messages were published: %s alias=%s", exc.reason, self.alias)
        if failed and not confirmed and not refused:
            raise self._connection.unavailable("; ".join(sorted(set(failed.values()))))
        return Published(confirmed=frozenset(confirmed), refused=refused)

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        return self._declared().receive(limit=limit, timeout_seconds=timeout_seconds)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self._declared().acknowledge(delivery.token for delivery in deliveries)

    def close(self) -> None:
        try:
            if self._receiver is not None:
                self._receiver.release()
        except BrokerUnavailable as exc:
            # Nothing is lost by it: the leases end by themselves.
            logger.warning("Leases were not given up: %s alias=%s", exc.reason, self.alias)
        finally:
            self._connection.close()

    def _refuse_other_types(self, keys: Sequence[str]) -> None:
        with self._connection.answering() as client:
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.type(key)
            types = [found.decode() for found in pipeline.execute()]
        for key, found in zip(keys, types, strict=True):
            if found not in ("none", "stream"):
                raise WhizbangError(
                    f"Broker {self.alias!r} needs {key!r} in Redis for a stream, but it is a {found}: "
                    "rename or delete that key, or choose another prefix or database number."
                )

    def _make(self, groups: Sequence[tuple[str, str]]) -> None:
        with self._connection.answering() as client:
            pipeline = client.pipeline(transaction=False)
            for stream, group in groups:
                pipeline.xgroup_create(stream, group, id="0", mkstream=True)
            for answer in pipeline.execute(raise_on_error=False):
                if isinstance(answer, Exception) and not str(answer).startswith("BUSYGROUP"):
                    raise answer

    def _make_receiver(self, service: str) -> RedisReceiver:
        return RedisReceiver(
            self._connection,
            self._lag,
            service=service,
            lease_seconds=self.options["lease_seconds"],
            claim_after_seconds=self.options["claim_after_seconds"],
            # Well before the client takes the silence for a failure.
            longest_wait_seconds=self.options["timeout_seconds"] / 2,
        )

    def _to_entries(
        self, messages: Sequence[BrokerMessage]
    ) -> tuple[list[_Entry], dict[UUID, str]]:
        entries, refused = [], {}
        limit = self.options["max_message_bytes"]
        for message in messages:
            document = to_structured(message)
            if len(document) > limit:
                refused[message.message_id] = (
                    f"It has {len(document)} bytes; broker {self.alias!r} takes {limit} (max_message_bytes)."
                )
            else:
                stream = self.destination_of(message)
                entries.append(_Entry(stream, message.message_id, document))
        return entries, refused

    def _add(
        self, client: Any, batch: Sequence[_Entry], confirmed: set[UUID], failed: dict[str, str]
    ) -> None:
        """One script a stream: a pipeline of XADDs would let those behind one that failed pass it."""
        by_stream: dict[str, list[_Entry]] = {}
        for entry in batch:
            if entry.stream not in failed:
                by_stream.setdefault(entry.stream, []).append(entry)
        pipeline = client.pipeline(transaction=False)
        for stream, entries in by_stream.items():
            values = (self.options["max_length"], STRUCTURED_HEADER, *(e.document for e in entries))
            pipeline.eval(scripts.ADD, 1, stream, *values)
        answers = pipeline.execute(raise_on_error=False)
        for (stream, entries), answer in zip(by_stream.items(), answers, strict=True):
            # An error of the script itself: what it had done by then is not known.
            stored, why = (0, str(answer)) if isinstance(answer, Exception) else answer
            confirmed.update(entry.message_id for entry in entries[:stored])
            if stored < len(entries):
                failed[stream] = why if isinstance(why, str) else why.decode()
                logger.warning(
                    "A stream takes no messages: %s stream=%s alias=%s",
                    self._connection.mask(failed[stream]),
                    stream,
                    self.alias,
                )

    def _declared(self) -> RedisReceiver:
        if self._receiver is None:
            raise WhizbangError(f"Broker {self.alias!r} receives nothing before declare().")
        return self._receiver

    def _key(self, *parts: str) -> str:
        return ":".join((self.options["prefix"], *parts))

    @cached_property
    def _connection(self) -> RedisConnection:
        return RedisConnection(
            alias=self.alias,
            url=self.options["url"],
            timeout_seconds=self.options["timeout_seconds"],
        )

    @cached_property
    def _lag(self) -> LagWatch:
        return LagWatch(alias=self.alias, max_length=self.options["max_length"])


def _parts(service: str, domains: Collection[str]) -> list[str]:
    return [f"service:{service}", *(f"events:{domain}" for domain in sorted(domains))]


def _rounds(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """In order. The next round waits for the answer to this one: see _add()."""
    batch: list[_Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == _ROUND_MESSAGES or size + len(entry.document) > _ROUND_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += len(entry.document)
    if batch:
        yield batch
