"""Instances of the trips' saga in the states that operators meet."""

from __future__ import annotations

from io import StringIO
from typing import Any

from django.core.management import call_command

import whizbang
from tests.trips.messages import RequestTrip, TripNoted
from whizbang import event_store
from whizbang.testing import drain

SAGA = "trips.TripBooking"


def begin(key: str = "1", **fields: Any) -> None:
    """An instance as far as it gets: to its end, unless it is told otherwise by the trip's fields."""
    drain()  # sagas hear what is recorded after their rows were made
    whizbang.send(RequestTrip(trip_id=key, **fields))
    drain()


def wait_for_payment(key: str = "1") -> None:
    """An instance that waits: nobody answers a price of 0."""
    begin(key, price=0)


def note(text: str, key: str = "1") -> None:
    event_store().append(f"trips.Note-{key}", [TripNoted(trip_id=key, text=text)])
    drain()


def saga(*arguments: str) -> str:
    """What `manage.py whizbang saga …` prints."""
    out = StringIO()
    call_command("whizbang", "saga", *arguments, stdout=out, no_color=True)
    return out.getvalue()
