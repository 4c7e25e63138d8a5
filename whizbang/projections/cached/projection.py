"""Projections that each process holds in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn

from asgiref.sync import sync_to_async
from django.conf import settings

from whizbang.exceptions import WrongMode
from whizbang.projections.cached import caches
from whizbang.projections.cached.contents import Route, copied_items, picked
from whizbang.projections.cached.entry_format import EntryFormat
from whizbang.projections.free import Projection, Recorded
from whizbang.projections.keys import key_finder
from whizbang.subscriptions.partitioning import KeyFilter


class CachedProjection(Projection):
    """Reacts to events with methods marked by @on(…, by=…), called as method(entry, event, meta).

    Each process that reads it holds all entries in memory, filled from the log at the first read and
    kept current by a thread. A method changes the entry that it is given, or returns another one;
    returning DELETE removes it. It must not touch anything else: it runs in every process, and again
    whenever one starts. What readers get is shared: they must not change it.
    """

    abstract: ClassVar[bool] = True
    needs_keys: ClassVar[bool] = True
    runs_in_worker: ClassVar[bool] = False
    entry: ClassVar[
        Callable[[], Any]
    ]  # makes a blank entry: a class, such as a dataclass, dict or int
    store: ClassVar[str] = "default"  # alias in WHIZBANG["STORES"]
    # How long ago it may have been current; a read raises StaleCache beyond. None never raises.
    max_staleness_seconds: ClassVar[float | None] = 30.0
    max_entries: ClassVar[int] = 1_000_000
    fill_timeout_seconds: ClassVar[float] = 30.0  # how long the first read waits
    snapshot_every: ClassVar[int] = 0  # events; 0: each process reads all of the log when it starts
    share_through: ClassVar[str | None] = None  # alias in CACHES for snapshots; None: the database
    preload: ClassVar[bool] = False  # fill with the first request, or when a worker starts

    @classmethod
    def get(cls, key: Any, default: Any = None) -> Any:
        """The entry of a key. Raises `StaleCache`, and `BrokenEntry` if an event failed on it."""
        return caches.cache_of(cls).readable().get(key, default)

    @classmethod
    def get_many(cls, keys: Iterable[Any]) -> dict[Any, Any]:
        """The entries that there are of these keys, all as they are at one position. Raises as get()."""
        return picked(caches.cache_of(cls).readable(), keys)

    @classmethod
    def items(cls) -> list[tuple[Any, Any]]:
        """All keys with their entries at one position, without broken ones. Raises `StaleCache`."""
        return copied_items(caches.cache_of(cls).readable())

    @classmethod
    def keys(cls) -> list[Any]:
        """See items()."""
        return [key for key, _ in cls.items()]

    @classmethod
    def count(cls) -> int:
        """The number of entries. Raises `StaleCache`."""
        return len(caches.cache_of(cls).readable().entries)

    @classmethod
    def start(cls) -> None:
        """Fill it, and return when that is done. Raises `StaleCache` after `fill_timeout_seconds`."""
        caches.cache_of(cls).readable()

    @classmethod
    async def astart(cls) -> None:
        """See start(). In async code a cache must be filled before it is read."""
        await sync_to_async(cls.start)()

    @classmethod
    def position(cls) -> int | None:
        """Up to which position of the log this process has applied all; None before it began."""
        return caches.cache_of(cls).position

    @classmethod
    def staleness_seconds(cls) -> float | None:
        """How long ago it was known to be current; None before that, and where tests refresh it by hand."""
        return caches.cache_of(cls).staleness_seconds()

    @classmethod
    def is_current(cls) -> bool:
        """Would a read be answered now, without waiting?"""
        return caches.cache_of(cls).is_current()

    @classmethod
    def broken_keys(cls) -> dict[Any, str]:
        """The keys that cannot be read, with the errors that their events ended with."""
        return caches.cache_of(cls).broken_keys()

    def make_routes(self) -> dict[type, list[Route]]:
        """Which methods an event goes to, and what finds its keys."""
        return {
            event_type: [(getattr(self, name), key_finder(by)) for name, by in pairs]
            for event_type, pairs in self.reactions.items()
        }

    @property
    def is_rebuildable(self) -> bool:
        return False

    def applied_position(self) -> int | None:
        """How far this process has come, for who waits; looks at the log now."""
        cache = caches.cache_of(type(self))
        caches.wake(cache)
        return cache.position if cache.is_filled.is_set() else None

    def apply_batch(
        self, events: Sequence[Recorded], *, using: str, slices: KeyFilter | None = None
    ) -> NoReturn:
        raise WrongMode(f"{self.name} is kept in memory by who reads it: no worker runs it.")

    @classmethod
    def own_problems(cls) -> Iterator[str]:
        if not callable(getattr(cls, "entry", None)):
            yield "it has no entry: say what makes a blank one, such as `entry = Price` or `entry = dict`."
        if cls.delivery != "async":
            yield f"delivery is {cls.delivery!r}: leave it out, each process follows the log by itself."
        if cls.using is not None:
            yield f"using is {cls.using!r}: it writes to no database; name the log's store in `store`."
        yield from cls._problems_of_snapshots()
        names = {name for pairs in cls.reactions.values() for name, _ in pairs}
        for name in sorted(names):
            if hasattr(CachedProjection, name):
                yield f"the method {name!r} has the name of one that reads the cache: give it another."

    @classmethod
    def _problems_of_snapshots(cls) -> Iterator[str]:
        if cls.share_through is not None and cls.share_through not in settings.CACHES:
            yield f"share_through is {cls.share_through!r}, which CACHES does not have."
        if cls.share_through is not None and not cls.snapshot_every:
            yield "share_through has no effect without snapshot_every, which says how often to share."
        if cls.snapshot_every and callable(getattr(cls, "entry", None)):
            try:
                EntryFormat(cls)
            except TypeError as exc:
                yield f"it has snapshot_every, but its entries cannot be kept: {exc}."
