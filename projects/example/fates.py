"""Which orders fail on purpose, and how: told by their ids, so that a run can be repeated and checked."""

from __future__ import annotations

import zlib
from enum import StrEnum

from django.conf import settings


class Fate(StrEnum):
    """What the world has in store for an order."""

    DELIVERED = "delivered"
    OUT_OF_STOCK = "out_of_stock"
    DECLINED = "declined"  # by the bank
    UNANSWERED = "unanswered"  # the bank never says anything
    CANCELLED = "cancelled"  # the customer cancels at the last moment, when it is paid already


def fate_of(order_id: str) -> Fate:
    """By the shares in settings.EXAMPLE["FAILURES"]; without any, all are delivered."""
    example = getattr(settings, "EXAMPLE", {})
    point = zlib.crc32(f"{example.get('SEED', 1)}:{order_id}".encode()) / 2**32
    for name, share in example.get("FAILURES", {}).items():
        if point < share:
            return Fate(name)
        point -= share
    return Fate.DELIVERED
