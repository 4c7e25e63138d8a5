"""Scenario 24: timeout and event arrive together, events arrive out of order or twice, the worker is killed at each
point of a step: each command goes out once, and replaying an instance's stream gives the same state and commands."""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import AbstractContextManager
from subprocess import Popen
from typing import Any

import pytest
from django.db import connection

import whizbang
from tests.processes import PATIENCE_SECONDS, running, stop, wait_until
from tests.sagas.instances import hear, record, row_of, sent
from tests.sagas.replaying import check_fold, check_replay
from tests.scenarios.read_model import has_signed_on
from tests.scenarios.saga_worker import POINTS
from tests.trips.messages import CardCharged, RequestTrip, SeatReserved
from tests.trips.sagas import TripBooking
from whizbang import event_store
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    ParkedStream,
    Partition,
    SagaTimeout,
    StoredEvent,
)
from whizbang.operations.partitions import set_partition_count
from whizbang.store.event_store import stored_names

Environment = dict[str, str]
pytestmark = pytest.mark.django_db(transaction=True)
PAID, DECLINED, UNPAID, REFUSED = "paid", "declined", "unpaid", "refused"
REQUESTS = {
    PAID: RequestTrip(trip_id=PAID, seat="1a", price=10),
    DECLINED: RequestTrip(trip_id=DECLINED, seat="1b", price=101),
    UNPAID: RequestTrip(trip_id=UNPAID, seat="1c", price=0),
    REFUSED: RequestTrip(trip_id=REFUSED, seat="none"),
}
ENDS = {
    PAID: ("completed", ["ReserveSeat", "ChargeCard", "ConfirmTrip"]),
    DECLINED: ("failed", ["ReserveSeat", "ChargeCard", "ReleaseSeat"]),
    UNPAID: ("failed", ["ReserveSeat", "ChargeCard", "ReleaseSeat"]),
    REFUSED: ("failed", ["ReserveSeat"]),
}
EITHER = (
    ("completed", ["ReserveSeat", "ChargeCard", "ConfirmTrip"]),
    ("failed", ["ReserveSeat", "ChargeCard", "ReleaseSeat"]),
)


@pytest.fixture(autouse=True)
def known_from_here_on(transactional_db: None) -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("processes need a database in a file")
    hear()


def start(
    environment: Environment,
    cause: str = "nothing",
    point: str = "",
    *,
    steps: int = 1,
    **settings: Any,
) -> AbstractContextManager[Popen[str]]:
    """See saga_worker."""
    values = {"BATCH_SIZE": 5, "LEASE_SECONDS": 1.0, "IDLE_POLL_SECONDS": 0.05, **settings}
    arguments = (cause, point, str(steps), json.dumps(values))
    return running(environment, "-m", "tests.scenarios.saga_worker", *arguments)


def kill_one(
    environment: Environment, cause: str, point: str, *, steps: int = 1, **settings: Any
) -> None:
    """Let a worker run until it kills itself."""
    with start(environment, cause, point, steps=steps, **settings) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, output


def request_trips() -> None:
    for command in REQUESTS.values():
        whizbang.send(command)


def make_timeouts_due() -> None:
    SagaTimeout.objects.update(due_at="2026-01-01T00:00:00Z")


def progress() -> tuple[int, int]:
    """Grows with every event and every command."""
    return event_store().driver.last_position(), InboxMessage.objects.count()


def is_quiet() -> bool:
    """Every command is handled and every event heard, all at one moment."""
    before = progress()
    waiting = InboxMessage.objects.filter(status__in=("stored", "running", "retrying")).exists()
    rows = Partition.objects.filter(subscription=TripBooking.name())
    position, wanted = (
        min(rows.values_list("position", flat=True)),
        stored_names(TripBooking.reactions),
    )
    # Not by the store, which reads no further than what it knows to be settled.
    unheard = StoredEvent.objects.filter(position__gt=position, type__in=wanted).exists()
    return not waiting and not unheard and progress() == before


def is_over(timeouts: int = 0) -> bool:
    """So many timeouts are left, and nothing else is to be done."""
    return SagaTimeout.objects.count() == timeouts and is_quiet()


def outcome(key: str) -> tuple[str, list[str]]:
    """How it ended and what it sent; its row and a replay say the same as its stream."""
    check_fold(TripBooking, key)
    check_replay(TripBooking, key)
    return row_of(TripBooking, key).status, [
        c.type.partition(".")[2] for c in sent(TripBooking, key)
    ]


def check_commands(*keys: str) -> None:
    """Those that the streams tell of are in the inbox once, are handled, and there are no others."""
    told = Counter(str(c.message_id) for key in keys for c in sent(TripBooking, key))
    rows = InboxMessage.objects.values_list("message_id", "status")
    assert told == Counter(str(message_id) for message_id, _ in rows)
    assert {status for _, status in rows} == {"handled"}
    assert not ParkedStream.objects.exists() and not DeadLetter.objects.exists()


def finish(environment: Environment) -> None:
    with start(environment) as process:
        wait_until(lambda: has_signed_on(process))
        wait_until(is_over)
        stop(process)


def check_ends() -> None:
    assert {key: outcome(key) for key in REQUESTS} == ENDS
    check_commands(*REQUESTS)


def test_killed_at_some_points_it_goes_on_exactly(child_environment: Environment) -> None:
    request_trips()
    kill_one(child_environment, "event", "before the messages")
    kill_one(child_environment, "event", "after the commit", steps=2)
    kill_one(child_environment, "event", "before the commit")
    with start(child_environment) as process:
        wait_until(lambda: is_over(timeouts=1))
        stop(process)
    make_timeouts_due()
    kill_one(child_environment, "timeout", "before the messages")
    kill_one(child_environment, "timeout", "after the commit")
    finish(child_environment)
    check_ends()


@pytest.mark.soak
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point_it_goes_on_exactly(
    child_environment: Environment, point: str, steps: int
) -> None:
    request_trips()
    kill_one(child_environment, "event", point, steps=steps)
    kill_one(child_environment, "event", point)
    with start(child_environment) as process:
        wait_until(lambda: is_over(timeouts=1))
        stop(process)
    make_timeouts_due()
    kill_one(child_environment, "timeout", point)
    finish(child_environment)
    check_ends()


def test_without_one_transaction_commands_are_lost_or_doubled(
    child_environment: Environment,
) -> None:
    """The test above can fail: an event that commits before its commands says too much."""
    request_trips()
    kill_one(child_environment, "event", "before the messages", broken=True)
    with pytest.raises(AssertionError):
        check_commands(*(key for key in REQUESTS if row_exists_in_stream(key)))


def row_exists_in_stream(key: str) -> bool:
    return bool(event_store().driver.stream_version(f"{TripBooking.name()}-{key}"))


def test_timeout_and_event_arrive_together(child_environment: Environment) -> None:
    """In two processes. Events come out of order and twice: the second time with the same message id."""
    keys = [str(number) for number in range(20)]
    for key in keys:
        for _ in range(2):
            whizbang.send(RequestTrip(trip_id=key, price=0), message_id=id_of(key))
    with start(child_environment) as one, start(child_environment) as two:
        wait_until(
            lambda: is_over(len(keys)) and all("ChargeCard" in outcome(key)[1] for key in keys)
        )
        for key in keys:
            record(CardCharged(trip_id=key, price=5), f"trips.Card-{key}")
            SagaTimeout.objects.filter(key=key).update(due_at="2026-01-01T00:00:00Z")
        wait_until(is_over)
        stop(one)
        stop(two)
    assert all(outcome(key) in EITHER for key in keys)


def id_of(key: str) -> str:
    return f"00000000-0000-7000-8000-{int(key):012d}"


@pytest.mark.soak
def test_instances_are_shared_out_anew_while_events_flow(child_environment: Environment) -> None:
    """Two workers, and partitions by key that are split and merged."""
    keys: list[str] = []
    with start(child_environment) as one, start(child_environment) as two:
        for count in (2, 5, 1, 8, 3, 1):
            for _ in range(15):
                keys.append(str(len(keys)))
                whizbang.send(RequestTrip(trip_id=keys[-1]))
            set_partition_count(TripBooking.name(), count, timeout_seconds=PATIENCE_SECONDS)
        wait_until(lambda: has_signed_on(one) and has_signed_on(two))
        wait_until(is_over)
        stop(one)
        stop(two)
    assert all(outcome(key) == ENDS[PAID] for key in keys)
    check_commands(*keys)


def test_events_arrive_out_of_order(child_environment: Environment) -> None:
    """What undoes the steps goes the way that they went back, whichever that was."""
    whizbang.send(RequestTrip(trip_id="1", seat="none"))
    record(CardCharged(trip_id="1", price=5))
    record(SeatReserved(trip_id="1", seat="9z"))
    kill_one(child_environment, "event", "before the commit")
    with start(child_environment) as process:
        wait_until(lambda: has_signed_on(process))
        wait_until(is_quiet)
        stop(process)
    asked = ["ReserveSeat", "ConfirmTrip", "ChargeCard"]
    assert outcome("1") == ("failed", [*asked, "ReleaseSeat", "RefundCard"])
    check_commands("1")
