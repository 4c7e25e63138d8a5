"""Workers of the shop that are killed at one step of one order's way after another, each followed by one that is not.

`python -m tests.example.odd_shop PLAN [BROKEN]`: PLAN is JSON, by the fate of orders the numbers of the steps at which to kill,
null for all of them. What is printed as JSON has the whole way of each fate, and what became of each order. BROKEN leaves a
mechanism out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from itertools import count
from types import SimpleNamespace
from typing import Any

import django

_PATIENCE_SECONDS = 120.0


class Trail:
    """The steps that this process has come to; at one of them it kills itself."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.deadly: int | None = None  # the number of that step, from 0

    def reach(self, step: str) -> None:
        self.steps.append(step)
        if len(self.steps) - 1 == self.deadly:
            signal.pthread_kill(threading.get_ident(), signal.SIGKILL)


trail = Trail()


def around(
    owner: Any, name: str, before: str, after: str, *, of: Callable[..., str | None]
) -> None:
    """Let a method leave its steps on the trail; `of` names what it does it for, None for what does not count."""
    method = getattr(owner, name)

    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        what = of(self, *args)
        if what is not None:
            trail.reach(f"{what}: {before}")
        result = method(self, *args, **kwargs)
        if what is not None:
            trail.reach(f"{what}: {after}")
        return result

    setattr(owner, name, run)


def lay_trail() -> None:
    """Every transaction in which the saga takes a step, and every one in which a command is handled."""
    from whizbang.messaging.processing import InboxProcessor
    from whizbang.pipeline.commit import Commit
    from whizbang.sagas.steps import StepBatch
    from whizbang.sagas.timeouts import TimeoutPart
    from whizbang.subscriptions.runner import SubscriptionRunner

    outside = ("before the transaction", "after the commit")
    inside = ("before the append", "before the commit")
    around(SubscriptionRunner, "_apply", *outside, of=_heard_by_saga)
    around(TimeoutPart, "_attempt", *outside, of=lambda *_: "timeout")
    around(StepBatch, "write", *inside, of=lambda *_: "saga")
    around(InboxProcessor, "_handle_one", *outside, of=lambda self, row: row.type)
    around(Commit, "__call__", *inside, of=_handled_by_worker)


def _heard_by_saga(runner: Any, rows: Any, upto: int) -> str | None:
    if runner.definition.kind != "saga":
        return None
    return ", ".join(row.type for row in rows)


def _handled_by_worker(stage: Any, envelope: Any) -> str | None:
    return envelope.metadata.type if envelope.receipt is not None else None


def break_mechanism(name: str) -> None:
    """As it would be if one thing did not commit with the rest of a saga's step."""
    from whizbang.subscriptions import runner

    if name == "checkpoint":  # it and each statement of the step commit by themselves
        runner.transaction = SimpleNamespace(atomic=lambda **known: nullcontext())  # type: ignore[assignment]
        return
    assert name == "commands"  # they are stored when the step has committed
    from whizbang.sagas import steps

    store, held, apply = steps.store_messages, [], runner.SubscriptionRunner._apply

    def apply_and_store(self: Any, *args: Any) -> None:
        apply(self, *args)
        store(held, using=self.definition.using)
        held.clear()

    steps.store_messages = lambda messages, **known: held.extend(messages)
    runner.SubscriptionRunner._apply = apply_and_store  # type: ignore[method-assign]


def order_ids_of(fate: str) -> Iterator[str]:
    from projects.example.fates import fate_of

    return (f"odd-{n}" for n in count() if fate_of(f"odd-{n}") == fate)


def place(order_id: str) -> None:
    import whizbang
    from projects.example.orders.messages import Line, PlaceOrder

    line = Line(sku="CD", quantity=2, amount=Decimal("9.99"))
    whizbang.send(PlaceOrder(order_id=order_id, customer_id="c-1", lines=[line]))


def work() -> None:
    """Be a worker until nothing is left to do; what waits for its time is due once everything else is done."""
    from django.db.models.functions import Now

    from projects.example.orders.draining import is_settled
    from whizbang.models import SagaTimeout
    from whizbang.operations.worker import Worker

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        Worker().run(until_idle=True)
        if is_settled() and not SagaTimeout.objects.update(due_at=Now()):
            return
        assert time.monotonic() < deadline, "it did not come to an end"
        time.sleep(0.02)


def in_child(run: Callable[[], object]) -> tuple[int, Any]:
    """Run something in a process of its own; gives the signal that has killed it, and else what it gave."""
    from django.db import connections

    connections.close_all()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        result = run()
        with open(writer, "w") as pipe:
            pipe.write(json.dumps(result))
        connections.close_all()
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    return (os.WTERMSIG(status), None) if os.WIFSIGNALED(status) else (0, json.loads(told))


def walk(deadly: int | None = None) -> list[str]:
    trail.steps.clear()
    trail.deadly = deadly
    work()
    return trail.steps


def account_of(order_id: str) -> dict[str, Any]:
    """What became of one order, and what was sent for it."""
    import whizbang
    from tests.example.books import keep_books
    from whizbang.sagas.messages import SagaFailed, SagaReacted, SagaTimedOut

    store = whizbang.event_store()
    events = [event for event, _ in store.read_all(limit=None)]
    saga = [event for event, _ in store.read_stream(f"orders.OrderFulfillment-{order_id}")]
    commands = [
        command.type
        for event in saga
        if isinstance(event, SagaReacted | SagaTimedOut | SagaFailed)
        for command in (event.commands if isinstance(event, SagaFailed) else event.step.commands)
    ]
    return {
        "account": keep_books(events)[order_id].as_texts(),
        "saga": [type(event).__name__ for event in saga],
        "commands": commands,
    }


def leftovers() -> list[str]:
    from tests.example.books import commands_sent_twice
    from whizbang.models import DeadLetter, InboxMessage, ParkedStream

    rows = [*DeadLetter.objects.all(), *ParkedStream.objects.all()]
    rows.extend(InboxMessage.objects.exclude(status="handled"))
    return [*map(str, rows), *commands_sent_twice()]


def main(plan: dict[str, list[int] | None], broken: str = "") -> dict[str, Any]:
    from django.conf import settings

    from tests.example.books import SHARES

    settings.EXAMPLE = {"FAILURES": SHARES}
    lay_trail()
    if broken:
        break_mechanism(broken)
    found = {fate: kill_on_the_way_of(fate, numbers) for fate, numbers in plan.items()}
    return {"fates": found, "leftovers": leftovers()}


def kill_on_the_way_of(fate: str, numbers: list[int] | None) -> dict[str, Any]:
    ids = order_ids_of(fate)
    undisturbed = next(ids)
    place(undisturbed)
    _, way = in_child(walk)
    found = {"way": way, "undisturbed": account_of(undisturbed), "killed": {}}
    for deadly in range(len(way)) if numbers is None else numbers:
        order_id = next(ids)
        place(order_id)
        killed_by, _ = in_child(lambda deadly=deadly: walk(deadly))  # type: ignore[misc]
        assert killed_by == signal.SIGKILL, f"It was not killed at {way[deadly]}."
        assert in_child(walk)[0] == 0
        found["killed"][f"{deadly}. {way[deadly]}"] = account_of(order_id)
    return found


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(json.loads(sys.argv[1]), *sys.argv[2:])))
