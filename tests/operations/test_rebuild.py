"""Asking for a rebuild, and what is seen of one that failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models import F
from django.db.models.functions import Now

import whizbang
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from tests.shop.projections import OrderSummaries
from whizbang.models import Lease, Rebuild, Subscription
from whizbang.operations.rebuild import (
    RebuildFailed,
    RebuildPart,
    insisting,
    reading,
    rebuild_here,
    request_rebuild,
    requests,
)
from whizbang.operations.status import overview
from whizbang.subscriptions.leases import LeaseHolder

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"
HOUR = timedelta(hours=1)
BROKEN = "The rows do not fit.\nsecond line"


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", *arguments, stdout=output)
    return output.getvalue()


def put_in_place_by(function: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a database lets the projection have a table of its own here, or is refilled."""
    monkeypatch.setattr(OrderSummaries, "fill", function)
    monkeypatch.setattr(OrderSummaries, "replace_all", function)


@pytest.fixture
def event(drain: Drain) -> None:
    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text="a")])
    drain()


@pytest.fixture
def broken(event: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The projection cannot put its rows in place; calling it mends that."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ValueError(BROKEN)

    put_in_place_by(refuse, monkeypatch)
    return monkeypatch.undo


def test_request_tells_a_new_run_from_one_that_is_open(event: None) -> None:
    first, is_new = request_rebuild(NAME, requested_by="ann", reason="first")
    assert is_new
    second, is_new = request_rebuild(NAME, requested_by="bob", reason="second")
    assert (second, is_new) == (first, False)
    assert (second.requested_by, second.reason) == ("ann", "first")
    _, is_new = request_rebuild("shop.CustomerTotals")
    assert is_new


def test_request_is_new_when_the_open_run_has_ended_in_between(
    event: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = request_rebuild(NAME)

    def end_first(*args: Any) -> None:
        Rebuild.objects.filter(pk=first.pk).update(status="done")

    monkeypatch.setattr(requests, "open_rebuild", end_first)
    second, is_new = request_rebuild(NAME)
    assert is_new
    assert second.pk != first.pk


def test_command_line_says_whether_the_request_is_new(event: None) -> None:
    said = call("rebuild", NAME, "--reason", "tried out")
    run = Rebuild.objects.get()
    assert said == f"Rebuild {run.pk} of {NAME} is requested; a worker does it.\n"
    said = call("rebuild", NAME)
    assert f"Rebuild {run.pk} of {NAME} is open already (requested), asked for by command" in said
    assert Rebuild.objects.count() == 1
    said = call("rebuild", NAME, "--now")
    assert "is open already" in said
    assert f"Rebuilt {NAME} from 1 events." in said
    assert Rebuild.objects.get().status == "done"
    assert not Lease.objects.exclude(owner="").exists()


def test_rebuild_now_is_left_to_a_worker_that_is_at_one(event: None) -> None:
    worker = LeaseHolder("worker", using="default")
    assert worker.epoch_of("whizbang.rebuild") is not None
    with pytest.raises(CommandError, match="A worker does a rebuild just now"):
        call("rebuild", NAME, "--now")
    assert Rebuild.objects.get().status == "requested"


def test_rebuild_now_does_not_repeat_what_a_worker_has_done(event: None, drain: Drain) -> None:
    run, _ = request_rebuild(NAME)
    drain()
    OrderSummary.objects.all().delete()
    assert rebuild_here(run).status == "done"
    assert not OrderSummary.objects.exists()


def test_failed_rebuild_is_kept_logged_and_named_by_status(
    broken: Callable[[], None], caplog: pytest.LogCaptureFixture, drain: Drain
) -> None:
    run, _ = request_rebuild(NAME)
    with caplog.at_level(logging.ERROR):
        drain()
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error.startswith(f"ValueError: {BROKEN}\n\nTraceback (most recent call last):")
    assert f"Rebuild failed id={run.pk} projection={NAME}" in caplog.text
    assert "ValueError: The rows do not fit." in caplog.text
    assert OrderSummary.objects.get().notes == 1
    assert f"rebuild {run.pk} failed: ValueError: The rows do not fit.\n" in call("status")
    named = next(s for s in overview()["subscriptions"] if s["name"] == NAME)
    assert named["rebuild"] == {
        "id": run.pk,
        "status": "failed",
        "error": "ValueError: The rows do not fit.",
        "progress": "",
    }
    broken()
    request_rebuild(NAME)
    drain()
    assert "failed:" not in call("status")


def test_rebuild_that_fails_at_once_says_so_and_leaves_no_open_run(
    broken: Callable[[], None],
) -> None:
    with pytest.raises(CommandError, match=r"Rebuild \d+ of .* failed: ValueError: The rows"):
        call("rebuild", NAME, "--now")
    assert Rebuild.objects.get().status == "failed"
    assert not Lease.objects.exclude(owner="").exists()
    with pytest.raises(RebuildFailed) as caught:
        rebuild_here(request_rebuild(NAME)[0])
    assert isinstance(caught.value.__cause__, ValueError)


def test_error_that_is_very_long_keeps_its_beginning_and_the_end_of_its_traceback(
    event: None, monkeypatch: pytest.MonkeyPatch, drain: Drain
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ValueError("begin \0\ud800" + "x" * 100_000 + "end")

    put_in_place_by(refuse, monkeypatch)
    # A lone surrogate in the captured log cannot be sent from one process of the suite to another.
    monkeypatch.setattr(logging.getLogger("whizbang.operations.rebuild.part"), "disabled", True)
    request_rebuild(NAME)
    drain()
    error = Rebuild.objects.get().error
    assert error.startswith("ValueError: begin \\x00\\ud800xxx")
    assert error.endswith("xend\n")
    assert len(error) < 25_000


def test_rebuild_that_another_worker_has_taken_over_is_left_to_it(
    event: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    part = RebuildPart(whizbang.event_store(), "slow")
    fold = OrderSummaries.fold_all

    def fold_too_slowly(self: OrderSummaries, events: Iterator[Any], **options: Any) -> Any:
        Lease.objects.update(owner="other", epoch=F("epoch") + 1, expires_at=Now() + HOUR)
        part._leases._held = {name: (epoch, 0.0) for name, (epoch, _) in part._leases._held.items()}
        return fold(self, events, **options)

    monkeypatch.setattr(reading, "_REPORT_EVENTS", 1)
    monkeypatch.setattr(OrderSummaries, "fold_all", fold_too_slowly)
    run, _ = request_rebuild(NAME)
    with caplog.at_level(logging.WARNING):
        assert part.run_once() == 1
    run.refresh_from_db()
    assert run.status == "running"
    assert "Rebuild left to another worker" in caplog.text
    assert Lease.objects.get(name="whizbang.rebuild").owner == "other"


def test_rebuild_that_loses_to_a_deadlock_begins_again(
    event: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter(range(3))

    def lose_first(really: Callable[..., None]) -> Callable[..., None]:
        def lose(*args: Any, **kwargs: Any) -> None:
            if next(losses, None) is not None:
                raise OperationalError(1213, "Deadlock found when trying to get lock")
            really(*args, **kwargs)

        return lose

    monkeypatch.setattr(OrderSummaries, "fill", lose_first(OrderSummaries.fill))
    monkeypatch.setattr(OrderSummaries, "replace_all", lose_first(OrderSummaries.replace_all))
    run = rebuild_here(request_rebuild(NAME)[0])
    assert (run.status, run.events) == ("done", 1)
    assert OrderSummary.objects.get().notes == 1


def test_rebuild_that_always_loses_fails_in_the_end(
    event: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*args: Any, **kwargs: Any) -> None:
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    put_in_place_by(lose, monkeypatch)
    monkeypatch.setattr(insisting, "_INSIST_SECONDS", 0.3)
    with pytest.raises(RebuildFailed, match="Deadlock"):
        rebuild_here(request_rebuild(NAME)[0])
    assert Rebuild.objects.get().status == "failed"


def test_rebuild_makes_a_checkpoint_of_another_store_good(event: None, drain: Drain) -> None:
    Subscription.objects.filter(name=NAME).update(store_id=uuid4())
    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text="b")])
    drain()
    assert "another store" in Subscription.objects.get(name=NAME).error
    assert f"stopped: Subscription '{NAME}' stands at" in call("status")
    request_rebuild(NAME)
    drain()
    assert OrderSummary.objects.get().notes == 2
    assert Subscription.objects.get(name=NAME).error == ""
    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text="c")])
    drain()
    assert OrderSummary.objects.get().notes == 3
