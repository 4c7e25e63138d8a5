"""Fills tables with as much as a busy shop has after a year, for trying the console and the store on it.

Streams and their events are told by the domains' own messages, stored by the store's bulk import; the rest is rows of
the kind that workers leave behind. Nothing of it is handled by anybody: projections and sagas take it as seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import F, Model

import whizbang
from projects.example.inventory.messages import InventoryReserved
from projects.example.orders.messages import Line, OrderConfirmed, OrderPlaced
from projects.example.orders.sagas import OrderFulfillment
from projects.example.payments.messages import PaymentCharged
from projects.example.shipping.messages import OrderShipped
from whizbang import Event
from whizbang.conf import settings
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    OutboxMessage,
    ParkedStream,
    Partition,
    SagaInstance,
    SagaTimeout,
    StoredEvent,
    Subscription,
)
from whizbang.operations.worker import Worker
from whizbang.sagas.messages import SagaStarted

_CHUNK = 5_000
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=365)
_LATER = timedelta(days=365)  # what waits must not come due while somebody looks at it
_REASONS = ("TimeoutError", "ConnectionError", "OrderNotPlaced", "DecodeError")
_TYPES = ("payments.ChargePayment", "shipping.ShipOrder", "inventory.ReserveInventory")
_SERVICES = ("inventory", "payments", "shipping")
_WAITING_OF = 100  # one row of so many in outbox and inbox still waits

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of each there shall be."""

    events: int
    streams: int
    outbox: int
    inbox: int
    sagas: int
    dead_letters: int
    parked: int

    @property
    def rows(self) -> int:
        """All that is written, by which progress is told."""
        messages = self.outbox + self.inbox + self.dead_letters + self.parked
        return self.events + messages + self.sagas + self.sagas // 5


def has_events() -> bool:
    return StoredEvent.objects.exists()


def load(amounts: Amounts, *, advance: Advance, say: Callable[[str], None]) -> None:
    """Writes all of it, in transactions of a few thousand rows each. Existing rows stay."""
    first = StoredEvent.objects.order_by("-position").values_list("position", flat=True).first()
    tag = f"load{first or 0}"  # of another load, other names
    whizbang.event_store().import_events(_events(amounts, tag), on_stored=_steps(advance))
    _take_as_seen()
    say("The catalogue of streams and the index of events follow.")
    Worker(only=["events"]).run(until_idle=True)
    for model, rows in (
        (OutboxMessage, _outbox(amounts.outbox)),
        (InboxMessage, _inbox(amounts.inbox)),
        (DeadLetter, _dead_letters(amounts.dead_letters)),
        (SagaInstance, _sagas(amounts.sagas, tag)),
        (SagaTimeout, _timeouts(amounts.sagas, tag)),
        (ParkedStream, _parked(amounts, tag)),
    ):
        _store(model, rows, advance)


def _steps(advance: Advance) -> Callable[[int], None]:
    """The import tells totals, progress wants what came in addition."""
    done = 0

    def tell(total: int) -> None:
        nonlocal done
        advance(total - done)
        done = total

    return tell


def _take_as_seen() -> None:
    """Nobody but the index and the catalogue of streams is to follow: sagas would begin, and send."""
    last = StoredEvent.objects.order_by("-position").values_list("position", flat=True).first() or 0
    others = Subscription.objects.exclude(kind="catalogue").values("name")
    Partition.objects.filter(subscription__in=others).update(position=last, epoch=F("epoch") + 1)


def _store(model: type[Model], rows: Iterator[Any], advance: Advance) -> None:
    while chunk := list(islice(rows, _CHUNK)):
        model._default_manager.bulk_create(chunk)
        advance(len(chunk))


# Events


def _events(amounts: Amounts, tag: str) -> Iterator[tuple[str, Event, int, datetime]]:
    """Streams begin one after the other; what follows in them comes in later rounds, as it does in a shop."""
    per_stream, more = divmod(amounts.events - amounts.sagas, amounts.streams)
    step = _SPAN / max(amounts.events, 1)
    done = 0
    for version in range(1, per_stream + 2):
        for number in range(amounts.streams if version <= per_stream else more):
            yield (*_event(number, version, tag), version, _FIRST_DAY + step * done)
            done += 1
    for number in range(amounts.sagas):
        started = SagaStarted(saga=OrderFulfillment.category, key=f"{tag}-{number}")
        yield _saga_stream(number, tag), started, 1, _FIRST_DAY + step * (done + number)


def _event(number: int, version: int, tag: str) -> tuple[str, Event]:
    order_id = f"{tag}-{number // 4}"
    total = Decimal(number % 9_000 + 999) / 100
    match number % 4:
        case 0 if version == 1:
            return f"orders.Order-{order_id}", _placed(order_id, number, total)
        case 0:
            return f"orders.Order-{order_id}", OrderConfirmed(order_id=order_id)
        case 1:
            reserved = InventoryReserved(
                order_id=order_id, quantity=number % 7 + 1, total=total, currency="USD"
            )
            return f"inventory.Reservation-{order_id}", reserved
        case 2:
            charged = PaymentCharged(order_id=order_id, amount=total, currency="USD")
            return f"payments.Payment-{order_id}", charged
        case _:
            return f"shipping.Shipment-{order_id}", OrderShipped(order_id=order_id)


def _placed(order_id: str, number: int, total: Decimal) -> OrderPlaced:
    quantity = number % 7 + 1
    return OrderPlaced(
        order_id=order_id,
        customer_id=f"customer-{number % 20_000}",
        lines=[Line(sku=f"CD-{number % 500}", quantity=quantity, amount=total)],
        quantity=quantity,
        total=total,
        currency="USD",
    )


# Messages


def _message(number: int, kind: int) -> dict[str, Any]:
    message_id = UUID(int=(kind << 96) + (datetime.now(UTC).microsecond << 64) + number)
    about = {"message_id": str(message_id), "correlation_id": str(message_id)}
    return {
        "message_id": message_id,
        "type": _TYPES[number % len(_TYPES)],
        "payload": json.dumps({"order_id": f"load-{number}"}).encode(),
        "metadata": json.dumps(about).encode(),
        "occurred_at": _FIRST_DAY + timedelta(seconds=number),
    }


def _outbox(count: int) -> Iterator[OutboxMessage]:
    now = datetime.now(UTC)
    for number in range(count):
        is_waiting = number % _WAITING_OF == 0
        yield OutboxMessage(
            **_message(number, 1),
            service=_SERVICES[number % len(_SERVICES)],
            available_at=now + _LATER if is_waiting else now,
            published_at=None if is_waiting else now,
        )


def _inbox(count: int) -> Iterator[InboxMessage]:
    now = datetime.now(UTC)
    for number in range(count):
        is_waiting = number % _WAITING_OF == 0
        yield InboxMessage(
            **_message(number, 2),
            service=settings.SERVICE,
            payload_hash=number.to_bytes(16, "big"),
            mode="durable",
            status="stored" if is_waiting else "handled",
            available_at=now + _LATER if is_waiting else now,
            finished_at=None if is_waiting else now,
            attempts=1,
        )


def _dead_letters(count: int) -> Iterator[DeadLetter]:
    for number in range(count):
        reason = _REASONS[number // len(_TYPES) % len(_REASONS)]
        yield DeadLetter(
            **_message(number, 3),
            reason=reason,
            error=f"{reason}: attempt 8 of 8 for order load-{number} failed.",
            traceback=f"Traceback (most recent call last):\n  …\n{reason}: of order load-{number}",
            attempts=8,
        )


# Sagas and parked streams


def _saga_stream(number: int, tag: str) -> str:
    return f"{OrderFulfillment.category}-{tag}-{number}"


def _sagas(count: int, tag: str) -> Iterator[SagaInstance]:
    for number in range(count):
        at = _FIRST_DAY + timedelta(minutes=number)
        status = ("open", "completed", "completed", "completed", "failed")[number % 5]
        key = f"{tag}-{number}"
        yield SagaInstance(
            stream=_saga_stream(number, tag),
            saga=OrderFulfillment.category,
            key=key,
            status=status,
            version=1,
            state=json.dumps({"order_id": key}).encode(),
            plans=b'{"compensations":[],"timeouts":{}}',
            origin=json.dumps({"message_id": str(UUID(int=number))}).encode(),
            last_step="placed",
            next_timeout_at=datetime.now(UTC) + _LATER if status == "open" else None,
            error="out of stock" if status == "failed" else "",
            started_at=at,
            stepped_at=at,
            closed_at=None if status == "open" else at,
        )


def _timeouts(count: int, tag: str) -> Iterator[SagaTimeout]:
    for number in range(0, count, 5):
        yield SagaTimeout(
            stream=_saga_stream(number, tag),
            saga=OrderFulfillment.category,
            key=f"{tag}-{number}",
            name="unpaid",
            due_at=datetime.now(UTC) + _LATER,
        )


def _parked(amounts: Amounts, tag: str) -> Iterator[ParkedStream]:
    for number in range(min(amounts.parked, amounts.streams // 4)):
        stream = f"orders.Order-{tag}-{number}"
        yield ParkedStream(
            subscription="orders.Customers",
            stream=stream,
            position=1,
            version=1,
            type="orders.OrderPlaced",
            error=f"KeyError: no customer for {stream}",
            traceback=f"Traceback (most recent call last):\n  …\nKeyError: no customer for {stream}",
        )
