"""Projections in free form: any code that keeps what it writes up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

from asgiref.sync import sync_to_async

from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Event, domain_of_module
from whizbang.messages.metadata import Metadata
from whizbang.projections.declaration import BEGINNING, By, collect_reactions, declared
from whizbang.projections.failing import mark_failing
from whizbang.subscriptions.partitioning import KeyFilter

Recorded = tuple[Any, Metadata]


class Projection:
    """Reacts to events with methods marked by @on, called as method(event, meta).

    With `clear(self)`, which empties what it wrote, it can be rebuilt. A class that says
    `abstract = True` itself is a base for others and is not run.
    """

    delivery: ClassVar[str] = "async"  # or "inline": in the transaction of the event
    version: ClassVar[int] = 1  # raise it when the code changes meaning
    backfill_from: ClassVar[Any] = BEGINNING  # LIVE, a position, or a datetime (recorded)
    # "stream" or "key": what its work is split by, where workers share it as several partitions. "key" is
    # what `by` gives; two partitions never touch one row as long as methods touch the rows of it alone.
    partition_by: ClassVar[str | None] = None
    using: ClassVar[str | None] = None  # database alias; None is that of the default store
    abstract: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = False  # may an event be applied again? then a backfill is safe
    needs_keys: ClassVar[bool] = False  # must every @on say `by`?
    runs_in_worker: ClassVar[bool] = True  # as a subscription with a checkpoint?
    reactions: ClassVar[dict[type[Event], list[tuple[str, By]]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.reactions = collect_reactions(cls)
        if not cls.__dict__.get("abstract", False):
            cls.abstract = False
            declared.append(cls)

    @classmethod
    def wait_until(cls, position: int, *, timeout_seconds: float = 30.0) -> None:
        """Wait until every event up to this position of the default store is applied.

        An event whose stream is parked counts as applied. An inline projection needs no waiting. Raises
        `WaitTimeout`, and `WrongMode` inside an open transaction.
        """
        from whizbang.projections import waiting

        targets = waiting.targets_at(cls, position)
        waiting.wait_for(targets, timeout_seconds=timeout_seconds)

    @classmethod
    async def await_until(cls, position: int, *, timeout_seconds: float = 30.0) -> None:
        """See wait_until()."""
        from whizbang.projections import waiting

        targets = await sync_to_async(waiting.targets_at)(cls, position)
        await waiting.await_for(targets, timeout_seconds=timeout_seconds)

    @classmethod
    def own_problems(cls) -> Iterator[str]:
        """What this kind of projection finds wrong with a class, beyond its events."""
        return iter(())

    @cached_property
    def domain(self) -> str:
        """A service runs the projections of the domains that it owns."""
        return domain_of_module(type(self).__module__)

    @cached_property
    def name(self) -> str:
        """The subscription's name, under which its checkpoint is kept."""
        return f"{self.domain}.{type(self).__name__}"

    @property
    def is_rebuildable(self) -> bool:
        return callable(getattr(self, "clear", None))

    def event_types(self) -> dict[type[Event], list[Callable[..., Any]]]:
        return {
            event_type: [getattr(self, name) for name, _ in pairs]
            for event_type, pairs in self.reactions.items()
        }

    @cached_property
    def _methods(self) -> dict[type[Event], list[Callable[..., Any]]]:
        return self.event_types()

    def apply_batch(
        self, events: Sequence[Recorded], *, using: str, slices: KeyFilter | None = None
    ) -> None:
        """Call the methods event by event, in the caller's transaction; with `slices` for their keys alone."""
        for event, meta in events:
            try:
                for method in self._methods_for(event, meta, slices):
                    method(event, meta)
            except Exception as exc:
                mark_failing(exc, meta)
                raise

    def keys_of(self, event: Any, meta: Metadata) -> list[Any]:
        """What the event concerns, where the projection is partitioned by key."""
        pairs = self.reactions.get(type(event), ())
        return [key for _, by in pairs for key in self._find_keys(by, event, meta)]

    def _methods_for(
        self, event: Any, meta: Metadata, slices: KeyFilter | None
    ) -> Sequence[Callable[..., Any]]:
        if slices is None:
            return self._methods.get(type(event), ())
        return [
            getattr(self, name)
            for name, by in self.reactions.get(type(event), ())
            if any(slices.takes(key, meta) for key in self._find_keys(by, event, meta))
        ]

    def _find_keys(self, by: By, event: Any, meta: Metadata) -> list[Any]:
        """One key, or none: a method that is called once cannot be meant for several."""
        found = by(event, meta) if callable(by) else getattr(event, str(by))
        keys = list(found) if isinstance(found, list | tuple | set | frozenset) else [found]
        if len(keys) > 1:
            raise WhizbangError(
                f"{self.name} is partitioned by key and got {len(keys)} keys for one call: give one, or "
                "make it a ModelProjection, whose methods are called for each."
            )
        return keys
