"""The form that places an order. What an order may be is said by the message, not here."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django import forms

import whizbang
from projects.example.orders.messages import Line, PlaceOrder


def suggest_order_id() -> str:
    return f"web-{uuid4().hex[:8]}"


class OrderForm(forms.Form):
    order_id = forms.CharField(initial=suggest_order_id)
    customer_id = forms.CharField()
    quantity = forms.IntegerField(initial=1, label="CDs")
    amount = forms.DecimalField(initial="12.00", label="Amount (US dollars)")

    def place(self, *, user: Any) -> str | None:
        """Send the order and give its id; None when it was refused, and the form says why."""
        data = self.cleaned_data
        line = Line(sku="CD", quantity=data["quantity"], amount=data["amount"])
        order = PlaceOrder(order_id=data["order_id"], customer_id=data["customer_id"], lines=[line])
        try:
            return whizbang.send(order, user=user)
        except (whizbang.Rejected, whizbang.InvalidMessage) as refusal:
            self.add_error(None, str(refusal))
            return None
