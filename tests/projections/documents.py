"""An external projection whose documents tell which events they hold, in which order."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import whizbang
from tests.shop.messages import OrderNoted
from whizbang import DELETE, ExternalProjection, Metadata, on

SINK = "external"


def keys_of(event: OrderNoted, meta: Metadata) -> list[str]:
    """Its order's document, and one that all orders share."""
    return [event.order_id, "all"]


def declare() -> type[ExternalProjection]:
    """Made in a function, so that it is there only for tests that ask for it."""

    class NoteDocuments(ExternalProjection):
        sink = SINK
        collection = "notes"
        mapping = {"count": {"type": "integer"}, "text": {"type": "keyword"}}
        cured = False

        def blank(self, key: str) -> dict[str, Any]:
            return {"key": key}

        @on(OrderNoted, by=keys_of)
        def noted(self, document: dict[str, Any], event: OrderNoted, meta: Metadata) -> object:
            if event.text == "spoiled" and not self.cured and document["key"] == "all":
                # Late in its event: the order's document has been changed by then.
                raise ValueError("This note cannot be projected.")
            if event.text == "delete":
                return DELETE
            document["count"] = document.get("count", 0) + 1
            document["positions"] = [*document.get("positions", ()), meta.position]
            if event.text == "unstorable":
                document["count"] = event.text  # the mapping says: a number
            return None

    return NoteDocuments


def note(order_id: str, *texts: str) -> None:
    """Each in an append of its own."""
    for text in texts:
        event = OrderNoted(order_id=order_id, text=text)
        whizbang.event_store().append(f"shop.Order-{order_id}", [event])


def fold() -> dict[str, list[int]]:
    """Positions by key, as the log has them."""
    positions = defaultdict(list)
    for item in whizbang.event_store().read_all(limit=None, types=[OrderNoted]):
        for key in (item.event.order_id, "all"):
            positions[key].append(item.meta.position)
    return dict(positions)


def held(projection: type[ExternalProjection]) -> dict[str, list[int]]:
    """Positions by key, as the documents have them; raises AssertionError when the count is another."""
    found = projection.get_many(["1", "2", "3", "4", "all"])
    for document in found.values():
        assert document["count"] == len(document["positions"])
    return {key: document["positions"] for key, document in found.items()}
