"""Who is to run which partition: fair, without end only as long as workers come and go."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from whizbang.subscriptions.sharing import Slot, to_give_back, to_take


def slots_of(**counts: int) -> list[Slot]:
    return [Slot(f"{name}#{i}", name) for name, count in counts.items() for i in range(count)]


def settle(slots: list[Slot], owners: dict[str, str], crew: set[str], seed: int = 0) -> int:
    """Let workers look in any order until nothing changes; gives how many partitions were taken."""
    chance, moves = random.Random(seed), 0
    for _ in range(200):
        before = dict(owners)
        for worker in chance.sample(sorted(crew), len(crew)):
            given = to_give_back(worker, slots, owners, crew)
            taken = to_take(worker, slots, owners, crew)
            for slot in given:
                del owners[slot.lease]
            for slot in taken:
                owners[slot.lease] = worker
            moves += len(taken)
        if owners == before and len(owners) == len(slots):
            return moves
    raise AssertionError(f"no end: {owners}")


def shares(owners: dict[str, str], subscription: str = "") -> list[int]:
    return sorted(Counter(w for s, w in owners.items() if s.startswith(subscription)).values())


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_even_by_subscription_and_in_all(seed: int) -> None:
    slots = slots_of(a=2, b=5, c=1, d=1, e=1, f=1)
    owners: dict[str, str] = {}
    settle(slots, owners, {"x", "y"}, seed)
    assert shares(owners, "a") == [1, 1] and shares(owners, "b") == [2, 3]
    assert shares(owners) in ([5, 6],)


def test_newcomer_gets_its_share_and_no_more_moves_than_that() -> None:
    slots = slots_of(a=8, b=1, c=1)
    owners: dict[str, str] = {}
    settle(slots, owners, {"x"})
    assert settle(slots, owners, {"x", "y"}) == 5
    assert shares(owners) == [5, 5]


def test_share_of_the_dead_goes_to_the_others() -> None:
    slots = slots_of(a=6)
    owners: dict[str, str] = {}
    settle(slots, owners, {"x", "y", "z"})
    for lease in [lease for lease, worker in owners.items() if worker == "z"]:
        del owners[lease]
    assert settle(slots, owners, {"x", "y"}) == 2
    assert shares(owners) == [3, 3]


def test_more_workers_than_partitions_and_nobody_gives_for_nothing() -> None:
    slots = slots_of(a=2)
    owners: dict[str, str] = {}
    settle(slots, owners, {"x", "y"})
    assert settle(slots, owners, {"x", "y", "z"}) == 0


@pytest.mark.parametrize("seed", range(50))
def test_any_crew_settles(seed: int) -> None:
    chance = random.Random(seed)
    slots = slots_of(**{name: chance.randint(1, 9) for name in "abcdef"[: chance.randint(1, 6)]})
    owners: dict[str, str] = {}
    for _ in range(4):
        crew = {f"w{i}" for i in range(chance.randint(1, 6))}
        for lease in [lease for lease, worker in owners.items() if worker not in crew]:
            del owners[lease]
        settle(slots, owners, crew, seed)
        counts = [sum(w == worker for w in owners.values()) for worker in crew]
        for name in {slot.subscription for slot in slots}:
            by = Counter(dict.fromkeys(crew, 0))
            by.update(w for lease, w in owners.items() if lease.startswith(name))
            assert max(by.values()) - min(by.values()) <= 1
        assert sum(counts) == len(slots)


def test_what_strangers_hold_is_theirs() -> None:
    slots = slots_of(a=2)
    owners = {"a#0": "of other code", "a#1": "of other code"}
    assert to_take("x", slots, owners, {"x"}) == []
