"""A worker of one of the example's services that kills itself at one step: `python -m tests.example.odd_service STEP`.

STEP is one of STEPS, reached for the second time.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import django

STEPS = (
    "topic published",
    "outbox published",
    "received before commit",
    "received before acknowledge",
)


def trap(owner: Any, name: str) -> None:
    """Kill this process when a method is called for the second time."""
    method, calls = getattr(owner, name), iter((False, True))

    def called(*args: Any, **kwargs: Any) -> Any:
        if next(calls):
            signal.pthread_kill(threading.get_ident(), signal.SIGKILL)
        return method(*args, **kwargs)

    setattr(owner, name, called)


def main(step: str) -> None:
    django.setup()
    from whizbang.messaging.receiver import Receiver
    from whizbang.messaging.relay import Relay
    from whizbang.messaging.topic_order import TopicOrder
    from whizbang.operations.worker import Worker
    from whizbang.subscriptions.publishing import TopicBatch

    traps = {
        "topic published": (TopicBatch, "note_saved"),
        "outbox published": (Relay, "_mark"),
        "received before commit": (TopicOrder, "note_stored"),
        "received before acknowledge": (Receiver, "_acknowledge"),
    }
    trap(*traps[step])
    worker = Worker()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main(sys.argv[1])
