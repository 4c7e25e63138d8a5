from __future__ import annotations

import pytest

from benchmarks.measuring import Contestant, Series, measure, measure_stock, stock_needed


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # The machine was three times as slow in the second round, for both.
    ours, theirs = Series((2.0, 6.0, 2.0)), Series((1.0, 3.0, 1.0))

    assert ours.times(theirs) == 2.0
    assert ours.minus(theirs) == 1.0


def test_a_ratio_has_a_spread_of_its_own() -> None:
    # Both are slow in the second round: their times spread, their ratio does not.
    ours, theirs = Series((2.0, 6.0, 2.0)), Series((1.0, 3.0, 1.0))

    assert ours.spread_of_times(theirs) == 0.0
    assert ours.spread_percent > 0.0


def test_spread_is_the_distance_of_the_quartiles_in_percent() -> None:
    assert Series((1.0, 2.0, 3.0, 4.0, 5.0)).spread_percent == pytest.approx(100 * 2 / 3)


def test_every_contestant_runs_in_every_round() -> None:
    contestants = [
        Contestant(name=name, run=lambda count: 0.01 * count) for name in ("one", "other")
    ]

    measured = measure(contestants, rounds=3, round_seconds=0.02)

    assert {name: len(series.seconds) for name, series in measured.items()} == {
        "one": 3,
        "other": 3,
    }
    assert measured["one"].median_seconds == pytest.approx(0.01)


def test_a_stock_is_used_up_exactly() -> None:
    left = stock_needed(rounds=4, operations=7)

    def use(count: int) -> float:
        nonlocal left
        left -= count
        return float(count)

    measure_stock([Contestant(name="user", run=use)], rounds=4, operations=7)

    assert left == 0
