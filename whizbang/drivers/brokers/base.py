"""The contract of a broker driver: messages between services, at least once, in their order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from whizbang.drivers.telemetry import names
from whizbang.drivers.telemetry.operations import Server
from whizbang.exceptions import WhizbangError
from whizbang.messages.metadata import WireMetadata


class Kind(StrEnum):
    """What a message is to its receiver."""

    COMMAND = "command"  # to the one queue of the service that owns it
    REPLY = "reply"  # to the service that asked
    EVENT = "event"  # to the topic of its domain, for every service that listens


class BrokerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message between two services. `payload` is JSON."""

    kind: Kind
    destination: str  # the service that a command or reply is for; the domain of an event
    message_id: UUID
    type: str
    schema: int = 1
    payload: bytes
    metadata: WireMetadata  # its `service` is the sender
    occurred_at: datetime
    ordering_key: str | None = None  # of a command; an event's is its stream
    available_at: datetime | None = None  # handled not before
    expires_at: datetime | None = None  # handled not after
    reply_to: str = ""  # the service that waits for the answer of a command
    stream: str = ""  # of an event, as its version and position in its service's log
    version: int = 0
    position: int = 0
    lane: str = ""  # the part of its topic that an event is in order in; see Broker.lane_of()
    previous: int | None = None  # position of the event that was published to this lane before it


class Malformed(WhizbangError):
    """What came over a broker is no message; it is set aside with what it says."""


class BrokerUnavailable(WhizbangError):
    """The broker cannot do its work now; what waits is tried again."""

    def __init__(self, alias: str, reason: str) -> None:
        self.alias, self.reason = alias, reason
        super().__init__(f"Broker {alias!r} is not available: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What one service needs of a broker."""

    service: str
    owns: Collection[str]  # domains whose events it publishes
    listens_to: Collection[str]  # domains of others whose events it wants
    # Other services, each with the domains that it listens to as far as that is known: their queues are
    # made beforehand, so that nothing is lost that is sent before they have ever run.
    peers: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message from the broker, held back from others until it is acknowledged."""

    message: BrokerMessage | None  # None: it could not be read, `problem` says why
    problem: str = ""
    raw: bytes = b""  # as it came, of one that could not be read
    token: Any = None  # the driver's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of a batch, by message id. What is in neither was not confirmed: send it again."""

    confirmed: frozenset[UUID]
    refused: Mapping[UUID, str] = field(default_factory=dict)  # it will never be taken: why


class Broker(ABC):
    """Carries messages between services. One thread at a time uses it; no method uses a database but the
    one that is the broker.

    Whatever talks to the product ends within the option `timeout_seconds` a round trip, and raises
    `BrokerUnavailable` when it cannot do its work now; afterwards the same object connects anew. Errors
    and `repr` have no credentials in them.
    """

    is_remote: ClassVar[bool] = True  # does it talk to a server?
    system: ClassVar[str] = names.OWN_SYSTEM  # what OpenTelemetry calls the product
    own_options: ClassVar[Mapping[str, Any]] = {}  # with their defaults, beside the common ones

    def __init__(
        self, *, using: str, alias: str = "default", options: Mapping[str, Any] | None = None
    ) -> None:
        """`using` names the database of the service; `alias` the broker in the settings.

        Raises WhizbangError for options that it does not know.
        """
        self.using, self.alias = using, alias
        self.options = {**COMMON_OPTIONS, **self.own_options, **(options or {})}
        known = {*COMMON_OPTIONS, *self.own_options}
        if unknown := sorted(self.options.keys() - known):
            raise WhizbangError(
                f"Broker {alias!r} has the unknown option {unknown[0]!r}; known are "
                f"{', '.join(sorted(known))}."
            )

    @property
    def server(self) -> Server | None:
        """Where it answers, for telemetry: without credentials; None where it has no one address."""
        return None

    @property
    def group(self) -> str:
        """The group of receivers that this one is of, for telemetry, where the product has such."""
        return ""

    def destination_of(self, message: BrokerMessage) -> str:
        """What telemetry calls the place that a message is published to: one of few names."""
        return f"{self.options['prefix']}.{message.destination}"

    def source_of(self, delivery: Delivery) -> str:
        """What telemetry calls the place that a message came from; empty where that is not known."""
        return ""

    def depths(self) -> Mapping[str, int]:
        """How many messages wait for this service in the broker, by source, as far as that is cheap to know.

        Called between declare() and close(), now and then. Raises `BrokerUnavailable`.
        """
        return {}

    @abstractmethod
    def declare(self, topology: Topology) -> None:
        """Make what is missing of queues and topics, and check what is there. Called before anything else,
        and again after `BrokerUnavailable`.

        Raises WhizbangError when something there is of another kind, and says what to do.
        """

    @abstractmethod
    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        """Publish in order, and wait until all are confirmed or refused, or for `timeout_seconds`.

        Messages of one stream, of one ordering key, or of one topic arrive in their order. An event that
        no service listens to is confirmed. Of messages behind one that was not confirmed some may be
        confirmed.
        """

    def lane_of(self, domain: str, stream: str) -> str:
        """Which of several parts of a topic, each in order by itself only, gets the events of a stream; "" where
        the topic is in order as a whole. Called after declare(), and talks to nobody.
        """
        return ""

    @abstractmethod
    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        """What has arrived for this service, in order: at most `limit`; empty after `timeout_seconds`.

        Events of a topic, and commands of an ordering key, go to one receiver of the service at a time. What is not acknowledged comes again,
        to this receiver or another one, once the connection is closed.
        """

    @abstractmethod
    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Let the broker forget these; they are stored. All of what a receive() gave, in its order."""

    @abstractmethod
    def close(self) -> None:
        """Give back what was not acknowledged. The object may be used again, and connects anew."""


COMMON_OPTIONS: Mapping[str, Any] = {
    "prefix": "whizbang",  # of the names of queues and topics
    "timeout_seconds": 10.0,
}
