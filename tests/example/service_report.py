"""What one service of the example holds, as JSON: `python -m tests.example.service_report`."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import django


def report() -> dict[str, Any]:
    from django.db.models import Q
    from django.db.models.functions import Now

    import whizbang
    from projects.example.orders.messages import OrderPlaced
    from projects.example.payments.messages import PaymentCharged
    from tests.example.books import commands_sent_twice
    from whizbang.models import DeadLetter, InboxMessage, OutboxMessage, ParkedStream, ReceivedTopic

    later = Q(status="stored", available_at__gt=Now())  # its time has not come
    events: Counter[str] = Counter()
    placed, charged = Decimal(0), Decimal(0)
    places: set[tuple[str, int]] = set()
    for event, meta in whizbang.event_store().read_all(limit=None):
        events[meta.type] += 1
        places.add((meta.stream, meta.version))
        placed += event.total if isinstance(event, OrderPlaced) else 0
        charged += event.amount if isinstance(event, PaymentCharged) else 0
    return {
        "events": dict(events),
        "places": len(places),
        "placed": str(placed),
        "charged": str(charged),
        "books": keep_books_of_log(),
        "sent_twice": commands_sent_twice(),
        "streams": order_streams(),
        "answers": dict(
            Counter(InboxMessage.objects.filter(mode="remote").values_list("status", flat=True))
        ),
        "unhandled": InboxMessage.objects.exclude(status="handled").exclude(later).count(),
        "unsent": OutboxMessage.objects.filter(published_at__isnull=True).count(),
        "dead": [f"{letter.reason}: {letter.error}" for letter in DeadLetter.objects.all()[:20]],
        "parked": [str(row.error) for row in ParkedStream.objects.all()[:5]],
        "gaps": [row.last_gap for row in ReceivedTopic.objects.filter(gaps__gt=0)],
        "lanes": sorted(ReceivedTopic.objects.values_list("domain", "lane")),
        "relays": relays(),
        "misplaced": misplaced(),
        **read_models(),
    }


def keep_books_of_log() -> dict[str, list[str]]:
    """Of each order, as far as this service knows; see books.Account."""
    import whizbang
    from tests.example.books import keep_books

    books = keep_books(event for event, _ in whizbang.event_store().read_all(limit=None))
    return {order_id: account.as_texts() for order_id, account in books.items()}


def order_streams() -> list[str]:
    """Of the orders, as they stand in the log."""
    from whizbang.models import StoredEvent

    rows = StoredEvent.objects.filter(type="orders.OrderPlaced").order_by("position")
    return list(rows.values_list("stream", flat=True))


def misplaced() -> list[str]:
    """Streams whose versions do not stand in the log as 1, 2, 3 and so on."""
    from whizbang.models import StoredEvent

    versions: dict[str, list[int]] = {}
    for stream, version in StoredEvent.objects.order_by("position").values_list(
        "stream", "version"
    ):
        versions.setdefault(stream, []).append(version)
    return [name for name, found in versions.items() if found != [*range(1, len(found) + 1)]]


def relays() -> dict[str, list[str]]:
    """Who publishes which partition of this service's topics."""
    from whizbang.models import Lease

    rows = Lease.objects.filter(name__startswith="whizbang.topic.").exclude(owner="")
    found: dict[str, list[str]] = {}
    for owner, name in rows.values_list("owner", "name"):
        found.setdefault(owner, []).append(name)
    return found


def read_models() -> dict[str, Any]:
    from projects.example.orders.models import Customer, SalesDay, TrackedOrder

    return {
        "statuses": dict(Counter(TrackedOrder.objects.values_list("status", flat=True))),
        "days": {
            str(row.day): [row.orders, row.cds, str(row.value)] for row in SalesDay.objects.all()
        },
        "customers": {
            row.customer_id: [row.orders, row.cds, str(row.value)] for row in Customer.objects.all()
        },
    }


if __name__ == "__main__":
    django.setup()
    print(json.dumps(report()))
