"""What operators decide about an instance: retry, skip, cancel; once, under its lock, and kept."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError

from tests.sagas.rivals import made_to_wait
from tests.sagas.steering import SAGA, begin, note, saga, wait_for_payment
from tests.trips.messages import ReleaseSeat, SeatReleased, TripNoted
from tests.trips.sagas import TripBooking
from whizbang import WhizbangError, event_store
from whizbang.models import (
    InboxMessage,
    OperatorAction,
    ParkedStream,
    SagaInstance,
    SagaTimeout,
    SkippedEvent,
    StoredEvent,
)
from whizbang.operations.sagas.decisions import (
    cancel_instance,
    fire_timeout_now,
    retry_step,
    skip_step,
)
from whizbang.operations.sagas.instance import look_at
from whizbang.operations.sagas.replay import replay
from whizbang.operations.sagas.story import steps_of
from whizbang.sagas.steps import standing_from_stream
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def mend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A new version of the code, in which a method has no error any more."""

    def do(name: str) -> None:
        monkeypatch.setattr(TripBooking, name, lambda self, *event: self.fail("mended"))

    return do


@pytest.fixture
def broken_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpaid(self: TripBooking) -> None:
        raise RuntimeError("The saga cannot stand this timeout.")

    monkeypatch.setattr(TripBooking, "unpaid", unpaid)


def notes() -> list[str]:
    return list(look_at(SAGA, "1").state["notes"])


def fail_at_timeout() -> None:
    wait_for_payment()
    drain(advance=timedelta(days=2))
    assert SagaTimeout.objects.get().parked_at is not None


def released() -> int:
    return len(list(event_store().read_all(types=[SeatReleased])))


def test_event_is_tried_again_with_what_waits_behind_it(mend: Any) -> None:
    wait_for_payment()
    note("break")
    note("later")
    mend("noted")
    decided = retry_step(SAGA, "1")
    assert (decided.event, decided.timeouts) == ("trips.TripNoted", ())
    assert SagaInstance.objects.get().error == ""
    drain()
    assert (SagaInstance.objects.get().status, ParkedStream.objects.count()) == ("failed", 0)


def test_timeout_is_tried_again(broken_timeout: None, mend: Any) -> None:
    fail_at_timeout()
    drain()
    assert SagaTimeout.objects.get().attempts == 1  # it waits for an operator
    mend("unpaid")
    assert retry_step(SAGA, "1").timeouts == ("unpaid",)
    row = SagaTimeout.objects.get()
    assert (row.parked_at, row.error, SagaInstance.objects.get().error) == (None, "", "")
    drain()
    assert SagaInstance.objects.get().status == "failed"


def test_error_stays_while_something_else_still_stands_aside(broken_timeout: None) -> None:
    fail_at_timeout()
    note("break")
    assert "cannot stand this note" in SagaInstance.objects.get().error
    retry_step(SAGA, "1", timeout="unpaid")
    assert "cannot stand this note" in SagaInstance.objects.get().error
    assert SagaTimeout.objects.get().parked_at is None
    assert not ParkedStream.objects.get().is_retry_requested


def test_event_is_skipped_and_what_waits_behind_it_goes_on() -> None:
    wait_for_payment()
    note("break")
    note("later")
    assert skip_step(SAGA, "1", reason="A typo.", operator="ada").event == "trips.TripNoted"
    assert SagaInstance.objects.get().error == ""
    drain()
    assert notes() == ["later"]
    skipped = SkippedEvent.objects.get()
    assert (skipped.key, skipped.reason, skipped.skipped_by) == ("1", "A typo.", "ada")
    assert [left.reason for left in look_at(SAGA, "1").left_out] == ["A typo."]


def test_timeout_is_skipped(broken_timeout: None) -> None:
    fail_at_timeout()
    assert skip_step(SAGA, "1", reason="Paid in cash.", operator="ada").timeouts == ("unpaid",)
    assert not SagaTimeout.objects.exists()
    found = SagaInstance.objects.get()
    assert (found.status, found.error, found.next_timeout_at) == ("open", "", None)
    *_, last = steps_of(SAGA, "1")
    told = (last.kind, last.timeout, last.reason, last.operator)
    assert told == ("timeout skipped", "unpaid", "Paid in cash.", "ada")
    assert "timeout skipped: unpaid by ada: Paid in cash." in saga("show", SAGA, "1")


def test_which_of_several_is_meant_has_to_be_said(broken_timeout: None) -> None:
    fail_at_timeout()
    note("break")
    with pytest.raises(WhizbangError, match="the timeout 'unpaid' and trips.TripNoted at position"):
        skip_step(SAGA, "1", reason="x")
    skip_step(SAGA, "1", reason="x", timeout="unpaid")
    skip_step(SAGA, "1", reason="x")
    drain()
    assert not ParkedStream.objects.exists() and not SagaTimeout.objects.exists()


def test_what_has_not_failed_is_not_retried_or_skipped() -> None:
    wait_for_payment()
    for problem, key, timeout in (
        ("No step of 'trips.TripBooking-1' has failed: it is open", "1", None),
        ("has not failed: it is due", "1", "unpaid"),
        ("does not wait for the timeout 'other'", "1", "other"),
        ("no instance with the key '9'", "9", None),
    ):
        with pytest.raises(WhizbangError, match=problem):
            retry_step(SAGA, key, timeout=timeout)
        with pytest.raises(WhizbangError, match=problem):
            skip_step(SAGA, key, timeout=timeout, reason="x")


def test_event_that_would_start_it_is_skipped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    drain()
    monkeypatch.delattr(TripBooking, "requested")
    begin("1")
    with pytest.raises(WhizbangError, match=r"no instance .* The event that would start it fails"):
        cancel_instance(SAGA, "1", reason="x")
    assert look_at(SAGA, "1").status == "not started"
    assert "stands at trips.TripRequested" in saga("show", SAGA, "1")
    skip_step(SAGA, "1", reason="x")
    drain()
    assert not ParkedStream.objects.exists() and not SagaInstance.objects.exists()


def test_cancelled_instance_undoes_its_steps_and_is_over() -> None:
    wait_for_payment()
    note("break")
    decided = cancel_instance(SAGA, "1", reason="Customer called.", operator="ada")
    assert (decided.commands, decided.timeouts) == (("trips.ReleaseSeat",), ("unpaid",))
    assert not ParkedStream.objects.exists() and not SagaTimeout.objects.exists()
    found = SagaInstance.objects.get()
    assert (found.status, found.error) == ("cancelled", "")
    note("late")
    assert released() == 1
    assert SagaInstance.objects.get().version == found.version
    told = list(steps_of(SAGA, "1"))[-1]
    assert (told.kind, told.reason, told.operator) == ("cancelled", "Customer called.", "ada")
    assert [command.type for command in told.commands] == ["trips.ReleaseSeat"]


def test_cancelled_instance_leaves_its_steps_where_that_is_said() -> None:
    wait_for_payment()
    assert cancel_instance(SAGA, "1", reason="x", is_compensated=False).commands == ()
    drain()
    assert released() == 0
    assert SagaInstance.objects.get().status == "cancelled"


@pytest.mark.parametrize(
    ("price", "status"), [(10, "completed"), (101, "failed"), (0, "cancelled")]
)
def test_closed_instance_is_not_cancelled(price: int, status: str) -> None:
    begin("1", price=price)
    if status == "cancelled":
        cancel_instance(SAGA, "1", reason="x")
    before = SagaInstance.objects.values().get()
    with pytest.raises(WhizbangError, match=f"is {status} since .*: there is nothing to cancel"):
        cancel_instance(SAGA, "1", reason="x")
    assert SagaInstance.objects.values().get() == before


def test_cancel_changes_nothing_where_a_command_does_not_fit_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_for_payment()
    monkeypatch.setattr(type(ReleaseSeat.__whizbang__), "upcast", lambda self, data, schema: {})
    with pytest.raises(WhizbangError, match="does not fit its class any more"):
        cancel_instance(SAGA, "1", reason="x")
    assert SagaInstance.objects.get().status == "open"
    assert cancel_instance(SAGA, "1", reason="x", is_compensated=False).commands == ()


@pytest.mark.parametrize("decide", [skip_step, cancel_instance])
def test_reason_is_needed(decide: Any) -> None:
    with pytest.raises(ValueError, match="Give a reason"):
        decide(SAGA, "1", reason=" ")


def test_timeout_is_fired_now() -> None:
    wait_for_payment()
    fire_timeout_now(SAGA, "1", "unpaid", reason="Bankrupt.", operator="ada")
    (waiting,) = look_at(SAGA, "1").waiting
    assert waiting.is_overdue and SagaTimeout.objects.get().due_at == waiting.due_at
    with pytest.raises(WhizbangError, match="is due already"):
        fire_timeout_now(SAGA, "1", "unpaid", reason="x")
    drain()
    assert SagaInstance.objects.get().status == "failed"
    told = {step.kind: step for step in steps_of(SAGA, "1")}
    hastened, fired = told["timeout hastened"], told["timed out"]
    assert (hastened.timeout, hastened.reason, hastened.operator) == ("unpaid", "Bankrupt.", "ada")
    assert fired.due_at == hastened.due_at == waiting.due_at
    assert "timeout hastened: unpaid by ada: Bankrupt." in saga("show", SAGA, "1")
    assert replay(SAGA, "1").is_same


def test_hastened_timeout_is_known_from_the_stream_alone() -> None:
    wait_for_payment()
    fire_timeout_now(SAGA, "1", "unpaid", reason="x")
    standing = standing_from_stream(event_store(), TripBooking, "1")
    assert standing.timeouts == {"unpaid": SagaTimeout.objects.get().due_at}
    assert SagaInstance.objects.get().next_timeout_at == standing.timeouts["unpaid"]


def test_what_is_not_waited_for_is_not_fired(broken_timeout: None) -> None:
    wait_for_payment()
    begin("2", price=10)
    for problem, key, timeout in (
        ("does not wait for the timeout 'other'", "1", "other"),
        ("is completed since .*: it waits for nothing", "2", "unpaid"),
        ("no instance with the key '9'", "9", "unpaid"),
    ):
        with pytest.raises(WhizbangError, match=problem):
            fire_timeout_now(SAGA, key, timeout, reason="x")
    drain(advance=timedelta(days=2))
    with pytest.raises(WhizbangError, match="has failed: retry it"):
        fire_timeout_now(SAGA, "1", "unpaid", reason="x")


def test_dry_run_changes_nothing(broken_timeout: None) -> None:
    fail_at_timeout()

    def everything() -> list[Any]:
        tables = (SagaInstance, SagaTimeout, InboxMessage, StoredEvent, OperatorAction)
        return [list(model._base_manager.values()) for model in tables]

    before = everything()
    arguments: dict[str, Any] = {"reason": "x", "is_dry_run": True}
    assert retry_step(SAGA, "1", is_dry_run=True).timeouts == ("unpaid",)
    assert skip_step(SAGA, "1", **arguments).timeouts == ("unpaid",)
    assert cancel_instance(SAGA, "1", **arguments).commands == ("trips.ReleaseSeat",)
    assert everything() == before


def test_command_line_decides() -> None:
    wait_for_payment("1")
    note("break", "1")
    would = saga("cancel", SAGA, "1", "--reason", "x", "--dry-run")
    assert f"{SAGA} 1 would be cancelled." in would
    assert "trips.ReleaseSeat would be sent." in would
    assert "event trips.TripNoted is tried again" in saga("retry", SAGA, "1")
    drain()
    assert "event trips.TripNoted is left out" in saga("skip", SAGA, "1", "--reason", "x")
    told = json.loads(saga("cancel", SAGA, "1", "--reason", "x", "--no-compensation", "--json"))
    assert (told["action"], told["commands"]) == ("cancel", [])
    kept = OperatorAction.objects.order_by("pk").values_list("action", "reason")
    assert list(kept) == [("retry-saga", "(none given)"), ("skip-saga", "x"), ("cancel-saga", "x")]
    assert OperatorAction.objects.latest("pk").operator.startswith("command line")
    with pytest.raises(CommandError, match="is cancelled since"):
        saga("cancel", SAGA, "1", "--reason", "x")
    with pytest.raises(CommandError, match="Give a reason"):
        saga("cancel", SAGA, "1", "--reason", "")


@pytest.mark.requires_postgres
@pytest.mark.django_db(transaction=True)
def test_decision_waits_for_a_step_and_sees_what_it_did() -> None:
    wait_for_payment()
    problems: list[str] = []

    def cancel() -> None:
        try:
            cancel_instance(SAGA, "1", reason="x")
        except WhizbangError as exc:
            problems.append(str(exc))

    with made_to_wait(cancel, by=SagaInstance.objects.all()):
        skipped = cancel_instance(SAGA, "1", reason="first")
    assert skipped.commands == ("trips.ReleaseSeat",)
    assert len(problems) == 1 and "is cancelled since" in problems[0]
    assert InboxMessage.objects.filter(type="trips.ReleaseSeat").count() == 1


@pytest.mark.requires_postgres
@pytest.mark.django_db(transaction=True)
def test_worker_that_waits_for_a_cancel_takes_no_step() -> None:
    wait_for_payment()
    event_store().append("trips.Note-1", [TripNoted(trip_id="1", text="fail")])
    with made_to_wait(drain, by=SagaInstance.objects.all()):
        cancel_instance(SAGA, "1", reason="x")
    kinds = [step.kind for step in steps_of(SAGA, "1")]
    assert kinds == ["started", "reacted", "reacted", "cancelled"]
    assert released() == 1
