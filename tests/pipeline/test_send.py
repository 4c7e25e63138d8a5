"""send(): one transaction, one append, the handler's result."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import whizbang
from tests.shop.aggregates import Order, OrderOpenAlready
from tests.shop.messages import (
    NOON,
    CallElsewhere,
    CloseEverything,
    CloseOrder,
    CountOrders,
    HappenedElsewhere,
    Line,
    NoteOrder,
    OpenOrder,
    ShipOrder,
    TouchOrder,
)
from tests.shop.models import CustomerTotal, Heard
from whizbang.models import InboxMessage, StoredEvent

pytestmark = pytest.mark.django_db


def open_order(order_id: str = "1", **keywords: Any) -> str:
    line = Line(sku="a", quantity=1, amount=Decimal("2.50"))
    return whizbang.send(OpenOrder(order_id=order_id, lines=[line]), **keywords)


def events_of(order_id: str) -> list[Any]:
    return [r.event for r in whizbang.event_store().read_stream(f"shop.Order-{order_id}")]


def test_result_event_and_inline_projection_are_there_when_it_returns() -> None:
    assert open_order() == "1"
    assert [type(e).__name__ for e in events_of("1")] == ["OrderOpened"]
    assert CustomerTotal.objects.get(customer_id="c1").orders == 1


def test_handler_that_raises_half_way_leaves_nothing() -> None:
    with pytest.raises(RuntimeError):
        whizbang.send(NoteOrder(order_id="1", text="fail"))
    assert events_of("1") == []
    assert not Heard.objects.exists()


def test_rejection_inside_the_callers_transaction_leaves_it_usable() -> None:
    with transaction.atomic():
        Heard.objects.create(text="mine")
        open_order()
        with pytest.raises(OrderOpenAlready):
            open_order()
    assert Heard.objects.filter(text="mine").exists()
    assert len(events_of("1")) == 1


def test_callers_rollback_takes_the_events_along() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        open_order()
        1 / 0  # noqa: B018
    assert events_of("1") == []
    assert not CustomerTotal.objects.exists()


def test_nested_send_shares_the_unit_of_work() -> None:
    assert whizbang.send(CloseOrder(order_id="1")) == "open"
    assert StoredEvent.objects.count() == 1
    assert InboxMessage.objects.get().type == "shop.ShipOrder"


def test_async_handler_runs_in_the_transaction() -> None:
    open_order()
    whizbang.send(ShipOrder(order_id="1"))
    assert len(events_of("1")) == 2


def test_require_raises_for_an_aggregate_without_events() -> None:
    with pytest.raises(whizbang.AggregateNotFound):
        whizbang.send(ShipOrder(order_id="none"))


def test_inline_subscriber_records_in_the_same_transaction() -> None:
    whizbang.send(OpenOrder(order_id="1", customer_id="vip"))
    assert [e.__class__.__name__ for e in events_of("1")] == ["OrderOpened", "OrderNoted"]


def test_command_without_transaction_still_appends() -> None:
    assert whizbang.send(TouchOrder(order_id="1")) == "touched"
    assert len(events_of("1")) == 1


def test_same_id_is_handled_once_and_answered_alike() -> None:
    message_id = uuid4()
    assert open_order(message_id=message_id) == "1"
    assert open_order(message_id=message_id) == "1"
    assert len(events_of("1")) == 1
    with pytest.raises(whizbang.MessageIdReused):
        open_order("2", message_id=message_id)


def test_failed_message_id_can_be_sent_again() -> None:
    open_order()
    message_id = uuid4()
    for _ in range(2):
        with pytest.raises(OrderOpenAlready):
            open_order(message_id=message_id)


def test_occurred_at_is_the_events_business_time() -> None:
    open_order(occurred_at=NOON)
    recorded = next(iter(whizbang.event_store().read_stream("shop.Order-1")))
    assert recorded.meta.occurred_at == NOON
    assert recorded.meta.recorded_at != NOON


def test_metadata_tells_cause_and_correlation() -> None:
    message_id = uuid4()
    open_order(message_id=message_id, user="somebody")
    meta = next(iter(whizbang.event_store().read_stream("shop.Order-1"))).meta
    assert meta.causation_id == meta.correlation_id == message_id
    assert (meta.user, meta.service, meta.hops) == ("somebody", "default", 1)


def test_permission_is_required_of_the_user_who_sends() -> None:
    user = User.objects.create(username="u")
    for sender in (None, user, str(user.pk), "no such user"):
        with pytest.raises(whizbang.NotAuthorized):
            whizbang.send(CloseEverything(), user=sender)
    user.user_permissions.add(Permission.objects.get(codename="close_everything"))
    user = User.objects.get(pk=user.pk)
    assert whizbang.send(CloseEverything(), user=user) == 0
    assert whizbang.send(CloseEverything(), user=str(user.pk)) == 0


def test_domain_that_nobody_owns_is_an_ownership_error() -> None:
    with override_settings(WHIZBANG={"OWNS": ["shop"]}):
        for verb in (whizbang.send, whizbang.publish, whizbang.dispatch):
            with pytest.raises(whizbang.OwnershipError, match="elsewhere"):
                verb(CallElsewhere())
        assert open_order() == "1"


def test_recording_an_event_of_another_domain_is_an_ownership_error() -> None:
    with pytest.raises(whizbang.OwnershipError, match="another domain"):
        Order("1").record(HappenedElsewhere())


def test_command_without_handler_says_so() -> None:
    with pytest.raises(whizbang.HandlerNotFound, match=r"elsewhere\.CallElsewhere"):
        whizbang.send(CallElsewhere())


def test_query_is_answered() -> None:
    assert whizbang.query(CountOrders()) == 0


def test_send_in_a_running_loop_names_asend() -> None:
    async def wrong() -> None:
        whizbang.send(OpenOrder(order_id="1"))

    with pytest.raises(whizbang.WrongMode, match="asend"):
        async_to_sync(wrong)()


def test_asend_gives_the_result() -> None:
    async def right() -> str:
        return await whizbang.asend(OpenOrder(order_id="1"))

    assert async_to_sync(right)() == "1"
    assert len(events_of("1")) == 1


def test_command_costs_no_more_statements_than_by_hand() -> None:
    """Savepoint, read stream, append, read row, write row, release: nothing else."""
    open_order()
    open_order("2")
    with CaptureQueriesContext(
        connection,
    ) as captured:
        open_order("3")
    statements = [q["sql"] for q in captured if "SAVEPOINT" not in q["sql"]]
    assert len(statements) == 4, statements
