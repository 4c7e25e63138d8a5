"""A timeout and the event that cancels it at the same moment, in two transactions: one of them wins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction

from tests.processes import PATIENCE_SECONDS, wait_until
from tests.sagas.instances import hear, record, request, row_of, sent, timeouts_of
from tests.sagas.replaying import check_fold, check_replay
from tests.scenarios.read_model import at_once
from tests.trips.messages import CardCharged, SeatReserved
from tests.trips.sagas import TripBooking
from whizbang import event_store
from whizbang.drivers.stores.base import LogFilter
from whizbang.models import ParkedStream, SagaTimeout
from whizbang.operations.worker import Worker
from whizbang.sagas.steps import StepBatch
from whizbang.sagas.subscription import SagaSubscription
from whizbang.sagas.timeouts import TimeoutPart

pytestmark = [pytest.mark.requires_server, pytest.mark.django_db(transaction=True)]
EITHER = (
    ("open", ["ReserveSeat", "ChargeCard", "ConfirmTrip"]),
    ("failed", ["ReserveSeat", "ChargeCard", "ReleaseSeat"]),
)


def wait_for_payment(*keys: str) -> None:
    """Instances whose timeouts are due, and have been for long."""
    hear()
    for key in keys:
        request(key, price=5)
        record(SeatReserved(trip_id=key, seat="1a"))
    hear()
    SagaTimeout.objects.update(due_at="2026-01-01T00:00:00Z")


def pay(*keys: str) -> None:
    for key in keys:
        record(CardCharged(trip_id=key, price=5), f"trips.Card-{key}")


def fire() -> int:
    return TimeoutPart(event_store()).run_once()


def deliver_payments() -> None:
    """As a worker does it that has read them."""
    store, log = event_store(), LogFilter(types=["trips.CardCharged"])
    rows = store.driver.read_log(after=0, until=2**63 - 1, limit=None, filter=log)
    with transaction.atomic():
        SagaSubscription(store, TripBooking).deliver(list(rows))


def outcome(key: str) -> tuple[str, list[str]]:
    check_fold(TripBooking, key)
    check_replay(TripBooking, key)
    types = [command.type.partition(".")[2] for command in sent(TripBooking, key)]
    return row_of(TripBooking, key).status, types


@contextmanager
def standing_before_its_commit(action: Callable[[], Any]) -> Iterator[threading.Event]:
    """A thread does the action, and stands behind its step's last write until the event is set."""
    written, may_commit = threading.Event(), threading.Event()
    write = StepBatch.write

    def write_and_stand(self: StepBatch) -> None:
        write(self)
        if threading.current_thread() is thread:
            written.set()
            assert may_commit.wait(PATIENCE_SECONDS)

    def run() -> None:
        try:
            action()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    StepBatch.write = write_and_stand  # type: ignore[method-assign]
    try:
        thread.start()
        assert written.wait(PATIENCE_SECONDS)
        yield may_commit
    finally:
        may_commit.set()
        thread.join()
        StepBatch.write = write  # type: ignore[method-assign]


def somebody_waits() -> bool:
    """For a lock. MariaDB looks anew only when nobody has asked for a tenth of a second."""
    statements = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    }
    time.sleep(0.15)
    with connection.cursor() as cursor:
        cursor.execute(statements[connection.vendor])
        return bool(cursor.fetchone()[0])


def test_timeout_leaves_an_instance_alone_that_an_event_is_busy_with() -> None:
    wait_for_payment("1")
    pay("1")
    with standing_before_its_commit(deliver_payments):
        assert fire() == 0
    assert fire() == 0
    assert outcome("1") == EITHER[0] and timeouts_of(TripBooking, "1") == {}


def test_event_waits_for_the_timeout_and_finds_that_it_has_ended() -> None:
    wait_for_payment("1")
    pay("1")
    with standing_before_its_commit(fire) as may_commit:

        def let_it_go_on() -> None:
            wait_until(somebody_waits)
            may_commit.set()

        at_once(deliver_payments, let_it_go_on)
    assert outcome("1") == EITHER[1]


def test_one_of_the_two_wins_and_nobody_dies_of_it() -> None:
    keys = [str(number) for number in range(12)]
    wait_for_payment(*keys)
    SagaTimeout.objects.update(due_at="2999-01-01T00:00:00Z")
    worker, are_paid = Worker(name="events", only={"events"}), threading.Event()

    def pay_all() -> None:
        try:
            for key in keys:
                pay(key)
        finally:
            are_paid.set()

    def hear_all() -> None:
        while worker.run_once() or not are_paid.is_set() or not worker.is_idle():
            pass
        worker.close()

    def fire_all() -> None:
        for key in reversed(keys):
            SagaTimeout.objects.filter(key=key).update(due_at="2026-01-01T00:00:00Z")
            fire()

    at_once(pay_all, hear_all, fire_all, fire_all)
    SagaTimeout.objects.update(due_at="2026-01-01T00:00:00Z")
    fire()
    assert all(outcome(key) in EITHER for key in keys)
    assert not SagaTimeout.objects.exists() and not ParkedStream.objects.exists()
