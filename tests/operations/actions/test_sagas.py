"""What operators do to instances of sagas, through the door that all actions go through."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.sagas.steering import SAGA, note, saga, wait_for_payment
from whizbang import WhizbangError
from whizbang.models import ActionRequest, OperatorAction, SagaInstance, SagaTimeout
from whizbang.operations.actions import By, ChangedMeanwhile, approve, perform
from whizbang.operations.actions.sagas import (
    CancelSaga,
    FireTimeoutNow,
    ReplaySaga,
    RetrySaga,
    SkipSaga,
)
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
ANNA, BEN = By("anna", "Customer called."), By("ben", "I agree.")


def test_each_decision_is_kept_once_with_what_it_did() -> None:
    wait_for_payment()
    note("break")
    perform(RetrySaga(saga=SAGA, key="1"), ANNA)
    perform(SkipSaga(saga=SAGA, key="1"), ANNA)
    perform(FireTimeoutNow(saga=SAGA, key="1", timeout="unpaid"), ANNA)
    perform(CancelSaga(saga=SAGA, key="1", is_compensated=False), ANNA)
    retried, skipped, fired, cancelled = OperatorAction.objects.order_by("pk")
    assert {row.target for row in OperatorAction.objects.all()} == {f"saga {SAGA}-1"}
    assert "trips.TripNoted is tried again by a worker. Its position" in retried.result
    assert "trips.TripNoted is left out." in skipped.result
    assert fired.parameters == {"saga": SAGA, "key": "1", "timeout": "unpaid"}
    assert "is cancelled." in cancelled.result and "unpaid is given up" in cancelled.result
    assert (cancelled.action, cancelled.operator) == ("cancel-saga", "anna")
    assert cancelled.parameters["is_compensated"] is False


def test_facts_tell_what_is_sent_and_change_nothing() -> None:
    wait_for_payment()
    before = SagaInstance.objects.values().get()
    facts = {fact.name: fact.value for fact in CancelSaga(saga=SAGA, key="1").facts()}
    assert facts["commands that are sent"] == "trips.ReleaseSeat"
    assert facts["timeouts"] == "unpaid"
    left = CancelSaga(saga=SAGA, key="1", is_compensated=False).facts()
    assert ("commands that are sent", "none") in left
    assert SagaInstance.objects.values().get() == before


def test_step_taken_meanwhile_is_news() -> None:
    wait_for_payment()
    action = CancelSaga(saga=SAGA, key="1")
    seen = action.state()
    note("fine")
    with pytest.raises(ChangedMeanwhile, match="version was 3 and is 4"):
        perform(action, ANNA, seen=seen)
    seen = action.state()
    note("break")
    with pytest.raises(
        ChangedMeanwhile, match=r"failed event was empty and is trips\.TripNoted at"
    ):
        perform(action, ANNA, seen=seen)
    assert SagaInstance.objects.get().status == "open"


def test_form_that_is_sent_twice_cancels_once() -> None:
    wait_for_payment()
    action, token = CancelSaga(saga=SAGA, key="1"), uuid4()
    seen = action.state()
    first, second = (perform(action, ANNA, token=token, seen=seen) for _ in range(2))
    assert first.is_new and not second.is_new and first.text == second.text
    assert OperatorAction.objects.count() == 1


def test_cancel_takes_two_where_settings_say_so(settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["cancel-saga", "replay-saga"]}
    wait_for_payment()
    asked = perform(CancelSaga(saga=SAGA, key="1"), ANNA).request
    assert asked is not None and SagaInstance.objects.get().status == "open"
    assert "waits until somebody else" in saga("cancel", SAGA, "1", "--reason", "x")
    approve(asked.pk, BEN)
    assert SagaInstance.objects.get().status == "cancelled"
    looked = perform(ReplaySaga(saga=SAGA, key="1"), ANNA).request
    assert looked is not None and looked.status == ActionRequest.Status.QUEUED  # it only looks


def test_approval_of_what_has_changed_is_refused(settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["cancel-saga"]}
    wait_for_payment()
    asked = perform(CancelSaga(saga=SAGA, key="1"), ANNA).request
    assert asked is not None
    note("fine")
    with pytest.raises(ChangedMeanwhile):
        approve(asked.pk, BEN)
    assert SagaInstance.objects.get().status == "open"


@pytest.mark.parametrize(
    "action",
    [
        RetrySaga(saga=SAGA, key="1"),
        RetrySaga(saga=SAGA, key="1\0"),
        SkipSaga(saga="trips.None", key="1"),
        CancelSaga(saga=SAGA, key="9"),
        FireTimeoutNow(saga=SAGA, key="1", timeout="other"),
        ReplaySaga(saga=SAGA, key="9"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anybody_is_asked(action: Any) -> None:
    wait_for_payment()
    with pytest.raises(WhizbangError):
        action.check()
    with pytest.raises(WhizbangError):
        perform(action, ANNA)
    assert not OperatorAction.objects.exists() and not ActionRequest.objects.exists()


def test_replay_is_a_workers_and_its_document_says_what_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.trips.sagas import TripBooking

    wait_for_payment()
    monkeypatch.setattr(TripBooking, "reserved", lambda self, event: self.fail("sold out"))
    perform(ReplaySaga(saga=SAGA, key="1"), ANNA)
    drain()
    request = ActionRequest.objects.get()
    assert request.status == ActionRequest.Status.DONE
    assert request.result == "1 of 2 steps differ, the first at version 3."
    [step] = request.document["found"]
    assert "ending" in {difference["what"] for difference in step["differences"]}
    assert SagaInstance.objects.get().status == "open"
    assert OperatorAction.objects.get().result == request.result


def test_command_line_fires_a_timeout() -> None:
    wait_for_payment()
    dry = saga("fire", SAGA, "1", "unpaid", "--reason", "x", "--dry-run")
    assert "The timeout unpaid would be fired by a worker." in dry
    assert not OperatorAction.objects.exists()
    assert "is fired by a worker" in saga("fire", SAGA, "1", "unpaid", "--reason", "x")
    drain()
    assert not SagaTimeout.objects.exists()
    assert SagaInstance.objects.get().status == "failed"
