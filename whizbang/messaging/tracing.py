"""Tells telemetry of what is done with a broker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

from whizbang.drivers.brokers.base import Broker, BrokerMessage, Delivery
from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Subject
from whizbang.drivers.telemetry.operations import (
    NOTHING,
    Moment,
    Operation,
    OperationType,
    subject_of,
    telling,
)


def telling_publication(
    broker: Broker, messages: Sequence[BrokerMessage]
) -> AbstractContextManager[str | None]:
    """Around publishing a batch: one span, linked to where each message was made."""
    if not telemetry.is_enabled():
        return NOTHING
    places = {broker.destination_of(message) for message in messages}
    subjects = (_subject_of(message, broker.destination_of(message)) for message in messages)
    operation = _operation(broker, "publish", OperationType.SEND, places)
    return telling(operation, subjects, count=len(messages))


def telling_reception(
    broker: Broker, deliveries: Sequence[Delivery], started: Moment
) -> AbstractContextManager[str | None]:
    """Around storing what has been received since then; a look that found nothing is not told."""
    if not (deliveries and telemetry.is_enabled()):
        return NOTHING
    places = {broker.source_of(delivery) for delivery in deliveries}
    subjects = (
        _subject_of(delivery.message, broker.source_of(delivery))
        for delivery in deliveries
        if delivery.message is not None
    )
    operation = _operation(broker, "receive", OperationType.RECEIVE, places)
    return telling(operation, subjects, count=len(deliveries), started=started)


def telling_settlement(
    broker: Broker, deliveries: Sequence[Delivery]
) -> AbstractContextManager[str | None]:
    """Around letting the broker forget messages."""
    if not telemetry.is_enabled():
        return NOTHING
    places = {broker.source_of(delivery) for delivery in deliveries}
    operation = _operation(broker, "ack", OperationType.SETTLE, places)
    return telling(operation, (), count=len(deliveries))


def _operation(
    broker: Broker, name: str, type: OperationType, places: Collection[str]
) -> Operation:
    is_receiver = type is not OperationType.SEND
    return Operation(
        name=name,
        type=type,
        destination=next(iter(places)) if len(places) == 1 else "",
        system=broker.system,
        server=broker.server,
        details={names.CONSUMER_GROUP: broker.group} if is_receiver and broker.group else {},
    )


def _subject_of(message: BrokerMessage, place: str) -> Subject:
    meta = message.metadata
    details = {names.MESSAGE_TYPE: message.type}
    if place:
        details[names.DESTINATION] = place
    return subject_of(message.message_id, meta.correlation_id, meta.traceparent, **details)
