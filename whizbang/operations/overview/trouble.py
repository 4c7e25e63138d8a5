"""One thing that is not well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where one can look at it and mend it."""

    SUBSCRIPTION = "subscription"  # the one that is named
    PARKED = "parked"
    DEAD_LETTERS = "dead letters"
    OUTBOX = "outbox"
    SAGAS = "sagas"
    WORKERS = "workers"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is not well, in words, and where to mend it. `is_urgent`: work stands still; else it waits for somebody."""

    text: str
    place: Place
    is_urgent: bool = False
    name: str = ""  # of the subscription
    command: str = ""  # of `manage.py whizbang`, that shows more
