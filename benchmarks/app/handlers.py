from __future__ import annotations

from benchmarks.app.aggregates import Cart
from benchmarks.app.messages import (
    AddItem,
    AskNothing,
    CountCart,
    DoNothing,
    DoNothingInTransaction,
)
from benchmarks.app.models import CartTotal
from whizbang import Context, handles


@handles(DoNothing, atomic=False)
def do_nothing(command: DoNothing, context: Context) -> None:
    return None


@handles(DoNothingInTransaction)
def do_nothing_in_transaction(command: DoNothingInTransaction, context: Context) -> None:
    return None


@handles(AskNothing)
def ask_nothing(query: AskNothing, context: Context) -> None:
    return None


@handles(AddItem)
def add_item(command: AddItem, context: Context) -> int:
    cart = context.require(Cart, command.cart_id)
    cart.add(sku=command.sku, quantity=command.quantity, amount=command.amount)
    return cart.quantity


@handles(CountCart)
def count_cart(command: CountCart, context: Context) -> None:
    CartTotal.objects.bulk_create(
        [CartTotal(cart_id=command.cart_id, quantity=command.quantity)],
        update_conflicts=True,
        unique_fields=["cart_id"],
        update_fields=["quantity"],
    )
