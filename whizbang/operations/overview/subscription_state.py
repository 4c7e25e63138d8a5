"""One subscription as the overview shows it: where it stands now, with what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass

from whizbang.operations.overview.figures import Figures, SubscriptionFigures
from whizbang.operations.overview.history import History, Series
from whizbang.operations.overview.standing import Standing

_UNKNOWN = SubscriptionFigures()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState:
    """One subscription. What is unknown, or has no meaning for it, is None.

    `seconds_to_catch_up` is None while it does not come nearer, or nobody knows. `lags`: events, a minute
    each, see Series.
    """

    name: str
    kind: str
    status: str
    error: str
    needs_rebuild: bool
    position: int | None
    lag_events: int | None
    lag_seconds: float | None
    seconds_to_catch_up: float | None
    is_growing: bool
    parked: int
    owners: list[str]
    lags: Series


def state_of(standing: Standing, figures: Figures, history: History) -> SubscriptionState:
    measured = figures.subscriptions.get(standing.name, _UNKNOWN)
    lag = standing.lag_events
    nearing = history.nearing_of(standing.name)
    seconds = standing.lag_seconds if standing.lag_seconds is not None else measured.lag_seconds
    return SubscriptionState(
        name=standing.name,
        kind=standing.kind,
        status=standing.status,
        error=standing.error,
        needs_rebuild=standing.needs_rebuild,
        position=standing.position,
        lag_events=lag,
        lag_seconds=0.0 if lag == 0 else seconds,
        seconds_to_catch_up=_seconds_left(lag, nearing),
        is_growing=nearing is not None and nearing < 0,
        parked=measured.parked,
        owners=standing.owners,
        lags=history.lag_of(standing.name),
    )


def _seconds_left(lag: int | None, nearing: float | None) -> float | None:
    if lag == 0:
        return 0.0
    if lag is None or nearing is None or nearing <= 0:
        return None
    return lag / nearing
