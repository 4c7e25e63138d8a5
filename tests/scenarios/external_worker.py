"""A worker with an external projection that kills or freezes itself at one step of a delivery.

`python -m tests.scenarios.external_worker ACTION STEP CALLS SETTINGS`; see odd_worker. `broken` among the settings
leaves a mechanism out; `hangs` makes each call to the sink wait that many seconds.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import django

from tests.scenarios.odd_worker import Trap

STEPS = ("before the write", "after the write")


def arm(action: str, step: str, calls: int) -> None:
    from whizbang.projections.external_subscription import ExternalBatch

    trap, plain = Trap(action, calls), ExternalBatch.save

    def save(self: ExternalBatch) -> None:
        if step == "before the write":
            trap.spring()
        plain(self)
        if step == "after the write":
            trap.spring()

    ExternalBatch.save = save  # type: ignore[method-assign]


def break_mechanism(name: str) -> None:
    from whizbang.drivers.sinks import redis_scripts
    from whizbang.projections.drafts import Draft

    if name == "positions":  # what is in a document is not remembered
        Draft.has = lambda self, *args, **known: False  # type: ignore[method-assign]
    else:
        assert name == "comparison"  # whoever writes last wins
        text = redis_scripts.ALL["write"]
        assert "if stored ~= ARGV[at] then" in text
        redis_scripts.ALL["write"] = text.replace("if stored ~= ARGV[at] then", "if false then")


def hang(seconds: float) -> None:
    from whizbang.projections.external_subscription import ExternalBatch

    plain: Callable[..., bool] = ExternalBatch.load

    def load(self: ExternalBatch) -> bool:
        time.sleep(seconds)  # the product's slowness, not a wait for it
        return plain(self)

    ExternalBatch.load = load  # type: ignore[method-assign]


def main(action: str, step: str, calls: str, given: str) -> None:
    django.setup()
    from tests.projections.documents import declare
    from whizbang.conf import settings
    from whizbang.operations.worker import Worker

    values: dict[str, Any] = json.loads(given)
    broken, hangs = values.pop("broken", None), values.pop("hangs", None)
    settings._loaded = dataclasses.replace(settings.get(), **values)
    declare()
    if broken:
        break_mechanism(broken)
    if hangs:
        hang(hangs)
    if action != "nothing":
        arm(action, step, int(calls))
    worker = Worker()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
