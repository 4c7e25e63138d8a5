"""Shipping records that orders were shipped, again and again: `python -m tests.example.stream_writer FIRST STREAMS`.

An event of each stream in turn, of versions FIRST to FIRST + 4. No process waits for them.
"""

from __future__ import annotations

import json
import sys

import django

EVENTS_OF_EACH = 5


def main(first: int, streams: int) -> dict[str, int]:
    import whizbang
    from projects.example.shipping.messages import OrderShipped

    store = whizbang.event_store()
    for version in range(first, first + EVENTS_OF_EACH):
        for number in range(streams):
            event = OrderShipped(order_id=f"{number}-{version}")
            store.append(f"shipping.Parcel-{number}", [event], expected=version - 1)
    return {"written": EVENTS_OF_EACH * streams}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
