"""A saga does what its model does: events in any order and again, time, workers that come and go, lost rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

import pytest
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.sagas.instances import hear, record, row_of, sent, state_of, timeouts_of
from tests.sagas.replaying import check_fold, check_replay
from tests.sagas.trip_model import ModelTrip
from tests.trips.messages import (
    CardCharged,
    RequestTrip,
    SeatRefused,
    SeatReserved,
    TripConfirmed,
    TripNoted,
    TripRequested,
)
from tests.trips.sagas import TripBooking
from whizbang import Event, send
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.operations.parked import skip_parked
from whizbang.operations.worker import Worker
from whizbang.sagas.performing import Performer
from whizbang.sagas.standing import Standing
from whizbang.sagas.steps import StepBatch
from whizbang.sagas.timeouts import TimeoutPart

pytestmark = pytest.mark.django_db
CI = settings(
    max_examples=12,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SOAK = settings(CI, max_examples=300, stateful_step_count=50, derandomize=False)
SEARCH = settings(CI, max_examples=60, phases=[Phase.generate], report_multiple_bugs=False)
TRIPS = ["a", "b", "c"]
trips = st.sampled_from(TRIPS)
EVENTS: dict[str, Callable[[str, Any], Event]] = {
    "requested": lambda key, price: TripRequested(trip_id=key, seat="1a", price=price),
    "reserved": lambda key, _: SeatReserved(trip_id=key, seat="1a"),
    "refused": lambda key, _: SeatRefused(trip_id=key, seat="1a"),
    "charged": lambda key, price: CardCharged(trip_id=key, price=price),
    "confirmed": lambda key, _: TripConfirmed(trip_id=key),
    "noted": lambda key, text: TripNoted(trip_id=key, text=text),
}
# One in five may end a trip: most of what there is to see comes before.
happenings = st.one_of(
    st.tuples(st.just("reserved"), st.none()),
    st.tuples(st.just("charged"), st.integers(1, 3)),
    st.tuples(st.just("noted"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("noted"), st.sampled_from(["a", "break"])),
    st.sampled_from([("refused", None), ("confirmed", None), ("noted", "fail"), ("requested", 5)]),
)


class TripMachine(RuleBasedStateMachine):
    """Records events, lets workers hear them and time pass; when all is heard it is held against the model."""

    _examples: ClassVar[Iterator[int]] = count(1)

    def __init__(self) -> None:
        super().__init__()
        hear()
        self.prefix = f"run{next(self._examples)}-"  # the log keeps what other examples wrote
        self.trips = {trip: ModelTrip(self.prefix + trip) for trip in TRIPS}
        self.unheard: list[tuple[str, str, Any]] = []
        self.requested: set[str] = set()  # by a message that is known by its id
        self.now = timedelta()
        self.has_worked = False
        self.worker = self._start()

    def _start(self) -> Worker:
        return Worker(name="machine", only={"events", "timeouts"})

    def teardown(self) -> None:
        self.worker.close()
        # Its timeouts would fire in other examples.
        SagaTimeout.objects.all().delete()

    @initialize(trips=st.permutations(TRIPS), is_heard=st.booleans())
    def begin(self, trips: list[str], is_heard: bool) -> None:
        for trip in trips[1:]:  # the first one perhaps later
            self.request_by_one_message(trip, 1)
        if is_heard:
            self.work()

    @rule(trip=trips, happening=happenings)
    def happen_and_be_heard(self, trip: str, happening: tuple[str, Any]) -> None:
        self.happen(trip, happening)
        self.work()

    @rule(trip=trips, happening=happenings)
    def happen(self, trip: str, happening: tuple[str, Any]) -> None:
        kind, value = happening
        key = self.prefix + trip
        record(EVENTS[kind](key, value), f"trips.Told-{key}")
        self.unheard.append((trip, kind, value))

    @rule(trip=trips, times=st.integers(1, 3))
    def request_by_one_message(self, trip: str, times: int) -> None:
        """Sent again it has the same id, and happens once."""
        key = self.prefix + trip
        for _ in range(times):
            send(RequestTrip(trip_id=key, price=3), message_id=self._id_of(trip))
        if trip not in self.requested:
            self.requested.add(trip)
            self.unheard.append((trip, "requested", 3))

    def _id_of(self, trip: str) -> str:
        return str(uuid5(NAMESPACE_OID, self.prefix + trip))

    @rule()
    def work(self) -> None:
        while self.worker.run_once() or not self.worker.is_idle():
            pass
        for trip, kind, value in self.unheard:
            self.trips[trip].hear(kind, value, self.now)
        self.unheard.clear()
        for model in self.trips.values():
            model.pass_time(self.now)
        self.has_worked = True

    @rule(hours=st.sampled_from([1, 13]))
    def let_time_pass(self, hours: int) -> None:
        delta = timedelta(hours=hours)
        SagaTimeout.objects.update(due_at=F("due_at") - delta)
        self.now += delta

    @rule(hours=st.sampled_from([13, 25]))
    def let_time_pass_while_working(self, hours: int) -> None:
        self.work()
        self.let_time_pass(hours)
        self.work()

    @rule()
    def restart_the_worker(self) -> None:
        self.worker.close()
        self.worker = self._start()

    @rule(trip=trips)
    def lose_the_row(self, trip: str) -> None:
        SagaInstance.objects.filter(key=self.prefix + trip).delete()

    @rule(trip=trips)
    def skip(self, trip: str) -> None:
        self.work()
        model = self.trips[trip]
        if model.is_parked:
            skip_parked(TripBooking.name(), key=model.key, reason="a test")
            # Retries are looked for twice a second, and by a worker that starts.
            self.restart_the_worker()
            model.skip(self.now)
            self.work()

    @invariant()
    def does_what_the_model_does(self) -> None:
        if self.has_worked:
            self.has_worked = False
            for model in self.trips.values():
                self._compare(model)

    def _compare(self, model: ModelTrip) -> None:
        key = model.key
        commands = [(command.type, command.data) for command in sent(TripBooking, key)]
        assert commands == model.sent
        assert ParkedStream.objects.filter(key=key).exists() == model.is_parked
        check_fold(TripBooking, key)
        check_replay(TripBooking, key)
        if SagaInstance.objects.filter(key=key).exists():
            assert (row_of(TripBooking, key).status, state_of(TripBooking, key)) == (
                model.status,
                model.state,
            )
        waits = model.due is not None and (model.is_parked or model.due > self.now)
        if waits:
            assert list(timeouts_of(TripBooking, key)) == ["unpaid"]


def test_saga_does_what_the_model_does() -> None:
    run_state_machine_as_test(TripMachine, settings=CI)


@pytest.mark.soak
def test_saga_does_what_the_model_does_for_long() -> None:
    run_state_machine_as_test(TripMachine, settings=SOAK)


def undo_in_the_order_of_the_steps(monkeypatch: Any) -> None:
    compensate = StepBatch._compensate

    def in_order(self: StepBatch, standing: Standing, cause: Any) -> Any:
        standing.compensations.reverse()
        return compensate(self, standing, cause)

    monkeypatch.setattr(StepBatch, "_compensate", in_order)


def forget_the_state(monkeypatch: Any) -> None:
    monkeypatch.setattr(Performer, "_load", lambda self: self._type.defaults())


def fire_what_was_cancelled(monkeypatch: Any) -> None:
    apply_step = Standing._apply_step

    def without_cancelling(self: Standing, event: Any) -> None:
        event.step.cancelled.clear()
        apply_step(self, event)

    monkeypatch.setattr(Standing, "_apply_step", without_cancelling)


def fire_what_waits_for_an_operator(monkeypatch: Any) -> None:
    def ripe(self: TimeoutPart) -> Any:
        return SagaTimeout.objects.filter(due_at__lte=Now())

    monkeypatch.setattr(TimeoutPart, "_ripe", ripe)


def start_anew_without_a_row(monkeypatch: Any) -> None:
    monkeypatch.setattr(StepBatch, "_load_from_streams", lambda self, keys: None)


# The first is found quickly; the others take longer.
FAULTS = [
    forget_the_state,
    undo_in_the_order_of_the_steps,
    fire_what_was_cancelled,
    fire_what_waits_for_an_operator,
    start_anew_without_a_row,
]


@pytest.mark.parametrize(
    "fault", [FAULTS[0], *(pytest.param(f, marks=pytest.mark.soak) for f in FAULTS[1:])]
)
def test_saga_with_a_fault_is_told_apart(fault: Callable[[Any], None], monkeypatch: Any) -> None:
    fault(monkeypatch)
    with pytest.raises((AssertionError, Flaky)):
        run_state_machine_as_test(TripMachine, settings=SEARCH)
