"""Sagas in the states that operators meet, with evil texts where texts can be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.utils import quote
from django.urls import reverse

from tests.admin.clients import EVIL
from tests.sagas.steering import SAGA, note, wait_for_payment
from tests.trips.sagas import TripBooking
from whizbang.models import SagaInstance, SagaTimeout
from whizbang.testing import drain


def page_of(key: str) -> str:
    return reverse("admin:whizbang_sagainstance_change", args=[quote(f"{SAGA}-{key}")])


@pytest.fixture
def waiting(db: None) -> str:
    """One that waits for its payment, at version 3."""
    wait_for_payment("1")
    return "1"


@pytest.fixture
def evil(db: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """One with an evil key, state and payload, at which an event and a timeout have failed with evil errors."""

    def noted(self: TripBooking, event: object) -> None:
        text = event.text  # type: ignore[attr-defined]
        if "break" in text:
            raise RuntimeError(text)
        self.notes.append(text)

    def unpaid(self: TripBooking) -> None:
        raise RuntimeError(f"late {EVIL}")

    monkeypatch.setattr(TripBooking, "noted", noted)
    monkeypatch.setattr(TripBooking, "unpaid", unpaid)
    key = f"k{EVIL}"
    wait_for_payment(key)
    note(f"fine {EVIL}", key)
    drain(advance=timedelta(days=2))
    # Advancing moves what waits; a failed timeout is known by when it was due.
    SagaTimeout.objects.update(due_at=SagaInstance.objects.get().next_timeout_at)
    note(f"break {EVIL}", key)
    return key
