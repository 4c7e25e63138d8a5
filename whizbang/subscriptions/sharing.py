"""Who of several workers is to run which partition.

Every worker decides for itself from the same rows, and the leases settle it where two disagree. A partition
moves only where that makes the shares of two workers more alike: first those of its subscription, then those
of all. So it comes to an end, and a worker that comes or goes moves no more than it must.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple


class Slot(NamedTuple):
    """A partition that needs a worker."""

    lease: str
    subscription: str


class Shares:
    """How many partitions each worker has, of each subscription and of all."""

    def __init__(self, crew: Set[str], slots: Iterable[Slot], owners: Mapping[str, str]) -> None:
        self._crew = sorted(crew)
        self._of: Counter[tuple[str, str]] = Counter()
        self._all: Counter[str] = Counter()
        for slot in slots:
            if (owner := owners.get(slot.lease)) in crew:
                self.add(str(owner), slot)

    def next_for(self, slot: Slot) -> str:
        """The worker that has the least, who is to have one more."""
        return min(self._crew, key=lambda name: (*self._counts(name, slot), name))

    def gives_way(self, owner: str, slot: Slot, other: str) -> bool:
        """Would the shares be more alike if the other one had it?"""
        mine, theirs = self._counts(owner, slot), self._counts(other, slot)
        of_subscription, of_all = mine[0] - theirs[0], mine[1] - theirs[1]
        return of_subscription >= 2 or (of_subscription == 1 and of_all >= 2)

    def of_subscription(self, owner: str, slot: Slot) -> int:
        return self._of[owner, slot.subscription]

    def add(self, owner: str, slot: Slot, by: int = 1) -> None:
        self._of[owner, slot.subscription] += by
        self._all[owner] += by

    def _counts(self, owner: str, slot: Slot) -> tuple[int, int]:
        return self._of[owner, slot.subscription], self._all[owner]


def to_give_back(
    me: str, slots: Sequence[Slot], owners: Mapping[str, str], crew: Set[str]
) -> list[Slot]:
    """Those of a worker's partitions that others of its crew are to have."""
    shares = Shares(crew, slots, owners)
    _takers(shares, slots, owners)  # what is free now counts as theirs already
    given = []
    mine = [slot for slot in slots if owners.get(slot.lease) == me]
    # Those of which it has several first: moving them makes the shares of all more alike too.
    for slot in sorted(mine, key=lambda slot: -shares.of_subscription(me, slot)):
        other = shares.next_for(slot)
        if other != me and shares.gives_way(me, slot, other):
            shares.add(me, slot, -1)
            shares.add(other, slot)
            given.append(slot)
    return given


def to_take(
    me: str, slots: Sequence[Slot], owners: Mapping[str, str], crew: Set[str]
) -> list[Slot]:
    """Those of the free partitions that are a worker's to take."""
    takers = _takers(Shares(crew, slots, owners), slots, owners)
    return [slot for slot, taker in takers.items() if taker == me]


def _takers(shares: Shares, slots: Iterable[Slot], owners: Mapping[str, str]) -> dict[Slot, str]:
    """Whose turn it is with each of the free partitions."""
    takers = {}
    for slot in slots:
        if slot.lease not in owners:
            takers[slot] = shares.next_for(slot)
            shares.add(takers[slot], slot)
    return takers
