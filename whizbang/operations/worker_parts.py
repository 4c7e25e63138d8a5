"""What a worker does, part by part, and which parts one process is told to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from whizbang.exceptions import WhizbangError
from whizbang.messaging.claim_keeper import ClaimKeeper
from whizbang.messaging.processing import InboxProcessor
from whizbang.messaging.receiver import Receiver
from whizbang.messaging.relay import Relay
from whizbang.messaging.topology import has_peers
from whizbang.operations.actions.requests_part import RequestsPart
from whizbang.operations.backfilling import BackfillPart
from whizbang.operations.background_part import BackgroundPart
from whizbang.operations.cleanup import CleanupPart
from whizbang.operations.metrics import MetricsPart
from whizbang.operations.rebuild import RebuildPart
from whizbang.operations.redriving import RedrivePart
from whizbang.sagas.timeouts import TimeoutPart
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.engine import Engine

# The part, and under which name what it has done is counted.
PARTS = {
    "commands": "commands",  # durable and batched ones
    "events": "events",  # projections, subscribers, sagas, and the topics that other services hear
    "timeouts": "timeouts",  # of sagas
    "rebuilds": "rebuilds",
    "backfills": "backfilled",
    "redrives": "redriven",
    "requests": "requests",  # what operators asked for and takes long
    "relay": "relayed",  # commands and answers to other services
    "receive": "received",  # what other services send
    "upkeep": "upkeep",  # cleaning up and measuring
}
ALL = frozenset(PARTS)


def check_parts(names: Collection[str]) -> frozenset[str]:
    """Raises WhizbangError for a name that is no part, or for none at all."""
    unknown = sorted(set(names) - ALL)
    if unknown or not names:
        what = f"no part of a worker is called {unknown[0]!r}" if unknown else "no part is named"
        raise WhizbangError(f"{what}: use {', '.join(PARTS)}.")
    return frozenset(names)


class WorkerParts:
    """The parts that take turns in one thread; they live as long as its database connection."""

    def __init__(
        self,
        store: EventStore,
        owner: str,
        *,
        only: Collection[str],
        keeper: ClaimKeeper | None,
        is_turn_by_turn: bool,
    ) -> None:
        """`is_turn_by_turn`: nothing runs beside it, as in drain(): then all is done here."""
        # A worker that runs turn by turn, as drain() does, waits for what it has begun.
        makers: dict[str, Callable[[], Any]] = {
            "commands": lambda: InboxProcessor(store, keeper),
            "events": lambda: Engine(store, owner, in_background=keeper is not None),
            "timeouts": lambda: TimeoutPart(store),
            "backfills": lambda: BackfillPart(store, owner),
            "redrives": lambda: RedrivePart(store, owner),
            "requests": lambda: RequestsPart(store, owner, in_thread=not is_turn_by_turn),
            "upkeep": lambda: _Upkeep(store, owner),
        }
        if is_turn_by_turn:
            makers |= background_makers(store, owner)
        self._parts = {name: makers[name]() for name in PARTS if name in makers and name in only}

    def run_once(self, *, retries_are_due: bool) -> Counter[str]:
        """One turn of every part; gives how much each has done."""
        options: dict[str, dict[str, Any]] = {
            "commands": {"retries_are_due": retries_are_due},
            "backfills": {"is_limited": not retries_are_due},
            "redrives": {"is_limited": not retries_are_due},
        }
        return Counter(
            {
                PARTS[name]: part.run_once(**options.get(name, {}))
                for name, part in self._parts.items()
            }
        )

    def is_idle(self) -> bool:
        """Has every subscription that runs here reached the end of the log, and does no rate hold anything up?"""
        engine = self._parts.get("events")
        if engine is not None and engine.is_behind():
            return False
        limited = (self._parts.get(name) for name in ("backfills", "redrives"))
        return not any(part.is_waiting() for part in limited if part is not None)

    def close(self) -> None:
        for name, part in self._parts.items():
            if name != "commands":  # claims end by themselves
                part.close()


class _Upkeep:
    def __init__(self, store: EventStore, owner: str) -> None:
        self._cleanup, self._metrics = CleanupPart(store, owner), MetricsPart(store, owner)

    def run_once(self) -> int:
        """Not counted: nobody waits for it."""
        self._cleanup.run_once()
        self._metrics.run_once()
        return 0

    def close(self) -> None:
        self._cleanup.close()
        self._metrics.close()


def background_makers(store: EventStore, owner: str) -> dict[str, Callable[[], Any]]:
    """What waits for a broker or takes long."""
    makers: dict[str, Callable[[], Any]] = {"rebuilds": lambda: RebuildPart(store, owner)}
    if store.alias == "default" and has_peers():
        makers["relay"] = lambda: Relay(store, owner)
        makers["receive"] = lambda: Receiver(store, owner)
    return makers


def start_in_background(
    store: EventStore, owner: str, *, only: Collection[str]
) -> list[BackgroundPart]:
    """A thread for each of these, so that it holds nothing else up."""
    started = [
        BackgroundPart(name, make, using=store.using, is_bounded=name != "rebuilds")
        for name, make in background_makers(store, owner).items()
        if name in only
    ]
    for part in started:
        part.start()
    return started
