"""A message on its way through the pipeline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Message
from whizbang.messages.ids import make_id
from whizbang.messages.metadata import Metadata


class Envelope(msgspec.Struct, eq=False):
    """A message with what is known about it; ids and times are made when first asked for.

    Stages may read and set `message`, `result` and `notes` (a dict of their own). A struct, because
    one is made for every message and msgspec makes them in a tenth of a microsecond.
    """

    message: Any
    given_id: UUID | None = None  # by the sender: makes the message idempotent
    occurred_at: datetime | None = None
    user: Any = None  # a Django user, or opaque text
    ordering_key: str | None = None
    using: str | None = None  # alias of the store
    parent: Metadata | None = None  # of the message that caused this one
    delay: timedelta | None = None
    at: datetime | None = None
    expires: datetime | None = None
    payload: bytes | None = None  # JSON, once validated
    result: Any = None
    unit: Any = None  # the unit of work, shared with the message that sent this one
    receipt: Any = None  # the inbox row to complete, of queued and deduplicated messages
    timeout_seconds: float = 30.0  # how long send() waits for another service
    is_atomic: bool = True  # its handler runs in a transaction
    is_batch_member: bool = False  # one of the messages that a batch is made of, not a nested one
    is_done: bool = False  # its handler has returned
    reply_to: str = ""  # the service that waits for the answer of another one
    _own_id: UUID | None = None
    _metadata: Metadata | None = None
    _notes: dict[str, Any] | None = None

    def fresh(self) -> Envelope:
        """The same message with what its sender said, to be sent (again)."""
        return Envelope(
            self.message,
            self.given_id,
            self.occurred_at,
            self.user,
            self.ordering_key,
            self.using,
            self.parent,
        )

    @property
    def message_id(self) -> UUID:
        if self.given_id is not None:
            return self.given_id
        if self._own_id is None:
            self._own_id = make_id()
        return self._own_id

    @property
    def notes(self) -> dict[str, Any]:
        """Room for users' own stages."""
        if self._notes is None:
            self._notes = {}
        return self._notes

    @property
    def user_text(self) -> str | None:
        """The user as opaque text: the primary key of a Django user, or the text given."""
        return text_of_user(self.user, self.parent)

    @property
    def metadata(self) -> Metadata:
        if self._metadata is None:
            self._metadata = self._make_metadata()
        return self._metadata

    @metadata.setter
    def metadata(self, value: Metadata) -> None:
        self._metadata = value
        self._own_id = value.message_id
        self.occurred_at = value.occurred_at

    def _make_metadata(self) -> Metadata:
        parent = self.parent
        values = settings.get()
        hops = 0 if parent is None else check_hops(parent, type(self.message))
        return Metadata(
            message_id=self.message_id,
            correlation_id=self.message_id if parent is None else parent.correlation_id,
            causation_id=None if parent is None else parent.message_id,
            occurred_at=self._make_occurred_at(parent),
            user=self.user_text,
            service=values.SERVICE,
            region=values.REGION,
            traceparent=parent.traceparent if parent is not None else None,
            hops=hops,
            type=type(self.message).__whizbang__.type_name,
        )

    def _make_occurred_at(self, parent: Metadata | None) -> datetime:
        if self.occurred_at is not None:
            return self.occurred_at
        return datetime.now(UTC) if parent is None else parent.occurred_at


def envelope(
    message: Any,
    *,
    message_id: Any = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
    parent: Metadata | None = None,
) -> Envelope:
    """Wrap a message with what the sender knows about it.

    `message_id` makes it idempotent, `occurred_at` (an aware datetime) is its business time,
    `user` a Django user or opaque text, `ordering_key` keeps commands of one key in order, `using`
    names the store. Raises TypeError for what is no message, ValueError for a naive time.
    """
    if not isinstance(message, Message):
        hint = " Is it in an envelope already?" if isinstance(message, Envelope) else ""
        raise TypeError(f"{type(message).__name__} is not a Command, Event or Query.{hint}")
    if message_id is not None:
        message_id = to_uuid(message_id)
    if occurred_at is not None:
        occurred_at = check_instant(occurred_at)
    return Envelope(message, message_id, occurred_at, user, ordering_key, using, parent)


def text_of_user(user: Any, parent: Metadata | None) -> str | None:
    """A Django user's primary key, or the text given, else the parent's. Raises TypeError for others."""
    if user is None:
        return None if parent is None else parent.user
    if isinstance(user, str):
        return user
    if not hasattr(user, "pk"):
        raise TypeError(f"user must be a Django user or text, not a {type(user).__name__}.")
    return None if user.pk is None else str(user.pk)


def check_hops(parent: Metadata, message_type: type) -> int:
    """How many messages caused this one, one after the other. Raises `WhizbangError` for a loop."""
    hops = parent.hops + 1
    if hops > settings.get().MAX_HOPS:
        raise WhizbangError(
            f"{message_type.__name__} is message {hops} in a chain of messages that cause "
            "each other: break the loop, or raise MAX_HOPS."
        )
    return hops


def check_instant(occurred_at: datetime) -> datetime:
    """In UTC. Raises ValueError without a time zone."""
    if occurred_at.tzinfo is None:
        raise ValueError("occurred_at must have a time zone, such as datetime(…, tzinfo=UTC).")
    return occurred_at.astimezone(UTC)


def to_uuid(value: Any) -> UUID:
    """A message id given as a UUID or its text. Raises ValueError for anything else."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError) as exc:
        raise ValueError(f"message_id must be a UUID or its text, not {value!r}.") from exc
