"""The shop's home page: figures from the read models, and a form that sends a command."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from projects.example.orders.forms import OrderForm
from projects.example.orders.models import TrackedOrder
from projects.example.orders.reporting import find_outcomes, make_report

TOP_CUSTOMERS = 5
LATEST_ORDERS = 10


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    form = OrderForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        user = request.user if request.user.is_authenticated else None
        order_id = form.place(user=user)
        if order_id is not None:
            messages.success(
                request, f"Order {order_id} is placed; the figures follow in a moment."
            )
            return redirect("home")
    context = {
        "form": form,
        "report": make_report(top=TOP_CUSTOMERS),
        "outcomes": find_outcomes(),
        "latest_orders": find_latest_orders(),
    }
    return render(request, "orders/home.html", context, status=422 if form.errors else 200)


def find_latest_orders() -> list[TrackedOrder]:
    return list(
        TrackedOrder.objects.exclude(ordered_at=None).order_by("-ordered_at")[:LATEST_ORDERS]
    )
