from __future__ import annotations

import pytest

from projects.example.orders.models import TrackedOrder
from projects.example.orders.projections import advance

Status = TrackedOrder.Status


@pytest.mark.parametrize(
    ("known", "heard", "expected"),
    [
        (Status.PLACED, Status.RESERVED, Status.RESERVED),
        (Status.SHIPPED, Status.CHARGED, Status.SHIPPED),
        (Status.CANCELLED, Status.SHIPPED, Status.CANCELLED),
    ],
)
def test_progress_only_moves_forward_whatever_order_the_domains_are_heard_in(
    known: Status, heard: Status, expected: Status
) -> None:
    row = TrackedOrder(order_id="17", status=known)

    advance(row, heard)

    assert row.status == expected
