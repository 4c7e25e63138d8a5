"""By the Django ORM, as a careful developer would write it."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks.app.models import CartSummary
from benchmarks.by_hand.base import (
    AMOUNT,
    EVENT_TYPE,
    QUANTITY,
    SCHEMA,
    CartState,
    Form,
    check_room,
    fold,
    make_metadata,
    make_payload,
    slice_of,
    stream_of,
)
from whizbang.models import StoredEvent


class OrmForm(Form):
    name = "Django ORM by hand"

    def add_item(self, cart_id: str) -> int:
        with transaction.atomic():
            stream = stream_of(cart_id)
            events = StoredEvent.objects.filter(stream=stream).order_by("version")
            state = fold(events.values_list("version", "type", "payload"))
            check_room(state)
            now = datetime.now(UTC)
            self._append(cart_id, state, now)
            self._update(cart_id, now)
            return state.quantity + QUANTITY

    def _append(self, cart_id: str, state: CartState, now: datetime) -> None:
        stream = stream_of(cart_id)
        StoredEvent.objects.create(
            stream=stream,
            version=state.version + 1,
            type=EVENT_TYPE,
            schema=SCHEMA,
            slice=slice_of(stream),
            payload=make_payload(cart_id),
            metadata=make_metadata(),
            occurred_at=now,
            recorded_at=now,
        )

    def _update(self, cart_id: str, now: datetime) -> None:
        row = CartSummary.objects.select_for_update().get(pk=cart_id)
        row.items += 1
        row.quantity += QUANTITY
        row.total += AMOUNT
        row.changed_at = now
        row.save(update_fields=["items", "quantity", "total", "changed_at"])

    def count_statements(self, cart_id: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            self.add_item(cart_id)
        return len(captured)

    def close(self) -> None:
        connection.close()
