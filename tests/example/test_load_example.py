from __future__ import annotations

from dataclasses import astuple
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from whizbang.models import (
    DeadLetter,
    EventEntry,
    InboxMessage,
    OutboxMessage,
    ParkedStream,
    SagaInstance,
    SagaTimeout,
    StoredEvent,
    Stream,
)
from whizbang.operations.status import subscription_statuses
from whizbang.testing import drain

AMOUNTS = {
    "events": 130,
    "streams": 20,
    "outbox": 30,
    "inbox": 40,
    "sagas": 10,
    "dead_letters": 12,
    "parked": 3,
}


def load(**options: object) -> str:
    out = StringIO()
    call_command("load_example", stdout=out, **{**AMOUNTS, **options})
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_load_fills_the_tables_and_leaves_nothing_for_workers_to_do() -> None:
    said = load()

    assert "130 events in 20 streams" in said
    made = (StoredEvent, EventEntry, Stream, OutboxMessage, InboxMessage, SagaInstance)
    assert [m.objects.count() for m in made] == [130, 130, 30, 30, 40, 10]
    assert [m.objects.count() for m in (DeadLetter, ParkedStream, SagaTimeout)] == [12, 3, 2]
    assert not any(status.lag_events for status in subscription_statuses())
    assert set(astuple(drain())) == {0}


@pytest.mark.django_db(transaction=True)
def test_load_refuses_a_database_with_events_unless_told_to_add() -> None:
    load()

    with pytest.raises(CommandError, match="There are events already"):
        load()
    load(add=True)

    assert StoredEvent.objects.count() == 260
    assert Stream.objects.count() == 60


@pytest.mark.parametrize("wrong", [{"streams": 0}, {"outbox": -1}, {"events": 5}])
@pytest.mark.django_db
def test_load_refuses_amounts_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(CommandError):
        load(**wrong)
    assert not StoredEvent.objects.exists()
