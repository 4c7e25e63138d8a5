"""Whoever works on an instance takes its row first, so that no two wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import whizbang
from tests.sagas.rivals import made_to_wait
from tests.trips.messages import RequestTrip, TripNoted
from whizbang import event_store
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.sagas.subscription import SagaSubscription
from whizbang.sagas.timeouts import TimeoutPart

Drain = Callable[..., Any]


def set_up(drain: Drain) -> None:
    """One instance that waits for its timeout."""
    drain()
    whizbang.send(RequestTrip(trip_id="1", price=0))
    drain()


@pytest.mark.requires_postgres
@pytest.mark.django_db(transaction=True)
def test_timeout_that_is_set_aside_takes_the_instance_first(drain: Drain) -> None:
    set_up(drain)
    part, timeout = TimeoutPart(event_store()), SagaTimeout.objects.get()

    def park() -> None:
        part._park(timeout, RuntimeError("Its method failed."))

    with made_to_wait(park, by=SagaInstance.objects.all()):
        assert SagaTimeout.objects.select_for_update(nowait=True).get() == timeout
    assert "Its method failed." in SagaInstance.objects.get().error


@pytest.mark.django_db
def test_timeout_that_was_cancelled_meanwhile_leaves_no_error(drain: Drain) -> None:
    set_up(drain)
    part, timeout = TimeoutPart(event_store()), SagaTimeout.objects.get()
    SagaTimeout.objects.all().delete()
    part._park(timeout, RuntimeError("Its method failed."))
    assert SagaInstance.objects.get().error == ""


@pytest.mark.django_db
def test_retry_that_fails_takes_the_instance_first(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(drain)
    event_store().append("trips.Note-1", [TripNoted(trip_id="1", text="break")])
    drain()
    ParkedStream.objects.update(is_retry_requested=True)
    attempts_before: list[int] = []

    def note_parked(self: SagaSubscription, key: str, error: str) -> None:
        attempts_before.append(ParkedStream.objects.get(key=key).attempts)

    monkeypatch.setattr(SagaSubscription, "note_parked", note_parked)
    drain()
    assert attempts_before == [1]
    assert ParkedStream.objects.get().attempts == 2
