"""Several workers under one rate limit."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from django.db import connection

import whizbang
from tests.drivers.stores.rows import run_together
from tests.messaging.handlers import Declare
from tests.shop.messages import NoteOrder, OpenOrder
from whizbang.messaging.claims import claim_due
from whizbang.messaging.processing import InboxProcessor
from whizbang.models import InboxMessage
from whizbang.routing.rate import parse_rate

pytestmark = pytest.mark.django_db(transaction=True)


def publish(count: int) -> None:
    whizbang.publish_batch(NoteOrder(order_id=str(n), text="a") for n in range(count))


def test_workers_share_the_limit(declare: Declare) -> None:
    """Also the first time, when nobody has made its row yet."""
    declare(NoteOrder, rate=parse_rate("100/h"))  # ten at once, then one in 36 s
    publish(400)

    def claim(number: int) -> list[int]:
        claimed: list[int] = []
        for _ in range(40):
            claimed += [row.pk for row in claim_due(using="default", limit=7)]
        return claimed

    results = run_together(4, claim)
    claimed = [pk for pks in results for pk in pks]
    assert len(claimed) == len(set(claimed)) == 10
    stored = InboxMessage.objects.filter(status="stored")
    assert stored.count() == 390
    assert len(set(stored.values_list("token_at", flat=True))) == 390  # no token is given out twice


@pytest.mark.requires_server
def test_no_lock_is_held_while_a_handler_runs(declare: Declare) -> None:
    begun, end = Event(), Event()

    def block(command: NoteOrder, context: Any) -> int:
        begun.set()
        assert end.wait(20)
        return 1

    declare(NoteOrder, rate=parse_rate("100/h"), function=block)
    publish(1)
    whizbang.publish(OpenOrder(order_id="1"))

    def work(number: int) -> int:
        if number == 0:
            return InboxProcessor(whizbang.event_store()).run_once()
        assert begun.wait(20)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET lock_timeout = '2s'")
        publish(20)
        try:
            return len(claim_due(using="default", limit=100))
        finally:
            end.set()

    assert run_together(2, work) == [2, 9]
