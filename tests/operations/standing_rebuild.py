"""A worker whose rebuilds stand still while they fold, and look now and then whether they may go on."""

from __future__ import annotations

import signal
import time
from typing import Any

import django


def main() -> None:
    django.setup()
    from whizbang.operations.rebuild.watch import Watch
    from whizbang.operations.worker import Worker

    note = Watch.note

    def note_and_stand(self: Any, **values: Any) -> None:
        note(self, **values)
        while values.get("phase") == "folding" or values.get("method") == "refill":
            self.check()
            time.sleep(0.05)

    Watch.note = note_and_stand  # type: ignore[method-assign]
    worker = Worker()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
