"""The short transaction in which one table takes another's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db import transaction

from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.catching_up import catch_up
from whizbang.subscriptions.checkpoint import hold_writers_still
from whizbang.subscriptions.runner import SubscriptionRunner


class Standstill(NamedTuple):
    """Where the live rows stand, where the others have come, and by how many events just now."""

    live_position: int
    head: int
    events: int


@contextmanager
def standing_still(
    live: ProjectionSubscription, runner: SubscriptionRunner
) -> Iterator[Standstill]:
    """A transaction in which the live projection stands still and the runner's rows are caught up."""
    with transaction.atomic(using=live.using):
        position = hold_writers_still(live)
        head = live.store.head()
        yield Standstill(position, head, catch_up(runner, until=head))
