"""What counts as growing with the log."""

from __future__ import annotations

import pytest

from benchmarks.projecting.growth import KEYS, Grown, Rebuild, count_keys, judge, most_growth


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10.0, 10.0, 10.0], 1.0),
        ([10.0, 5.0, 9.0], 1.8),  # over the shorter log next to it, not over the first
        ([10.0, 5.0, 4.0], 0.8),
        ([10.0, 30.0, 5.0], 3.0),
        ([10.0], None),
        ([10.0, None], None),
        ([], None),
    ],
)
def test_growth_is_the_worst_of_a_log_over_a_shorter_one(
    values: list[float | None], expected: float | None
) -> None:
    assert most_growth(values) == expected


def test_time_that_grows_with_the_log_and_memory_that_does_miss_their_goals() -> None:
    flat = [Grown(100, [Rebuild(1.0, 50.0)]), Grown(1000, [Rebuild(10.0, 52.0)])]
    grown = [Grown(100, [Rebuild(1.0, 50.0)]), Grown(1000, [Rebuild(13.0, 80.0)])]
    unknown = [Grown(100, [Rebuild(1.0, None)]), Grown(1000, [Rebuild(10.0, None)])]
    assert [goal.met for goal in judge(flat)] == [True, True]
    assert [goal.met for goal in judge(grown)] == [False, False]
    assert [goal.met for goal in judge(unknown)] == [True, False]


def test_all_logs_have_the_keys_that_the_shortest_can_have() -> None:
    assert count_keys([100, 3000]) == 100
    assert count_keys([100_000, 5_000_000]) == KEYS
