from __future__ import annotations

import time

import whizbang
from tests.shop.aggregates import Order
from tests.shop.gate import wait_at_gate
from tests.shop.messages import (
    CloseEverything,
    CloseOrder,
    CountOrders,
    NoteOrder,
    OpenOrder,
    OrderGone,
    OrderNoted,
    OrderOpened,
    PassGate,
    PassGateOutside,
    ShipOrder,
    TakeLong,
    TakeLongOutside,
    TouchOrder,
)
from tests.shop.models import Heard, OrderSummary
from whizbang import Context, handles, subscribes


@handles(OpenOrder)
def open_order(command: OpenOrder, context: Context) -> str:
    order = context.load(Order, command.order_id)
    order.open(command.customer_id, command.lines)
    return order.id


@handles(ShipOrder)
async def ship_order(command: ShipOrder, context: Context) -> None:
    order = await context.arequire(Order, command.order_id)
    order.record(OrderGone(order_id=order.id))


@handles(NoteOrder)
def note_order(command: NoteOrder, context: Context) -> int:
    order = context.load(Order, command.order_id)
    order.record(OrderNoted(order_id=order.id, text=command.text))
    Heard.objects.create(text=f"handled {command.text}")
    if command.text == "fail":
        raise RuntimeError("The handler fails half-way.")
    return len(order.notes)


@handles(CloseOrder)
def close_order(command: CloseOrder, context: Context) -> str:
    """Opens by a nested send what is not there, and ships it after the commit."""
    order = context.load(Order, command.order_id)
    if order.status == "new":
        whizbang.send(OpenOrder(order_id=command.order_id))
    context.send(ShipOrder(order_id=command.order_id))
    return order.status


@handles(TouchOrder, atomic=False)
def touch_order(command: TouchOrder, context: Context) -> str:
    order = context.load(Order, command.order_id)
    order.record(OrderNoted(order_id=order.id, text="touched"))
    return "touched"


@handles(TakeLong)
def take_long(command: TakeLong, context: Context) -> None:
    Heard.objects.create(text="started")
    time.sleep(command.seconds)


@handles(TakeLongOutside, atomic=False)
def take_long_outside(command: TakeLongOutside, context: Context) -> None:
    Heard.objects.create(text="started")
    time.sleep(command.seconds)


@handles(PassGate)
def pass_gate(command: PassGate, context: Context) -> None:
    wait_at_gate(command.name)


@handles(PassGateOutside, atomic=False)
def pass_gate_outside(command: PassGateOutside, context: Context) -> None:
    wait_at_gate(command.name)


@handles(CloseEverything)
def close_everything(command: CloseEverything, context: Context) -> int:
    return 0


@handles(CountOrders)
def count_orders(query: CountOrders, context: Context) -> int:
    return OrderSummary.objects.count()


@subscribes(OrderOpened)
def hear_opened(event: OrderOpened, context: Context) -> None:
    Heard.objects.create(text=f"opened {event.order_id}")
    if event.customer_id == "ship me":
        context.send(ShipOrder(order_id=event.order_id))


@subscribes(OrderOpened, delivery="inline")
def note_vip(event: OrderOpened, context: Context) -> None:
    if event.customer_id == "vip":
        context.load(Order, event.order_id).record(OrderNoted(order_id=event.order_id, text="vip"))
