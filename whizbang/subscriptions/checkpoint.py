"""The checkpoint of a subscription, as others than its runner handle it."""

from __future__ import annotations

from whizbang.models import Subscription
from whizbang.subscriptions.definition import SubscriptionDefinition


def hold_still(definition: SubscriptionDefinition) -> int:
    """Keep workers from moving a subscription until the transaction ends; gives the position up to
    which it has applied the log.

    Runs in the caller's transaction on `definition.using`; the row must exist (see ensure_rows()).
    """
    rows = Subscription.objects.using(definition.using).select_for_update()
    return rows.values_list("position", flat=True).get(name=definition.name)
