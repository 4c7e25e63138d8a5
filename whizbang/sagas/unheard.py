"""What a saga is still to hear: its timeouts do not overtake it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min

from whizbang.models import Partition
from whizbang.sagas.saga import Saga
from whizbang.sagas.subscription import SagaSubscription
from whizbang.store.event_store import EventStore

_NO_END = 2**63 - 1


def first_unheard_at(store: EventStore, saga: type[Saga]) -> datetime | None:
    """When the first event was recorded that the saga has not heard; None when it has heard all that there is."""
    definition = SagaSubscription(store, saga)
    rows = Partition.objects.using(store.using).filter(subscription=definition.name)
    position = rows.aggregate(least=Min("position"))["least"]
    if position is None:
        return None
    unheard = store.driver.read_log(
        after=position, until=_NO_END, limit=1, filter=definition.wanted()
    )
    return next((row.recorded_at for row in unheard), None)
