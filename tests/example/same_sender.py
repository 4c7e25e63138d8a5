"""Sends commands whose ids others use too: `python -m tests.example.same_sender send|publish`, once a line has come in.

Prints "ready", and in the end the answers as JSON.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import django

COMMANDS = 25


def main(verb: str) -> list[Any]:
    import whizbang
    from projects.example.orders.messages import Line, PlaceOrder

    lines = [Line(sku="CD", quantity=1, amount=Decimal("9.99"))]
    found: list[Any] = []
    for number in range(COMMANDS):
        command = PlaceOrder(order_id=f"sent-{number}", customer_id="remote", lines=lines)
        call = whizbang.send if verb == "send" else whizbang.publish
        found.append(call(command, message_id=uuid5(NAMESPACE_OID, str(number))))
    return found if verb == "send" else [receipt.wait(timeout_seconds=240) for receipt in found]


if __name__ == "__main__":
    django.setup()
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(main(sys.argv[1])))
