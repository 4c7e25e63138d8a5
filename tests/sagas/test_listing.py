"""Which instances there are, and which of them need somebody."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError

from tests.sagas.steering import SAGA, begin, note, saga, wait_for_payment
from tests.trips.messages import TripRequested
from tests.trips.sagas import TripBooking
from whizbang import WhizbangError, event_store
from whizbang.models import SagaInstance, SagaTimeout
from whizbang.operations.sagas.listing import list_instances, list_unstarted
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


def keys(**chosen: object) -> list[str]:
    return [row.key for row in list_instances(**chosen)]  # type: ignore[arg-type]


def break_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method of the timeout fails from now on; a day later it is due."""

    def unpaid(self: TripBooking) -> None:
        raise RuntimeError("The saga cannot stand this timeout.")

    monkeypatch.setattr(TripBooking, "unpaid", unpaid)
    drain(advance=timedelta(days=2))


def test_newest_first_by_type_and_state() -> None:
    begin("1")
    begin("2", price=101)
    wait_for_payment("3")
    assert keys() == ["3", "2", "1"]
    assert keys(saga=SAGA, status="failed") == ["2"]
    (found,) = list_instances(status="open")
    assert (found.version, found.last_step, found.error) == (3, "reserved", "")
    assert found.next_timeout_at is not None and not found.is_overdue


def test_pages_follow_each_other_also_where_instances_began_together() -> None:
    for key in ("1", "2", "3"):
        begin(key)
    SagaInstance.objects.update(started_at=SagaInstance.objects.get(key="1").started_at)
    first = list_instances(limit=2)
    assert [row.key for row in first] == ["1", "2"]
    assert keys(limit=2, after=first[-1].stream) == ["3"]
    with pytest.raises(WhizbangError, match="begin the list anew"):
        list_instances(after=f"{SAGA}-9")


def test_failing_ones_are_those_with_something_set_aside() -> None:
    wait_for_payment("1")
    wait_for_payment("2")
    note("break", "2")
    (found,) = list_instances(is_failing=True)
    assert (found.key, "cannot stand this note" in found.error) == ("2", True)


def test_error_of_a_timeout_stays_in_the_list_when_a_later_step_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_for_payment("1")
    break_timeout(monkeypatch)
    note("fine", "1")
    assert SagaInstance.objects.get().error == ""
    (found,) = list_instances(is_failing=True)
    assert "cannot stand this timeout" in found.error


def test_overdue_ones() -> None:
    for key in ("1", "2"):
        wait_for_payment(key)
    long_ago = SagaTimeout.objects.get(key="2").due_at - timedelta(days=2)
    SagaInstance.objects.filter(key="2").update(next_timeout_at=long_ago)
    (found,) = list_instances(is_overdue=True)
    assert (found.key, found.is_overdue) == ("2", True)


def test_key_whose_first_event_failed_is_listed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    drain()

    def requested(self: TripBooking, event: TripRequested) -> None:
        raise RuntimeError("It cannot even start.")

    monkeypatch.setattr(TripBooking, "requested", requested)
    begin("1")
    assert keys() == []
    (found,) = list_unstarted(saga=SAGA)
    assert (found.key, found.type, found.version) == ("1", "trips.TripRequested", 1)
    assert list_unstarted(after=found.id) == []
    assert "It cannot even start." in saga("list", "--unstarted")
    assert "saga list --unstarted" in saga("list")
    with pytest.raises(CommandError, match="--after trips is no number"):
        saga("list", "--unstarted", "--after", "trips")


def test_instance_with_its_row_is_not_among_the_unstarted() -> None:
    wait_for_payment("1")
    note("break", "1")
    assert list_unstarted() == []


def test_unknown_saga_is_told_with_those_there_are() -> None:
    with pytest.raises(WhizbangError, match=f"there are .*{SAGA}"):
        list_instances(saga="trips.Nothing")
    wait_for_payment("1")
    SagaInstance.objects.update(saga="trips.Gone")  # its class was removed
    assert keys(saga="trips.Gone") == ["1"]


def test_command_line_lists_pages() -> None:
    for key in ("1", "2"):
        wait_for_payment(key)
    assert f"Perhaps more: --after {SAGA}-2" in saga("list", "--limit", "1")
    (line,) = saga("list", SAGA, "--after", f"{SAGA}-2", "--json").splitlines()
    assert (json.loads(line)["key"], json.loads(line)["status"]) == ("1", "open")


def test_list_takes_as_many_statements_for_many_as_for_one(
    django_assert_max_num_queries: object,
) -> None:
    for key in ("1", "2", "3"):
        wait_for_payment(key)
    event_store()  # whose first use may ask for something
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        list_instances(saga=SAGA, is_failing=False)
