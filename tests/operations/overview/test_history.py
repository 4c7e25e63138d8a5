"""What the samples of the last half hour say, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from whizbang.operations.overview.figures import Figures, SubscriptionFigures
from whizbang.operations.overview.history import MINUTES, History
from whizbang.operations.overview.sampling import Sample

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def history(*samples: tuple[float, int, int | None]) -> History:
    """Each sample: seconds ago, head, lag of "a"."""
    return History(
        [
            Sample(
                NOW - timedelta(seconds=seconds),
                Figures(head=head, subscriptions={"a": SubscriptionFigures(lag)}),
            )
            for seconds, head, lag in samples
        ],
        now=NOW,
    )


def test_series_have_a_value_a_minute_and_gaps() -> None:
    lags = history((200, 0, 7), (45, 0, 3), (30, 0, 9), (15, 0, None)).lag_of("a")
    assert len(lags) == MINUTES
    assert lags[-4:] == [7, None, None, 9]
    assert not any(lags[:-4])


def test_what_is_older_or_of_another_name_is_left_out() -> None:
    found = history((10_000, 0, 7), (-90, 0, 8))
    assert not any(found.lag_of("a")) and not any(found.lag_of("b"))


def test_rates_are_those_of_the_last_minute() -> None:
    found = history((600, 0, 0), (60, 1_000, 500), (30, 1_600, 400), (0, 2_200, 200))
    assert found.head_rate() == 20.0
    assert found.nearing_of("a") == 5.0
    assert found.nearing_of("b") is None
    assert found.events_per_second()[-1] == 20.0


def test_lag_that_grows_comes_nearer_by_less_than_nothing() -> None:
    nearing = history((30, 0, 10), (0, 0, 40)).nearing_of("a")
    assert nearing == -1.0


def test_one_sample_tells_no_rate() -> None:
    assert history((0, 5, 1)).head_rate() is None
    assert history().nearing_of("a") is None
    assert (
        history((100, 0, 1), (0, 200, 1)).head_rate() == 2.0
    )  # none of the last minute: the one before
