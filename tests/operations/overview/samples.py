"""Samples as a worker would have taken them."""

from __future__ import annotations

from datetime import timedelta

import msgspec

import whizbang
from whizbang.drivers.clock import database_now
from whizbang.models import MetricSample
from whizbang.operations.overview.figures import Figures, SubscriptionFigures

NAME = "shop.OrderSummaries"


def sample(*, seconds_ago: float, head: int = 0, lag: int | None = None, **more: object) -> None:
    """One that was measured so long ago; `lag` is of one subscription, in events and in seconds."""
    subscriptions = {} if lag is None else {NAME: SubscriptionFigures(lag, float(lag))}
    figures = msgspec.convert(
        {"head": head, "subscriptions": msgspec.to_builtins(subscriptions), **more}, Figures
    )
    at = database_now(whizbang.event_store().using) - timedelta(seconds=seconds_ago)
    MetricSample.objects.create(at=at, figures=msgspec.to_builtins(figures))
