"""Workers killed at every step of every way that an order may take: it comes to the same, and nothing is sent twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from projects.example.fates import Fate
from tests.marks import soak_on
from tests.processes import running, wait_for_end

pytestmark = pytest.mark.django_db(transaction=True)
PLACES = ("before the transaction", "before the append", "before the commit", "after the commit")
# Transactions of each way: steps of the saga and commands.
LENGTHS = {
    Fate.DELIVERED: 5 + 4,
    Fate.OUT_OF_STOCK: 3 + 3,
    Fate.DECLINED: 4 + 5,
    Fate.UNANSWERED: 4 + 5,
    Fate.CANCELLED: 4 + 5,
}


# One place of each kind, and one on each way.
SAMPLE: dict[str, list[int] | None] = {
    Fate.DELIVERED: [0],
    Fate.OUT_OF_STOCK: [5],
    Fate.DECLINED: [22],
    Fate.UNANSWERED: [19],
    Fate.CANCELLED: [26],
}


def kill_at(
    environment: dict[str, str], plan: dict[str, list[int] | None], *broken: str
) -> dict[str, Any]:
    quick = {**environment, "WHIZBANG_TEST_LEASE_SECONDS": "1"}
    with running(quick, "-m", "tests.example.odd_shop", json.dumps(plan), *broken) as process:
        found: dict[str, Any] = json.loads(wait_for_end(process).splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(SAMPLE, id="sample"),
        *(pytest.param({fate: None}, id=fate, marks=pytest.mark.soak) for fate in Fate),
    ],
)
@soak_on("postgres")
def test_order_comes_to_the_same_wherever_its_worker_was_killed(
    child_environment: dict[str, str], plan: dict[str, list[int] | None]
) -> None:
    found = kill_at(child_environment, plan)
    assert found["leftovers"] == []
    assert found["fates"].keys() == plan.keys()
    for fate, outcomes in found["fates"].items():
        steps = LENGTHS[Fate(fate)] * len(PLACES)
        assert len(outcomes["way"]) == steps, outcomes["way"]
        assert len(outcomes["killed"]) == len(plan[fate] or range(steps))
        for step, outcome in outcomes["killed"].items():
            assert outcome == outcomes["undisturbed"], step


@pytest.mark.requires_sqlite
@pytest.mark.parametrize(
    ("broken", "place", "end"),
    [
        ("checkpoint", "before the append", "placed"),  # it commits first: the step is never taken
        ("commands", "after the commit", "cancelled: not paid in time"),  # they are never sent
    ],
)
def test_without_one_transaction_an_order_comes_to_nothing(
    child_environment: dict[str, str], broken: str, place: str, end: str
) -> None:
    """The test can fail."""
    found = kill_at(child_environment, {Fate.DELIVERED: [PLACES.index(place)]}, broken)
    outcomes = found["fates"][Fate.DELIVERED]
    (outcome,) = outcomes["killed"].values()
    assert outcomes["undisturbed"]["account"][0] == "confirmed"
    assert outcome["account"][0] == end
