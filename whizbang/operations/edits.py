"""Edit a copy of the event that parked a stream, and let a worker go on with it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import transaction

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import DecodeError, InvalidMessage, UnknownMessageType, WhizbangError
from whizbang.messages.base import Message
from whizbang.messages.validation import validator
from whizbang.models import EditedEvent, ParkedStream
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.codec import JSON, codec, plain_type, read_events
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.edits import apply_edits

Unreadable = (DecodeError, UnknownMessageType, InvalidMessage)


class Editable(NamedTuple):
    """The payload of an event that parked a stream, to start an edited copy from.

    `problem` says why today's code cannot read it; the payload is then as it was stored.
    """

    version: int
    position: int
    type: str
    payload: Any
    problem: str


def edit_parked(
    subscription: str, *, stream: str, payload: dict[str, Any], reason: str, edited_by: str = ""
) -> EditedEvent:
    """Let one subscription apply another payload for the event for which a stream is parked.

    The payload has the form of the event's type today, all fields of it. The log keeps the original, and
    other subscriptions read that one. A worker then tries the stream again, in order; rebuilds and heals
    of this subscription take the copy too, until `discard_edit`. A second edit replaces the first.

    Raises ValueError without a reason, and WhizbangError where nothing is parked or where the payload
    is not one of the event's type.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask why the event reads otherwise here.")
    store = event_store()
    definition = _reader_of_payloads(store, subscription)
    using = definition.using
    with transaction.atomic(using=using):
        parked = _parked(definition, stream).select_for_update().first()
        row = _row_of(store, definition, parked, stream)
        schema, encoded = _encode(store, row, payload)
        edit, _ = EditedEvent.objects.using(using).update_or_create(
            subscription=subscription,
            position=row.position,
            defaults={
                "stream": stream,
                "version": row.version,
                "type": row.type,
                "schema": schema,
                "payload": encoded,
                "reason": reason,
                "edited_by": edited_by,
            },
        )
        _parked(definition, stream).update(is_retry_requested=True)
    return edit


def check_edit(subscription: str, *, stream: str, payload: Any) -> None:
    """Raise WhizbangError for a payload that `edit_parked` would refuse."""
    store = event_store()
    definition = _reader_of_payloads(store, subscription)
    _encode(store, _row_of(store, definition, _parked(definition, stream).first(), stream), payload)


def editable_payload(subscription: str, *, stream: str) -> Editable:
    """What the subscription reads now as the event for which a stream is parked.

    Raises WhizbangError where nothing is parked.
    """
    store = event_store()
    definition = _reader_of_payloads(store, subscription)
    row = _row_of(store, definition, _parked(definition, stream).first(), stream)
    (row,) = apply_edits(subscription, [row], using=definition.using)
    try:
        payload, problem = _present_payload(store, row), ""
    except Unreadable as exc:
        payload, problem = store.serializer.decode_plain(row.payload), str(exc)
    return Editable(row.version, row.position, row.type, payload, problem)


def discard_edit(subscription: str, *, stream: str, version: int) -> EditedEvent:
    """Drop an edited copy: what is read from now on, by a rebuild too, is the original again.

    Rows that were made with the copy stay as they are. Raises WhizbangError where there is none.
    """
    using = find_subscription(event_store(), subscription).using
    with transaction.atomic(using=using):
        rows = EditedEvent.objects.using(using).select_for_update()
        edit = rows.filter(subscription=subscription, stream=stream, version=version).first()
        if edit is None:
            raise WhizbangError(
                f"Version {version} of stream {stream!r} is not edited for {subscription!r}."
            )
        EditedEvent.objects.using(using).filter(pk=edit.pk).delete()
    return edit


def _reader_of_payloads(store: EventStore, subscription: str) -> SubscriptionDefinition:
    definition = find_subscription(store, subscription)
    if not definition.event_types:
        raise WhizbangError(f"{subscription!r} reads no payloads: there is nothing to edit for it.")
    return definition


def _parked(definition: SubscriptionDefinition, stream: str) -> Any:
    rows = ParkedStream.objects.using(definition.using)
    return rows.filter(subscription=definition.name, stream=stream)


def _row_of(
    store: EventStore, definition: SubscriptionDefinition, parked: ParkedStream | None, stream: str
) -> StoredRow:
    if parked is None:
        raise WhizbangError(f"Stream {stream!r} is not parked for {definition.name!r}.")
    rows = store.driver.read_stream(stream, after=parked.version - 1)
    wanted = definition.type_names
    # After a skip the version that is noted may be that of an event which nobody wants here.
    row = next((r for r in rows if wanted is None or r.type in wanted), None)
    if row is None:
        raise WhizbangError(
            f"Stream {stream!r} has no event for {definition.name!r} from version {parked.version} on: "
            "let a worker retry it."
        )
    return row


def _encode(store: EventStore, row: StoredRow, payload: dict[str, Any]) -> tuple[int, bytes]:
    """The schema and the bytes of an edited payload. Raises WhizbangError for what is not of the type."""
    if not isinstance(payload, dict):
        raise WhizbangError(f"The payload is {type(payload).__name__}: give an object with fields.")
    where = ("the edited copy of", row.stream, f"v{row.version}")
    encoded = JSON.encode(payload)
    cls = plain_type(row.type)
    if cls is None:
        # Not read as one event of its class: the copy has the form in which it was stored.
        encoded = store.serializer.encode(payload)
        read_events(row.type, row.schema, encoded, store.serializer, where)
        return row.schema, encoded
    refuse_unknown_fields(cls, payload)
    schema = cls.__whizbang__.schema
    event, _ = validator(cls).validate(codec(cls, JSON).decode(encoded, schema, where))
    return schema, store.serializer.encode(event)


def refuse_unknown_fields(cls: type[Message], payload: dict[str, Any]) -> None:
    """Messages ignore fields that they do not have: a slip of the pen would go unseen."""
    unknown = sorted(set(payload) - set(cls.__struct_encode_fields__))
    if unknown:
        raise WhizbangError(
            f"{cls.__name__} has no field {', '.join(unknown)}: its fields are "
            f"{', '.join(cls.__struct_encode_fields__)}."
        )


def _present_payload(store: EventStore, row: StoredRow) -> Any:
    if plain_type(row.type) is None:
        return store.serializer.decode_plain(row.payload)
    (event,) = store.decode_events(row)
    return JSON.decode_plain(JSON.encode(event))
