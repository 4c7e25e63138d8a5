"""Actions that change read models: from the command line, by two people, on what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from tests.words.fold import SPEAKERS, WORDS, say
from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.models import (
    ActionRequest,
    Backfill,
    OperatorAction,
    ParkedStream,
    Partition,
    Rebuild,
    SkippedEvent,
)
from whizbang.operations import estimates
from whizbang.operations.actions import (
    By,
    ChangedMeanwhile,
    action_class,
    action_names,
    approve,
    perform,
)
from whizbang.operations.actions.backfills import RequestBackfill
from whizbang.operations.actions.editing import perform_edit
from whizbang.operations.actions.parked import Heal, Park, Retry, Skip
from whizbang.operations.actions.rebuilds import RequestRebuild
from whizbang.operations.actions.rehearsals import Rehearse
from whizbang.operations.estimates import Estimate, estimate_events, say_duration
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.parking_by_hand import park_stream
from whizbang.operations.scope import Scope, fix_scope
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
ANNA, BEN = By("anna", "A typo."), By("ben", "Me too.")
NAME, STREAM = "shop.OrderSummaries", "shop.Order-1"


def call(*arguments: str) -> str:
    out = StringIO()
    call_command("whizbang", *arguments, stdout=out)
    return out.getvalue()


def note(*texts: str, order: str = "1") -> None:
    events = [OrderNoted(order_id=order, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order}", events)


def notes(order: str = "1") -> int:
    row = OrderSummary.objects.filter(order_id=order).first()
    return 0 if row is None else row.notes


@pytest.fixture
def parked(db: None) -> ParkedStream:
    note("a", "poison", "b")
    drain()
    return ParkedStream.objects.get()


def test_every_action_says_who_may_do_it_and_how_it_is_called() -> None:
    named = {"rebuild", "swap", "undo", "backfill", "retry", "skip", "park", "heal", "partitions"}
    assert named <= set(action_names())
    for name in named | {"dry-run", "discard-edit", "drop-old", "split", "cancel-rebuild"}:
        cls = action_class(name)
        assert cls.permission.startswith("whizbang.") and str(cls.label)


# The command line


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (("rebuild", NAME), "events to read: 3"),
        (("heal", NAME, STREAM), "events of the stream: 3"),
        (("retry", NAME), "parked: 1"),
        (("skip", NAME, STREAM), "ValueError: This note cannot be projected."),
        (("park", NAME, "shop.Order-2"), "events of the stream: 0"),
        (("partitions", WORDS, "--count", "3"), "afterwards: 3"),
        (("partitions", WORDS, "--split"), "cut in its middle"),
    ],
)
def test_dry_run_of_a_verb_tells_and_does_nothing(
    verb: tuple[str, ...], said: str, parked: ParkedStream
) -> None:
    assert said in call(*verb, "--dry-run")
    assert not (OperatorAction.objects.exists() or Rebuild.objects.exists())
    assert not ParkedStream.objects.filter(is_retry_requested=True).exists()
    assert ParkedStream.objects.count() == 1 and not SkippedEvent.objects.exists()


def test_verbs_leave_who_and_why(parked: ParkedStream) -> None:
    call("retry", NAME, "--reason", "Mended.")
    call("rebuild", NAME, "--because", "Counted twice.")
    call("cancel", NAME)
    call("backfill", NAME, "--everything", "--force", "--reason", "Began too late.")
    call("cancel", NAME, "--reason", "Not needed.")
    call("dry-run", NAME, "--everything")
    told = list(OperatorAction.objects.order_by("id").values_list("action", "reason"))
    assert told == [
        ("retry", "Mended."),
        ("rebuild", "Counted twice."),
        ("cancel-rebuild", "(none given)"),
        ("backfill", "Began too late."),
        ("cancel-backfill", "Not needed."),
        ("dry-run", "(none given)"),
    ]
    operators = set(OperatorAction.objects.values_list("operator", flat=True))
    assert len(operators) == 1 and operators.pop().startswith("command line")
    with pytest.raises(CommandError, match="No backfill"):
        call("cancel", NAME)


def test_verbs_of_a_rebuild_that_is_held(parked: ParkedStream) -> None:
    run = Rebuild.objects.create(projection=NAME, is_held=True, status="running", phase="held")
    assert f"Rebuild {run.pk} of {NAME} is published by a worker." in call("swap", NAME)
    with pytest.raises(CommandError, match="is not held"):
        call("swap", NAME)
    with pytest.raises(CommandError, match="are kept"):
        call("undo", NAME)


def test_verb_asks_for_a_second_person(parked: ParkedStream, settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["rebuild", "heal"]}
    assert "somebody else" in call("rebuild", NAME, "--now")
    assert "somebody else" in call("heal", NAME, STREAM)
    assert not Rebuild.objects.exists() and ParkedStream.objects.exists()
    assert ActionRequest.objects.count() == 2


# Parking by hand


def test_stream_is_parked_from_its_next_event_on(drain: Callable[..., Any]) -> None:
    note("a")
    drain()
    note("b")
    call("park", NAME, STREAM, "--reason", "It floods us.")
    row = ParkedStream.objects.get()
    assert (row.version, row.type, row.attempts) == (2, "shop.OrderNoted", 0)
    assert "It floods us." in row.error
    note("c", order="2")
    drain()
    assert (notes("1"), notes("2")) == (1, 1)
    with pytest.raises(CommandError, match="parked for .* already"):
        call("park", NAME, STREAM)
    retry_parked(NAME, stream=STREAM)
    drain()
    assert notes("1") == 2 and not ParkedStream.objects.exists()


def test_stream_without_a_next_event_waits_for_one(drain: Callable[..., Any]) -> None:
    note("a")
    drain()
    [row] = park_stream(NAME, stream=STREAM, reason="It floods us.", parked_by="anna")
    assert (row.version, row.type) == (2, "")
    with pytest.raises(WhizbangError, match="parked by hand before"):
        skip_parked(NAME, stream=STREAM, reason="A typo.")
    with pytest.raises(WhizbangError, match="parked by hand before"):
        Skip(subscription=NAME, stream=STREAM).check()
    note("b")
    drain()
    assert notes() == 1
    retry_parked(NAME)
    drain()
    assert notes() == 2 and not ParkedStream.objects.exists()


@pytest.mark.parametrize(("name", "rows"), [(WORDS, 2), (SPEAKERS, 1)])
def test_stream_is_parked_in_each_partition_that_it_concerns(
    name: str, rows: int, drain: Callable[..., Any]
) -> None:
    say(1, "a", "b")
    drain()
    call("partitions", name, "--split")
    store = whizbang.event_store()
    stream = next(store.driver.read_log(after=0, until=store.head(), limit=1)).stream
    found = park_stream(name, stream=stream, reason="It floods us.")
    assert len(found) == rows
    assert Partition.objects.filter(subscription=name).count() == 2


def test_what_cannot_be_parked_is_said() -> None:
    with pytest.raises(ValueError, match="reason"):
        park_stream(NAME, stream=STREAM, reason=" ")
    for name in ("shop.CustomerTotals", "whizbang.streams"):
        with pytest.raises(WhizbangError, match=name):
            perform(Park(subscription=name, stream=STREAM), ANNA)


# What was seen


def test_two_operators_at_once_start_one_rebuild(parked: ParkedStream) -> None:
    action = RequestRebuild(subscription=NAME)
    seen = action.state()
    perform(action, ANNA, seen=seen)
    with pytest.raises(ChangedMeanwhile, match="open rebuild was empty and is"):
        perform(action, BEN, seen=seen)
    assert Rebuild.objects.get().requested_by == "anna"


def test_two_operators_at_once_skip_one_event(parked: ParkedStream) -> None:
    action = Skip(subscription=NAME, stream=STREAM)
    seen = action.state()
    perform(action, ANNA, seen=seen)
    with pytest.raises(ChangedMeanwhile, match="version 2.* and is version 3"):
        perform(action, BEN, seen=seen)
    assert SkippedEvent.objects.get().skipped_by == "anna"


def test_two_operators_at_once_edit_one_copy(parked: ParkedStream) -> None:
    seen = Retry(subscription=NAME, stream=STREAM).state()
    payload = {"order_id": "1", "text": "mended"}
    assert perform_edit(NAME, STREAM, payload, ANNA, seen=seen) is not None
    drain()
    with pytest.raises(ChangedMeanwhile):
        perform_edit(NAME, STREAM, payload, BEN, seen=seen)


def test_heal_that_a_worker_takes_up_late_is_refused_where_the_stream_changed(
    parked: ParkedStream,
) -> None:
    action = Heal(subscription=NAME, stream=STREAM)
    perform(action, ANNA, seen=action.state())
    ParkedStream.objects.update(attempts=4)
    drain()
    assert "ChangedMeanwhile" in ActionRequest.objects.get().error


def test_backfill_keeps_its_scope_until_it_is_approved(parked: ParkedStream, settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["backfill"]}
    call("backfill", NAME, "--since", "2020-01-31", "--streams", STREAM, "--force")
    asked = ActionRequest.objects.get()
    assert asked.parameters["since"] == "2020-01-31T00:00:00Z"
    approve(asked.pk, BEN)
    assert Backfill.objects.get().scope["since"].startswith("2020-01-31T00:00:00")


def test_scope_without_a_zone_is_refused() -> None:
    action = RequestBackfill(subscription=NAME, since=datetime(2020, 1, 31), force=True)
    with pytest.raises(WhizbangError, match="no time zone"):
        perform(action, ANNA)
    with pytest.raises(WhizbangError, match="Say which events"):
        perform(Rehearse(subscription=NAME), ANNA)


# Estimates


def test_estimate_is_exact_where_there_is_time(parked: ParkedStream) -> None:
    store = whizbang.event_store()
    section = fix_scope(store, Scope(everything=True), types=None, until=store.head())
    found = estimate_events(store, section)
    assert (found, str(found)) == (Estimate(3), "3")


def test_estimate_goes_on_from_what_it_has_counted(
    parked: ParkedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "_FIRST_WINDOW", 1)
    store = whizbang.event_store()
    section = fix_scope(store, Scope(everything=True), types=None, until=store.head())
    found = estimate_events(store, section, most_seconds=0)
    assert not found.is_exact and str(found).startswith("about ")
    recent = fix_scope(store, Scope(last_days=1), types=None, until=store.head())
    assert str(estimate_events(store, recent, most_seconds=0)) == "1 or more"
    none = fix_scope(store, Scope(last_days=1), types=None, until=store.head())
    future = replace(none.filter, since=database_now("default") + timedelta(days=1))
    assert estimate_events(store, replace(none, filter=future), most_seconds=0) == Estimate(0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "less than a second"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120.5, "3 minutes"),
        (7_200, "2 hours"),
        (400_000, "5 days"),
    ],
)
def test_durations_are_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert say_duration(seconds) == said
