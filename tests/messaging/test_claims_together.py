"""Several workers that claim at the same time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

import whizbang
from tests.drivers.stores.rows import run_together
from tests.shop.messages import OpenOrder
from whizbang.messaging.claims import claim_due
from whizbang.models import InboxMessage

pytestmark = pytest.mark.django_db(transaction=True)


def publish(count: int) -> None:
    whizbang.publish_batch(OpenOrder(order_id=str(n)) for n in range(count))


def test_each_message_is_claimed_by_one_worker() -> None:
    publish(400)

    def claim(number: int) -> list[int]:
        claimed: list[int] = []
        while rows := claim_due(using="default", limit=7):
            claimed += [row.pk for row in rows]
        return claimed

    claimed = [pk for pks in run_together(4, claim) for pk in pks]
    assert len(claimed) == len(set(claimed)) == 400


@pytest.mark.requires_server
def test_claim_locks_what_it_takes_and_nothing_more() -> None:
    """Without an index in the claim's order the server would lock all that is due in order to sort it."""
    publish(1000)
    with connection.cursor() as cursor:
        table = "TABLE " if connection.vendor == "mysql" else ""
        cursor.execute(f"ANALYZE {table}whizbang_inbox")
    with transaction.atomic():
        assert len(claim_due(using="default", limit=10)) == 10
        (others,) = run_together(1, lambda number: len(claim_due(using="default", limit=985)))
    assert others == 985


@pytest.mark.requires_mariadb
def test_claiming_walks_the_index_of_what_is_due_on_mariadb() -> None:
    """Handled messages stay for days: a claim must not look at them, nor sort."""
    publish(2000)
    InboxMessage.objects.update(
        status="handled", finished_at=Now(), available_at=Now() - timedelta(days=1)
    )
    whizbang.publish_batch(OpenOrder(order_id=f"new{n}") for n in range(50))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE whizbang_inbox")
        with transaction.atomic():
            cursor.execute("FLUSH STATUS")
            assert len(claim_due(using="default", limit=10)) == 10
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
            reads = sum(int(value) for _, value in cursor.fetchall())
    assert reads < 200
