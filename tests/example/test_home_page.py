from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

import whizbang
from tests.example.conftest import statuses

pytestmark = [pytest.mark.django_db, pytest.mark.urls("projects.example.urls")]
ORDER = {"order_id": "web-1", "customer_id": "c-1", "quantity": "2", "amount": "25.00"}


def page(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_empty_shop_says_so(client: Client) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert "No orders yet" in page(response)
    assert "<script" not in page(response)


def test_placed_order_is_shown_with_its_progress(
    client: Client, drain: Callable[[], object]
) -> None:
    response = client.post("/", ORDER)
    assert response.status_code == 302
    assert "Order web-1 is placed" in page(client.get("/"))

    drain()

    shown = page(client.get("/"))
    assert "<dt>Value</dt><dd>$25.00</dd>" in shown
    assert "<td>web-1</td><td>c-1</td>" in shown
    assert "<td>Shipped</td>" in shown


def test_order_remembers_who_placed_it(client: Client) -> None:
    user = User.objects.create_user("demo")
    client.force_login(user)

    client.post("/", ORDER)

    (recorded,) = whizbang.event_store().read_stream("orders.Order-web-1")
    assert recorded.meta.user == str(user.pk)


def test_refusal_of_the_domain_is_shown(client: Client) -> None:
    client.post("/", ORDER)

    response = client.post("/", ORDER)

    assert response.status_code == 422
    assert "Order web-1 was placed already" in page(response)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quantity": "0"}, "Expected `int` &gt;= 1"),
        ({"amount": "-1"}, "is not between 0 and 1000000"),
        ({"amount": "1.005"}, "is not in whole cents"),
        ({"customer_id": "x" * 65}, "of length &lt;= 64"),
        ({"quantity": "two"}, "Enter a whole number"),
    ],
)
def test_order_that_breaks_a_rule_is_not_placed(
    client: Client, drain: Callable[[], object], change: dict[str, str], reason: str
) -> None:
    response = client.post("/", {**ORDER, **change})

    assert response.status_code == 422
    assert reason in page(response)
    drain()
    assert statuses() == {}


@pytest.mark.parametrize("model", ["salesday", "customer", "trackedorder"])
def test_read_models_are_shown_in_the_admin_and_not_edited(
    admin_client: Client, drain: Callable[[], object], model: str
) -> None:
    admin_client.post("/", ORDER)
    drain()

    response = admin_client.get(f"/admin/orders/{model}/")

    assert response.status_code == 200
    assert "1 " in page(response)
    assert admin_client.get(f"/admin/orders/{model}/add/").status_code == 403
