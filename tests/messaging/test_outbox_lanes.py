"""Several relays of one outbox: they share its lanes, and each ordering key keeps its order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from pytest_django import Settings

import whizbang
from tests.processes import wait_until
from tests.shop.messages import CallElsewhere
from whizbang.drivers.brokers.base import BrokerMessage, Published
from whizbang.messaging import relay as relay_module
from whizbang.messaging.lanes import LANES, lane_of
from whizbang.messaging.queue import store_messages
from whizbang.messaging.relay import Relay
from whizbang.models import OutboxMessage
from whizbang.routing.verbs import check
from whizbang.store.event_store import event_store
from whizbang.subscriptions.shared_leases import SharedLeases

KEYS, OF_EACH = 12, 25


@pytest.fixture(autouse=True)
def _here(settings: Settings) -> None:
    settings.WHIZBANG = {
        "SERVICE": "here",
        "OWNS": ["shop"],
        "SERVICES": {"there": {"OWNS": ["elsewhere"]}},
        "BATCH_SIZE": 7,
        "LEASE_SECONDS": 1.0,
        "IDLE_POLL_SECONDS": 0.05,
    }


def test_lanes_stand_in_rows_and_never_change() -> None:
    nil = UUID(int=0)
    assert [lane_of(key, nil) for key in ("", "a", "order-17", "ä")] == [0, 3, 4, 3]
    assert lane_of(None, nil) == 5
    assert lane_of(None, UUID(int=1)) == 3


class RecordingBroker:
    """Confirms all, slowly, and knows who sent what."""

    is_remote = True

    def __init__(self, sent: list[tuple[str, BrokerMessage]]) -> None:
        self._sent = sent

    def declare(self, topology: Any) -> None:
        self.topology = topology

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        for message in messages:
            self._sent.append((threading.current_thread().name, message))
            time.sleep(0.0005)
        return Published(confirmed=frozenset(m.message_id for m in messages))

    def close(self) -> None:
        self.is_closed = True


class Relaying(threading.Thread):
    """A relay that runs until it ends in order, or stops dead with its leases."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.is_ending, self.is_dead = threading.Event(), threading.Event()

    def run(self) -> None:
        moving = Relay(event_store(), self.name)
        try:
            while not self.is_ending.is_set() and not self.is_dead.is_set():
                if not moving.run_once():
                    time.sleep(0.005)
            if not self.is_dead.is_set():
                moving.close()
        finally:
            connections.close_all()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, BrokerMessage]]:
    made: list[tuple[str, BrokerMessage]] = []
    monkeypatch.setattr(relay_module, "make_broker", lambda *, using: RecordingBroker(made))
    return made


@pytest.fixture
def start() -> Iterator[Callable[[str], Relaying]]:
    started: list[Relaying] = []

    def begin(name: str) -> Relaying:
        started.append(Relaying(name))
        started[-1].start()
        return started[-1]

    yield begin
    for relaying in started:
        relaying.is_ending.set()
    for relaying in started:
        relaying.join(10)


def write(round: int) -> None:
    for number in range(OF_EACH):
        with transaction.atomic():
            store_messages(
                [
                    check(
                        whizbang.envelope(
                            CallElsewhere(text=f"{key}/{round * OF_EACH + number}"),
                            ordering_key=f"key-{key}",
                        )
                    )
                    for key in range(KEYS)
                ],
                using=connection.alias,
            )


def unsent() -> int:
    return OutboxMessage.objects.filter(published_at__isnull=True).count()


@pytest.mark.requires_server
@pytest.mark.django_db(transaction=True)
def test_relays_share_lanes_die_and_keep_each_key_in_order(
    sent: list[tuple[str, BrokerMessage]], start: Callable[[str], Relaying]
) -> None:
    first, _ = start("first"), start("second")
    write(0)
    wait_until(lambda: {name for name, _ in sent} == {"first", "second"} or not unsent())
    write(1)
    wait_until(lambda: {name for name, _ in sent} == {"first", "second"})
    first.is_dead.set()  # its leases expire by themselves
    start("third")
    write(2)
    wait_until(lambda: not unsent())
    numbers: dict[str, list[int]] = {}
    known: set[UUID] = set()
    for _, message in sent:
        if message.message_id not in known:  # what died between confirm and mark is sent again
            known.add(message.message_id)
            key, _, number = str(message.payload, "utf-8").partition('":"')[2][:-2].partition("/")
            numbers.setdefault(key, []).append(int(number))
    assert len(numbers) == KEYS
    assert all(found == list(range(3 * OF_EACH)) for found in numbers.values())


@pytest.mark.django_db(transaction=True)
def test_leases_are_shared_and_taken_over() -> None:
    alias = connection.alias
    one = SharedLeases("one", "whizbang.test", LANES, using=alias)
    assert one.numbers() == frozenset(range(LANES))
    two = SharedLeases("two", "whizbang.test", LANES, using=alias)
    for _ in range(3):
        for leases in (one, two):
            leases._look_at = 0
            leases.numbers()
    assert len(one.numbers()) == len(two.numbers()) == LANES / 2
    assert not one.numbers() & two.numbers()
    one.close()
    two._look_at = 0
    assert two.numbers() == frozenset(range(LANES))
    two.close()
    assert not two.holds_any()
