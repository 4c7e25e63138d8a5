"""What happens when orders is asked for something."""

from __future__ import annotations

import whizbang
from projects.example.fates import Fate, fate_of
from projects.example.orders.aggregates import Order
from projects.example.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    GetOrder,
    GiveUpOrder,
    OrderDetails,
    PlaceOrder,
)
from projects.example.orders.models import TrackedOrder
from whizbang import Context, Rejected, handles

CHANGED_MIND = "the customer changed their mind"


class OrderUnknown(Rejected):
    def __init__(self, order_id: str) -> None:
        super().__init__(f"There is no order {order_id}, or it was placed a moment ago: ask again.")


@handles(PlaceOrder)
def place_order(command: PlaceOrder, context: Context) -> str:
    order = context.load(Order, command.order_id)
    order.place(customer_id=command.customer_id, lines=command.lines)
    return order.id


@handles(CancelOrder)
def cancel_order(command: CancelOrder, context: Context) -> None:
    context.require(Order, command.order_id).cancel(reason=command.reason)


@handles(ConfirmOrder)
def confirm_order(command: ConfirmOrder, context: Context) -> None:
    order = context.require(Order, command.order_id)
    if fate_of(order.id) is Fate.CANCELLED and order.status == "placed":
        # As if the customer had been a moment faster.
        whizbang.send(CancelOrder(order_id=order.id, reason=CHANGED_MIND))
    order.confirm()


@handles(GiveUpOrder)
def give_up_order(command: GiveUpOrder, context: Context) -> None:
    context.require(Order, command.order_id).give_up(reason=command.reason)


@handles(GetOrder)
def get_order(query: GetOrder, context: Context) -> OrderDetails:
    row = TrackedOrder.objects.filter(order_id=query.order_id).first()
    if row is None:
        raise OrderUnknown(query.order_id)
    return OrderDetails(
        order_id=row.order_id,
        customer_id=row.customer_id,
        status=row.status,
        quantity=row.quantity,
        total=row.total,
        currency=row.currency,
        ordered_at=row.ordered_at,
    )
