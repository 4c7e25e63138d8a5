"""Another service that sends commands to orders: `python -m tests.example.order_sender FIRST COUNT [wait] [long]`.

`wait`: for the answers. `long`: orders of a hundred lines.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

import django


def main(first: int, count: int, *, is_waiting: bool, lines: int) -> dict[str, Any]:
    import whizbang
    from projects.example.orders.messages import Line, PlaceOrder

    ordered = [Line(sku="CD", quantity=1, amount=Decimal("9.99"))] * lines
    receipts = [
        whizbang.publish(
            PlaceOrder(order_id=f"sent-{number}", customer_id="remote", lines=ordered),
            ordering_key="one",
        )
        for number in range(first, first + count)
    ]
    if not is_waiting:
        return {"sent": len(receipts)}
    return {"answers": [receipt.wait(timeout_seconds=240) for receipt in receipts]}


if __name__ == "__main__":
    django.setup()
    first, count = (int(argument) for argument in sys.argv[1:3])
    lines = 100 if "long" in sys.argv else 1
    print(json.dumps(main(first, count, is_waiting="wait" in sys.argv, lines=lines)))
