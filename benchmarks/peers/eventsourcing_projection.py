"""eventsourcing's projection runner: one event a transaction into a table of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

from benchmarks.peers.eventsourcing_peer import make_environment

_SETTLE_SECONDS = 600.0


class Cart(Aggregate):
    class Added(Aggregate.Event):
        cart_id: str
        quantity: int
        amount: Decimal


class Carts(Application[UUID]):
    pass


class Totals(PostgresTrackingRecorder):
    """The read model, in the runner's own transaction with its tracking record."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS cart_total_of_peer (cart_id text PRIMARY KEY,"
                " items integer, quantity integer, total numeric(16, 2), changed_at timestamptz)"
            )
        )

    def add(self, event: Cart.Added, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO cart_total_of_peer VALUES (%s, 1, %s, %s, %s) ON CONFLICT (cart_id) DO"
                " UPDATE SET items = cart_total_of_peer.items + 1,"
                " quantity = cart_total_of_peer.quantity + excluded.quantity,"
                " total = cart_total_of_peer.total + excluded.total,"
                " changed_at = excluded.changed_at",
                (event.cart_id, event.quantity, event.amount, event.timestamp),
            )


class CartTotals(Projection[Totals]):
    name = "totals"
    topics: Sequence[str] = ()

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.add(domain_event, tracking)


def measure(database: dict[str, Any], count: int) -> float:
    """Events a second of the runner from the start of a log with so many events."""
    environment = {**os.environ, **make_environment(database, creates_tables=True)}
    environment["POSTGRES_POOL_SIZE"] = "5"
    application = Carts(env=environment)
    fill_log(application, count)
    head = application.recorder.max_notification_id()
    application.close()
    started = perf_counter()
    with ProjectionRunner(
        application_class=Carts,
        projection_class=CartTotals,
        view_class=Totals,
        env=environment,
    ) as runner:
        runner.wait(head, timeout=_SETTLE_SECONDS)
        return count / (perf_counter() - started)


def fill_log(application: Carts, count: int, *, carts: int = 20) -> None:
    now = datetime.now(UTC)
    for number in range(count // carts):
        originator = uuid4()
        application.events.put(
            [
                Cart.Added(
                    originator_id=originator,
                    originator_version=version,
                    timestamp=now,
                    cart_id=f"cart-{number}",
                    quantity=2,
                    amount=Decimal("3.10"),
                )
                for version in range(1, carts + 1)
            ]
        )
