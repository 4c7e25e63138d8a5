"""All subscriptions that the installed apps declare and this service runs."""

from __future__ import annotations

from whizbang.conf import settings
from whizbang.projections import declaration
from whizbang.projections.external_subscription import subscription_of
from whizbang.routing.registry import registry
from whizbang.sagas.declaration import sagas_here
from whizbang.sagas.subscription import SagaSubscription
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.catalogue import CatalogueSubscription
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.event_index import EventIndexSubscription
from whizbang.subscriptions.publishing import topics
from whizbang.subscriptions.subscriber import SubscriberSubscription


def all_definitions(store: EventStore) -> list[SubscriptionDefinition]:
    """Projections, subscribers, sagas, published topics, catalogue and index of events of one store, inline
    projections included, in the order in which a worker applies what is new: what people wait for comes first.

    Cached projections have no checkpoint: each process that reads them follows the log by itself.
    """
    found: list[SubscriptionDefinition] = [
        subscription_of(store, p)
        for p in declaration.instances()
        if p.runs_in_worker and settings.get().owns(p.domain)
    ]
    found.extend(
        SubscriberSubscription(store, s)
        for s in registry.subscribers
        if s.delivery == "async" and settings.get().owns(s.domain)
    )
    found.extend(SagaSubscription(store, saga) for saga in sagas_here() if store.alias == "default")
    found.extend(topics(store))
    found += [CatalogueSubscription(store), EventIndexSubscription(store)]
    return found


def log_readers(store: EventStore) -> list[SubscriptionDefinition]:
    """Those that follow the log: all but inline projections."""
    return [d for d in all_definitions(store) if d.kind != "inline"]
