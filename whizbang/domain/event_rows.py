"""Rows of events that are appended without a unit of work: what they share is looked up once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from whizbang.conf import settings
from whizbang.domain.ownership import check_owned
from whizbang.drivers.stores.base import NewRow
from whizbang.messages.base import Event, MessageInfo
from whizbang.messages.envelope import check_hops, check_instant, text_of_user, to_uuid
from whizbang.messages.ids import make_id_text
from whizbang.messages.metadata import Metadata, WireMetadata
from whizbang.messages.validation import validator
from whizbang.store.event_store import EventStore
from whizbang.store.slices import checked_slice_of


class _Kind(NamedTuple):
    """What the rows of one event class have in common."""

    validate: Callable[[Any], tuple[Any, bytes]]
    type_name: str
    info: MessageInfo  # knows the schema, which an upcaster that is declared later raises


Checked = tuple[_Kind, Any, bytes]  # kind, the checked copy of an event, its JSON

_kinds: dict[type, _Kind] = {}
settings.on_change(_kinds.clear)  # who owns a domain was checked when the entry was made


class EventRows:
    """Makes a store's rows of events that have one cause; the cheapest way from an event to its bytes."""

    def __init__(
        self,
        store: EventStore,
        *,
        parent: Metadata | None = None,
        occurred_at: datetime | None = None,
        user: Any = None,
    ) -> None:
        """`occurred_at` and `user` are those of events without their own. Raises as `make` does."""
        values = settings.get()
        self._encode = store.serializer.encode
        self._is_json = store.driver.supports_json
        self._parent = parent
        self.traceparent = None if parent is None else parent.traceparent
        self._occurred_at = None if occurred_at is None else check_instant(occurred_at)
        self._user = text_of_user(user, parent)
        self._service, self._region = values.SERVICE, values.REGION
        if parent is not None:
            self._occurred_at = self._occurred_at or parent.occurred_at

    def make_all(self, stream: str, events: Iterable[Any]) -> list[NewRow]:
        """Rows of one stream's events. Raises TypeError, `InvalidMessage` or `OwnershipError`."""
        slice_number, now = checked_slice_of(stream), datetime.now(UTC)
        check, make = self.check, self.make
        return [make(check(event), slice_number, now) for event in events]

    def check(self, event: Any) -> Checked:
        """Raises TypeError for what is no event, `InvalidMessage` or `OwnershipError`."""
        kind = _kinds.get(type(event)) or _learn(event)
        return kind, *kind.validate(event)

    def make(
        self,
        checked: Checked,
        slice_number: int,
        now: datetime,
        *,
        occurred_at: datetime | None = None,
        user: Any = None,
        message_id: Any = None,
    ) -> NewRow:
        """The row of a checked event, which occurred `now` unless somebody knows better.

        See `envelope` for what can be known about it. Raises TypeError or ValueError.
        """
        kind, event, payload = checked
        encode = self._encode
        # As text, which is what is stored: an object of it takes longer than all the rest.
        id: Any = make_id_text() if message_id is None else to_uuid(message_id)
        metadata = encode(
            WireMetadata(
                message_id=id,
                correlation_id=id,
                user=self._user if user is None else text_of_user(user, None),
                service=self._service,
                region=self._region,
                traceparent=self.traceparent,
            )
            if self._parent is None
            else self._caused(id, user, event)
        )
        instant = self._occurred_at if occurred_at is None else check_instant(occurred_at)
        return NewRow(
            kind.type_name,
            kind.info.schema,
            slice_number,
            payload if self._is_json else encode(event),
            metadata,
            instant or now,
        )

    def _caused(self, id: Any, user: Any, event: Any) -> WireMetadata:
        parent = self._parent
        assert parent is not None
        return WireMetadata(
            message_id=id,
            correlation_id=parent.correlation_id,
            causation_id=parent.message_id,
            user=self._user if user is None else text_of_user(user, parent),
            service=self._service,
            region=self._region,
            traceparent=self.traceparent,
            hops=check_hops(parent, type(event)),
        )


def _learn(event: Any) -> _Kind:
    cls = type(event)
    if not isinstance(event, Event):
        raise TypeError(f"{cls.__name__} is not an Event: only events are appended to a stream.")
    check_owned(cls)
    info = cls.__whizbang__
    found = _kinds[cls] = _Kind(validator(cls).validate, info.type_name, info)
    return found
