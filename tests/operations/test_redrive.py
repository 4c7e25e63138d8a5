"""Redriving many: the canary first, at a rate, stopping in time, each message once whatever happens."""

from __future__ import annotations

import json
import signal
from collections import Counter
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.processes import PATIENCE_SECONDS, stop, wait_until
from tests.scenarios.read_model import at_once, start_worker
from tests.shop.messages import NoteOrder, OpenOrder
from whizbang.exceptions import ConcurrencyError, WhizbangError
from whizbang.management.verbs.acting import command_line_operator
from whizbang.models import DeadLetter, InboxMessage, OperatorAction, Redrive, StoredEvent
from whizbang.operations import redriving
from whizbang.operations.cleanup import cleanup
from whizbang.operations.dead_letters import discard_dead_letter
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import cancel_redrive, count_letters, redrives, request_redrive
from whizbang.operations.redriving import RedrivePart, step
from whizbang.operations.worker import Worker
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
ALL = LetterFilter()


def bury(*orders: str) -> list[DeadLetter]:
    """Letters that will open these orders when they are redriven; "0" is open, so that it dies again."""
    if not StoredEvent.objects.filter(stream="shop.Order-0").exists():
        whizbang.send(OpenOrder(order_id="0"))
    known = set(DeadLetter.objects.values_list("pk", flat=True))
    for _ in orders:
        whizbang.publish(OpenOrder(order_id="0"))
    drain()
    letters = list(DeadLetter.objects.exclude(pk__in=known).order_by("pk"))
    assert len(letters) == len(orders)
    for letter, order in zip(letters, orders, strict=True):
        letter.payload = bytes(letter.payload).replace(b'"0"', f'"{order}"'.encode())
        letter.save()
    return letters


def opened() -> Counter[str]:
    """How often each order was opened, but for the one that stands in the way."""
    rows = StoredEvent.objects.filter(type="shop.OrderOpened").exclude(stream="shop.Order-0")
    return Counter(
        stream.removeprefix("shop.Order-") for stream in rows.values_list("stream", flat=True)
    )


def waiting() -> int:
    return InboxMessage.objects.filter(status="stored").count()


def go(run: Redrive, most: int = 50) -> Redrive:
    step(whizbang.event_store(), run.pk, most=most)
    run.refresh_from_db()
    return run


def handle() -> None:
    """What is in the inbox, as a worker without redrives would."""
    worker = Worker(name="inbox")
    worker.run_once(retries_are_due=True)
    worker.close()


def facts(run: Redrive) -> tuple[Any, ...]:
    run.refresh_from_db()
    return run.status, run.done, run.handled, run.failed, run.canary


# The canary


def test_first_letter_goes_alone_and_the_rest_waits_for_its_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bury("a", "b", "c")
    run = request_redrive(ALL)
    go(run)
    assert (waiting(), run.canary, run.done) == (1, "waiting", 1)
    go(run)
    go(run)
    assert (waiting(), DeadLetter.objects.count()) == (1, 2)
    with monkeypatch.context() as without:
        without.setattr(RedrivePart, "run_once", lambda self, **known: 0)
        handle()
    go(run)
    assert (waiting(), run.canary, run.done) == (2, "handled", 3)
    drain()
    assert facts(run) == ("done", 3, 3, 0, "handled")
    assert opened() == {"a": 1, "b": 1, "c": 1}
    assert run.started_at <= run.finished_at


def test_canary_that_waits_for_its_retry_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bury("a", "b")
    run = request_redrive(ALL)
    go(run)
    InboxMessage.objects.filter(status="stored").update(status="retrying", attempts=1)
    go(run)
    assert (run.done, run.canary) == (1, "waiting")


@pytest.mark.parametrize("is_keeping_going", [False, True])
def test_canary_that_dies_again_ends_the_run(is_keeping_going: bool) -> None:
    first, second, _ = bury("0", "b", "c")
    run = request_redrive(ALL, is_keeping_going=is_keeping_going)
    drain()
    assert facts(run) == ("stopped", 1, 0, 1, "died")
    assert str(first.message_id) in run.error and "OrderOpenAlready" in run.error
    assert opened() == {}
    assert {letter.message_id for letter in DeadLetter.objects.all()[:1]} == {second.message_id}
    assert DeadLetter.objects.count() == 3


def test_letter_that_cannot_be_put_back_stays_and_stops_the_run() -> None:
    _, second, _ = bury("a", "b", "c")
    InboxMessage.objects.filter(message_id=second.message_id).delete()
    run = request_redrive(ALL)
    drain()
    assert facts(run) == ("stopped", 1, 1, 1, "handled")
    assert "was cleaned up" in run.error
    assert DeadLetter.objects.filter(pk=second.pk).exists()


def test_canary_whose_row_is_gone_is_not_taken_for_handled() -> None:
    bury("a", "b")
    run = go(request_redrive(ALL))
    InboxMessage.objects.filter(status="stored").delete()
    go(run)
    assert facts(run) == ("stopped", 1, 0, 1, "died")
    assert "cleaned up" in run.error


# The rest


def test_run_stops_at_the_first_letter_that_dies_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redriving, "_MOST_AT_ONCE", 1)
    bury("a", "b", "0", "d", "e")
    run = request_redrive(ALL)
    drain()
    assert facts(run) == ("stopped", 3, 2, 1, "handled")
    assert opened() == {"a": 1, "b": 1}
    assert DeadLetter.objects.count() == 3


def test_run_that_keeps_going_takes_each_letter_once_and_ends() -> None:
    bury("a", "0", "c", "0", "e")
    run = request_redrive(ALL, is_keeping_going=True)
    drain()
    assert facts(run) == ("done", 5, 3, 2, "handled")
    assert opened() == {"a": 1, "c": 1, "e": 1}
    assert DeadLetter.objects.count() == 2


def test_no_more_are_under_way_than_can_be_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redriving, "_MOST_WAITING", 2)
    bury("a", "b", "c", "d")
    run = request_redrive(ALL)
    Redrive.objects.update(canary="handled")
    go(run)
    go(run)
    assert (waiting(), run.done) == (2, 2)
    drain()
    assert facts(run) == ("done", 4, 4, 0, "handled")


def test_only_chosen_letters_that_were_there_are_redriven() -> None:
    bury("a")
    whizbang.publish(NoteOrder(order_id="1", text="fail"))
    drain()
    run = request_redrive(LetterFilter(type="shop.OpenOrder"))
    bury("b")
    assert run.total == 1
    drain()
    assert facts(run) == ("done", 1, 1, 0, "handled")
    assert set(DeadLetter.objects.values_list("type", flat=True)) == {
        "shop.OpenOrder",
        "shop.NoteOrder",
    }
    assert opened() == {"a": 1}


def test_letters_that_somebody_decides_about_meanwhile_are_left_to_him() -> None:
    _, second, _ = bury("a", "b", "c")
    run = request_redrive(ALL)
    discard_dead_letter(second.pk, "not this one")
    drain()
    assert facts(run) == ("done", 2, 2, 0, "handled")
    assert opened() == {"a": 1, "c": 1}


def test_ordering_key_is_kept() -> None:
    for text in ("fail", "second", "third"):
        whizbang.publish(NoteOrder(order_id="1", text=text), ordering_key="k")
    drain()
    letter = DeadLetter.objects.get()
    DeadLetter.objects.update(payload=bytes(letter.payload).replace(b"fail", b"first"))
    request_redrive(ALL)
    drain()
    notes = whizbang.event_store().read_stream("shop.Order-1")
    assert [recorded.event.text for recorded in notes] == ["first", "second", "third"]


def test_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(redriving, "time", SimpleNamespace(monotonic=lambda: clock.now))
    bury(*"abcdef")
    request_redrive(ALL, rate_per_second=10)
    Redrive.objects.update(canary="handled")
    part = RedrivePart(whizbang.event_store(), "w")
    assert part.run_once() == 2
    assert part.run_once() == 0 and part.is_waiting()
    clock.now += 0.19
    assert part.run_once() == 0
    clock.now += 0.02
    assert part.run_once() == 2
    clock.now += 60
    assert part.run_once() == 2
    part.close()


def test_slow_rate_does_not_end_a_worker_that_runs_until_idle() -> None:
    bury("a", "b", "c")
    request_redrive(ALL, rate_per_second=20)
    Worker(name="w").run(until_idle=True)
    assert opened() == {"a": 1, "b": 1, "c": 1}


# Cancelling, and others at it


def test_cancelled_run_puts_nothing_back_any_more() -> None:
    bury("a", "b")
    run = go(request_redrive(ALL))
    cancel_redrive(run.pk, operator="ada", reason="wrong ones")
    drain()
    assert step(whizbang.event_store(), run.pk, most=9) == (
        0,
        0,
    )  # of a worker that had seen it open
    assert facts(run) == ("cancelled", 1, 0, 0, "waiting")
    assert opened() == {"a": 1} and DeadLetter.objects.count() == 1
    with pytest.raises(WhizbangError, match="is cancelled"):
        cancel_redrive(run.pk)
    with pytest.raises(WhizbangError, match="is not there"):
        cancel_redrive(run.pk + 1)
    assert list(OperatorAction.objects.order_by("pk").values_list("action", "operator")) == [
        ("redrive", ""),
        ("cancel redrive", "ada"),
    ]


def test_other_worker_holds_the_lease() -> None:
    bury("a")
    request_redrive(ALL)
    assert LeaseHolder("other", using="default").epoch_of("whizbang.redrive") is not None
    assert RedrivePart(whizbang.event_store(), "w").run_once() == 0
    assert waiting() == 0


def test_conflict_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bury("a")
    run = request_redrive(ALL)

    def lose(*args: Any) -> None:
        raise ConcurrencyError("shop.Order-1", 1, 2)

    with monkeypatch.context() as busy:
        busy.setattr(redriving, "put_back", lose)
        part = RedrivePart(whizbang.event_store(), "w")
        assert part.run_once() == 0
        part.close()
    assert facts(run) == ("requested", 0, 0, 0, "")
    drain()
    assert facts(run)[0] == "done"


@pytest.mark.django_db(transaction=True)
def test_steps_at_the_same_time_take_each_letter_once() -> None:
    """A worker that has lost its lease without knowing it, and the one that has it now."""
    bury(*"abcdefgh")
    run = request_redrive(ALL)
    Redrive.objects.update(canary="handled")
    at_once(*[lambda: step(whizbang.event_store(), run.pk, most=2)] * 4)
    run.refresh_from_db()
    assert (run.done, len(run.waiting), waiting()) == (8, 8, 8)
    drain()
    assert facts(run) == ("done", 8, 8, 0, "handled")
    assert set(opened().values()) == {1}


def kill_one(environment: dict[str, str], place: str, **settings: Any) -> None:
    with start_worker(environment, "kill", f"redrive {place}", **settings) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, output


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", ["before the progress", "before the commit"])
def test_next_worker_goes_on_where_a_killed_one_was(
    child_environment: dict[str, str], place: str
) -> None:
    bury(*"abcdef")
    run = request_redrive(ALL)
    kill_one(child_environment, place)
    kill_one(child_environment, place)
    assert facts(run)[1:] == (0, 0, 0, "")
    with start_worker(child_environment) as process:
        wait_until(lambda: Redrive.objects.get().status == "done")
        stop(process)
    assert facts(run) == ("done", 6, 6, 0, "handled")
    assert opened() == dict.fromkeys("abcdef", 1)


@pytest.mark.django_db(transaction=True)
def test_without_one_transaction_a_second_canary_goes(child_environment: dict[str, str]) -> None:
    """The test can fail: a letter that is put back without the run's progress is forgotten."""
    bury("0", "b")
    run = request_redrive(ALL)
    kill_one(child_environment, "before the progress", broken="redrive")
    with start_worker(child_environment) as process:
        wait_until(lambda: Redrive.objects.get().status != "requested")
        wait_until(lambda: Redrive.objects.get().status != "running")
        stop(process)
    assert facts(run)[4] == "handled" and opened() == {"b": 1}


# Asking


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_rate_is_a_number_above_zero(rate: float) -> None:
    bury("a")
    with pytest.raises(WhizbangError, match="above 0"):
        request_redrive(ALL, rate_per_second=rate)


def test_redrive_of_nothing_is_refused() -> None:
    with pytest.raises(WhizbangError, match="reason Rejected"):
        request_redrive(LetterFilter(reason="Rejected"))
    assert not Redrive.objects.exists()


def test_request_is_in_the_audit_trail_and_ends_with_it() -> None:
    bury("a")
    assert count_letters(ALL) == 1
    run = request_redrive(ALL, requested_by="ada", reason="mended", rate_per_second=5)
    action = OperatorAction.objects.get()
    assert (action.operator, action.reason, action.target) == ("ada", "mended", f"redrive {run.pk}")
    assert action.parameters["rate_per_second"] == 5
    assert redrives() == [run]
    Redrive.objects.update(requested_at="2020-01-01T00:00Z")
    cleanup()
    assert Redrive.objects.exists()
    Redrive.objects.update(finished_at="2020-01-01T00:00Z")
    cleanup()
    assert not Redrive.objects.exists()


# Command line


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_redrive_on_the_command_line() -> None:
    first, second, third = bury("a", "b", "c")
    chosen = ("--type", "shop.OpenOrder")
    assert "3 dead letters would be handled once more, in about 6 s." in call(
        "redrive", *chosen, "--rate", "0.5", "--dry-run"
    )
    with pytest.raises(CommandError, match="no such dead letter"):
        call("redrive", "--type", "shop.Gone", "--dry-run")
    for strange in ((), ("--all", *chosen)):
        with pytest.raises(CommandError, match="Say which dead letters"):
            call("redrive", *strange)
    assert DeadLetter.objects.count() == 3 and not Redrive.objects.exists()
    said = call("redrive", *chosen, "--rate", "5", "--keep-going", "--because", "mended")
    assert "is requested: 3 messages; a worker does it." in said
    run = Redrive.objects.get()
    assert (run.rate_per_second, run.is_keeping_going, run.reason) == (5, True, "mended")
    counts = "requested 0 of 3, 0 handled, 0 failed; type shop.OpenOrder"
    assert f"{counts} by {command_line_operator()}: mended" in call("redrives")
    assert "is cancelled, 0 of 3 done" in call("redrive", "--cancel", str(run.pk))
    [listed] = [json.loads(line) for line in call("redrives", "--json").splitlines()]
    assert (listed["status"], listed["filter"]) == ("cancelled", {"type": "shop.OpenOrder"})
    said = call("redrive", str(first.pk), str(second.message_id))
    assert said.count("is in the inbox again.") == 2
    assert "1 messages" in call("redrive", str(third.pk), "--rate", "1")
    with pytest.raises(CommandError, match="no dead letter"):
        call("redrive", str(first.pk))
