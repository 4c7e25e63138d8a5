"""A worker that kills itself at one point of a step of tests.trips' saga.

`python -m tests.scenarios.saga_worker CAUSE POINT STEPS SETTINGS`: at the point of so many transactions' last one that
take steps for that CAUSE, "event" or "timeout"; "nothing" kills nobody. SETTINGS are JSON; `broken` among them
leaves the transaction out.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import django

from tests.scenarios.odd_worker import Trap

CAUSES = ("event", "timeout")
POINTS = (
    "before the transaction",
    "before the append",
    "before the messages",
    "before the rows",
    "before the commit",
    "after the commit",
)


def arm(cause: str, point: str, steps: int) -> None:
    """Put the trap where the point says."""
    from whizbang.sagas import steps as module
    from whizbang.sagas.steps import StepBatch
    from whizbang.sagas.timeouts import TimeoutPart
    from whizbang.subscriptions.runner import SubscriptionRunner

    trap, is_meant = Trap("kill", steps), [False]

    def spring(here: str) -> None:
        if is_meant[0] and here == point:
            trap.spring()

    def transaction(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def run(self: Any, *args: Any) -> Any:
            of = getattr(getattr(self, "definition", self), "kind", "saga")
            is_meant[0] = kind == cause and of == "saga"
            spring("before the transaction")
            done = function(self, *args)
            spring("after the commit")
            is_meant[0] = False
            return done

        return run

    def at(function: Callable[..., Any], *, before: str = "", after: str = "") -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            spring(before)
            done = function(*args, **kwargs)
            spring(after)
            return done

        return run

    SubscriptionRunner._apply = transaction(SubscriptionRunner._apply, "event")  # type: ignore[method-assign]
    TimeoutPart._attempt = transaction(TimeoutPart._attempt, "timeout")  # type: ignore[method-assign]
    StepBatch.write = at(StepBatch.write, before="before the append", after="before the commit")  # type: ignore[method-assign]
    module.store_messages = at(module.store_messages, before="before the messages")
    StepBatch._write_timeouts = at(StepBatch._write_timeouts, before="before the rows")  # type: ignore[method-assign]


def break_transactions() -> None:
    """Events, commands, rows and checkpoint commit each by itself."""
    from whizbang.sagas import timeouts
    from whizbang.subscriptions import runner

    for module in (runner, timeouts):
        module.transaction = SimpleNamespace(atomic=lambda **known: nullcontext())  # type: ignore[attr-defined]


def main(cause: str, point: str, steps: str, given: str) -> None:
    django.setup()
    from whizbang.conf import settings
    from whizbang.operations.worker import Worker

    values = json.loads(given)
    if values.pop("broken", False):
        break_transactions()
    settings._loaded = dataclasses.replace(settings.get(), **values)
    if cause != "nothing":
        arm(cause, point, int(steps))
    worker = Worker()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
