"""A worker that kills or freezes itself at one step of a projection's batch.

`python -m tests.scenarios.odd_worker ACTION STEP BATCHES SETTINGS`: at the step of so many batches' last one of
shop.OrderSummaries. ACTION is kill, freeze or nothing; MODE `broken` among the settings leaves a mechanism out. SETTINGS are JSON.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import django

NAME = "shop.OrderSummaries"
STEPS = ("before the transaction", "before the rows", "before the commit", "after the commit")
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


class Trap:
    """Sends this process its signal, once, when it has counted so many batches."""

    def __init__(self, action: str, batches: int) -> None:
        self._signal, self._left = SIGNALS[action], batches

    def spring(self) -> None:
        self._left -= 1
        if self._left == 0:
            # To this thread: one that is meant for the process may stop another first, and this one goes on.
            signal.pthread_kill(threading.get_ident(), self._signal)


def arm(action: str, step: str, batches: int) -> None:
    """Put the trap where the step says."""
    from whizbang.subscriptions.runner import SubscriptionRunner

    trap = Trap(action, batches)
    if step.startswith("rebuild"):
        arm_rebuild(trap, step.removeprefix("rebuild "))
    elif step.startswith("redrive"):
        arm_redrive(trap, step.removeprefix("redrive "))
    elif step in ("before the transaction", "after the commit"):
        SubscriptionRunner._apply = around(SubscriptionRunner._apply, trap, step)  # type: ignore[method-assign]
    else:
        from tests.shop.projections import OrderSummaries

        OrderSummaries.apply_batch = around(OrderSummaries.apply_batch, trap, step)  # type: ignore[method-assign]


def arm_rebuild(trap: Trap, phase: str) -> None:
    """Once it has noted that a phase begins; or with the tables exchanged, before the commit."""
    from whizbang.operations.rebuild import beside
    from whizbang.operations.rebuild.watch import Watch

    note, take_place = Watch.note, beside.take_place

    def note_and_spring(self: Any, **values: Any) -> None:
        note(self, **values)
        if values.get("phase") == phase:
            trap.spring()

    def take_place_and_spring(*args: Any, **kwargs: Any) -> None:
        take_place(*args, **kwargs)
        if phase == "before the commit":
            trap.spring()

    Watch.note = note_and_spring  # type: ignore[method-assign]
    beside.take_place = take_place_and_spring


def arm_redrive(trap: Trap, place: str) -> None:
    """With letters put back, before the run's progress is saved; or behind it, before the commit."""
    from whizbang.operations import redriving

    save = redriving._save

    def save_and_spring(store: Any, run: Any) -> None:
        if run.done and place == "before the progress":
            trap.spring()
        save(store, run)
        if run.done and place == "before the commit":
            trap.spring()

    redriving._save = save_and_spring


def around(function: Callable[..., Any], trap: Trap, step: str) -> Callable[..., Any]:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_meant = getattr(self, "definition", self).name == NAME
        if is_meant and step in ("before the transaction", "before the rows"):
            trap.spring()
        result = function(self, *args, **kwargs)
        if is_meant and step in ("before the commit", "after the commit"):
            trap.spring()
        return result

    return run


def break_mechanism(name: str) -> None:
    """As it would be without one of the things that keep a projection exact."""
    from whizbang.subscriptions import runner

    if name == "transaction":  # rows and checkpoint commit each by itself
        runner.transaction = SimpleNamespace(atomic=lambda **known: nullcontext())  # type: ignore[assignment]
    elif name == "backfill":  # rows and progress commit each by itself
        from whizbang.operations import backfilling

        backfilling.transaction = SimpleNamespace(atomic=lambda **known: nullcontext())  # type: ignore[assignment]
        backfilling.hold_still = lambda definition: 0  # type: ignore[assignment]
    elif name == "redrive":  # letters and progress commit each by itself
        from django.db.models import QuerySet

        from whizbang.operations import redriving

        QuerySet.select_for_update = lambda self, **known: self  # type: ignore[assignment,method-assign]
        redriving.transaction = SimpleNamespace(atomic=lambda **known: nullcontext())  # type: ignore[assignment]
    elif name == "key":  # partitions by key hash the stream instead
        from whizbang.store.slices import slice_of
        from whizbang.subscriptions.parked_keys import Unparked

        Unparked.takes = lambda self, key, event: self.slices.contains(slice_of(event.stream))  # type: ignore[method-assign]
    else:
        assert name == "epoch"  # whoever was frozen goes on as if nothing had happened

        def move(self: Any, upto: int) -> None:
            self._rows().update(position=upto)

        runner.SubscriptionRunner._move = move  # type: ignore[method-assign]
        runner.SubscriptionRunner.refresh = lambda self, *rows: None  # type: ignore[method-assign]


def main(action: str, step: str, batches: str, given: str) -> None:
    django.setup()
    from whizbang.conf import settings
    from whizbang.operations.rebuild import RebuildPart
    from whizbang.operations.worker import Worker

    values = json.loads(given)
    broken, rebuilds = values.pop("broken", None), values.pop("rebuilds", True)
    settings._loaded = dataclasses.replace(settings.get(), **values)
    if broken:
        break_mechanism(broken)
    if action != "nothing":
        arm(action, step, int(batches))
    if not rebuilds:
        RebuildPart.run_once = lambda self: 0  # type: ignore[method-assign]
    worker = Worker()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
