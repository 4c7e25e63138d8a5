"""Drivers do what the model does, whatever is asked of them; and the test notices when one does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.drivers.stores.machine import StoreMachine, more_sessions
from whizbang.drivers.stores import relational, sqlite
from whizbang.drivers.stores.commit_order_tail import CommitOrderTail
from whizbang.exceptions import ConcurrencyError

pytestmark = pytest.mark.django_db(transaction=True)

DRIVERS = [
    pytest.param("sqlite.SqliteStore", marks=pytest.mark.requires_sqlite, id="sqlite"),
    pytest.param("postgres.PostgresStore", marks=pytest.mark.requires_postgres, id="postgres"),
    pytest.param("mysql.MysqlStore", marks=pytest.mark.requires_mariadb, id="mariadb"),
]
CI = settings(
    max_examples=40,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SOAK = settings(CI, max_examples=50, stateful_step_count=80, derandomize=False)
SOAK_SECONDS = float(os.environ.get("WHIZBANG_SOAK_SECONDS", "600"))
# A wrong driver need only be found, not explained.
SEARCH = settings(CI, max_examples=300, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: Any) -> Iterator[type[StoreMachine]]:
    """A machine for the driver that the test is parametrised with."""
    module, name = request.param.split(".")
    found = import_module(f"whizbang.drivers.stores.{module}")
    if hasattr(found, "SETTLE_SECONDS"):
        monkeypatch.setattr(found, "SETTLE_SECONDS", 0.0)  # one look, as often as it is asked
    with more_sessions():
        yield type("Machine", (StoreMachine,), {"driver": getattr(found, name)})


@pytest.mark.parametrize("machine", DRIVERS, indirect=True)
def test_driver_does_what_the_model_does(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=CI)


@pytest.mark.soak
@pytest.mark.parametrize("machine", DRIVERS, indirect=True)
def test_driver_does_what_the_model_does_for_long(machine: type[StoreMachine]) -> None:
    deadline = time.monotonic() + SOAK_SECONDS
    while time.monotonic() < deadline:
        run_state_machine_as_test(machine, settings=SOAK)


def accept_future_versions_on_sqlite(monkeypatch: Any) -> None:
    reads = relational.RelationalStore._needs_version
    monkeypatch.setattr(sqlite.SqliteStore, "_needs_version", reads)


def accept_future_versions_on_postgres(monkeypatch: Any) -> None:
    monkeypatch.setattr("whizbang.drivers.stores.postgres._is_guarded", lambda item: False)


def tell_an_unsettled_head(monkeypatch: Any) -> None:
    store = "whizbang.drivers.stores.postgres.PostgresStore"
    monkeypatch.setattr(f"{store}.settled_head", relational.RelationalStore.last_position)


def hand_out_what_is_not_settled(monkeypatch: Any) -> None:
    tail = "whizbang.drivers.stores.postgres_tail.PostgresTail"
    monkeypatch.setattr(f"{tail}._count_settled", lambda self, rows: len(rows))


def hand_out_from_the_wrong_place(monkeypatch: Any) -> None:
    read = CommitOrderTail.read

    def read_and_skip(self: Any, *, limit: int) -> Any:
        rows = read(self, limit=limit)
        self._mark += bool(rows)
        return rows

    monkeypatch.setattr(CommitOrderTail, "read", read_and_skip)


def take_any_stream_for_an_existing_one(monkeypatch: Any) -> None:
    monkeypatch.setattr(relational, "STREAM_EXISTS", object())


def give_places_in_the_order_of_writing(monkeypatch: Any) -> None:
    append = relational.RelationalStore.append

    def append_and_mix_up(self: Any, streams: Any) -> Any:
        return append(self, sorted(streams, key=lambda item: item.stream))

    monkeypatch.setattr(relational.RelationalStore, "append", append_and_mix_up)


def change_condition(monkeypatch: Any, old: str, new: str) -> None:
    add = relational._add

    def add_changed(where: Any, params: Any, condition: str, value: Any) -> None:
        add(where, params, condition.replace(old, new), value)

    monkeypatch.setattr(relational, "_add", add_changed)


def end_streams_too_early(monkeypatch: Any) -> None:
    change_condition(monkeypatch, "version <= %s", "version < %s")


def count_the_last_instant_in(monkeypatch: Any) -> None:
    change_condition(monkeypatch, "recorded_at < %s", "recorded_at <= %s")


def leave_the_first_instant_out(monkeypatch: Any) -> None:
    change_condition(monkeypatch, "occurred_at >= %s", "occurred_at > %s")


def give_pages_without_a_limit(monkeypatch: Any) -> None:
    monkeypatch.setattr(relational, "min", lambda left, size: size, raising=False)


FAULTS_OF_ONE = {
    "sqlite.SqliteStore": [accept_future_versions_on_sqlite, hand_out_from_the_wrong_place],
    "postgres.PostgresStore": [
        accept_future_versions_on_postgres,
        tell_an_unsettled_head,
        hand_out_what_is_not_settled,
    ],
    "mysql.MysqlStore": [hand_out_from_the_wrong_place],
}
FAULTS = [
    take_any_stream_for_an_existing_one,
    give_places_in_the_order_of_writing,
    end_streams_too_early,
    count_the_last_instant_in,
    leave_the_first_instant_out,
    give_pages_without_a_limit,
]


@pytest.mark.parametrize(
    ("machine", "fault"),
    [
        pytest.param(*param.values, fault, marks=param.marks, id=f"{param.id}-{fault.__name__}")
        for param in DRIVERS
        for fault in (*FAULTS_OF_ONE[str(param.values[0])], *FAULTS)
    ],
    indirect=["machine"],
)
def test_driver_with_a_fault_is_told_apart(
    machine: type[StoreMachine], fault: Callable[[Any], None], monkeypatch: Any
) -> None:
    fault(monkeypatch)
    # Flaky: positions depend on what other examples burned, so a fault may not show a second time.
    with pytest.raises((AssertionError, ConcurrencyError, Flaky)):
        run_state_machine_as_test(machine, settings=SEARCH)
