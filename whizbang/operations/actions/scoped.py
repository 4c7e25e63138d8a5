"""Actions on a part of history: by dates, positions, numbers of events, streams, or all of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Min

from whizbang.exceptions import WhizbangError
from whizbang.models import Partition
from whizbang.operations.actions.subscriptions import SubscriptionAction
from whizbang.operations.scope import Scope, Section, fix_scope
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store
from whizbang.subscriptions.definition import SubscriptionDefinition


class ScopedAction(SubscriptionAction, frozen=True, kw_only=True):
    """Base of what is done with events of the past of one subscription; see operations/scope.py."""

    since: datetime | None = None
    before: datetime | None = None
    last_days: float | None = None
    after: int | None = None
    until: int | None = None
    last_events: int | None = None
    streams: list[str] = []
    everything: bool = False

    def scope(self) -> Scope:
        """Raises WhizbangError for what means nothing."""
        for time in (self.since, self.before):
            if time is not None and time.tzinfo is None:
                raise WhizbangError(f"{time} has no time zone: give one.")
        return Scope(
            since=self.since,
            before=self.before,
            last_days=self.last_days,
            after=self.after,
            until=self.until,
            last_events=self.last_events,
            streams=tuple(self.streams),
            everything=self.everything,
        )

    def parameters(self) -> dict[str, Any]:
        found = super().parameters()
        return found if self.streams else {k: v for k, v in found.items() if k != "streams"}

    def definition(self) -> SubscriptionDefinition:
        return find_subscription(event_store(), self.subscription)

    def section(self) -> Section:
        """The scope up to where the subscription stands just now; nobody is held still for it."""
        definition = self.definition()
        store = definition.store
        return fix_scope(
            store, self.scope(), types=definition.type_names, until=_standing(definition)
        )


def _standing(definition: SubscriptionDefinition) -> int:
    if definition.kind == "inline":
        return definition.store.head()
    rows = Partition.objects.using(definition.using).filter(subscription=definition.name)
    return int(rows.aggregate(lowest=Min("position"))["lowest"] or 0)
