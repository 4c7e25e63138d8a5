"""Credentials of a broker: an operator is told what is wrong with it, and nowhere with which password."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

import whizbang
from tests.noida_server import free_port
from tests.shop.messages import CallElsewhere, OrderNoted
from whizbang.models import OutboxMessage, Subscription
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
PASSWORD = "hunter2"
DRIVERS = "whizbang.drivers.brokers"


def rabbitmq(port: int) -> dict[str, Any]:
    url = f"amqp://ada:{PASSWORD}@127.0.0.1:{port}/%2F"
    return {"BACKEND": f"{DRIVERS}.rabbitmq.RabbitMQBroker", "OPTIONS": {"url": url}}


def redis(port: int) -> dict[str, Any]:
    url = f"redis://ada:{PASSWORD}@127.0.0.1:{port}/0"
    return {"BACKEND": f"{DRIVERS}.redis.RedisBroker", "OPTIONS": {"url": url}}


def kafka(port: int) -> dict[str, Any]:
    pytest.importorskip("confluent_kafka")
    security = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ada",
        "sasl.password": PASSWORD,
    }
    options = {
        "bootstrap_servers": f"127.0.0.1:{port}",
        "security": security,
        "timeout_seconds": 1,
    }
    return {"BACKEND": f"{DRIVERS}.kafka.KafkaBroker", "OPTIONS": options}


@pytest.mark.parametrize(
    "configure", [rabbitmq, redis, pytest.param(kafka, marks=pytest.mark.soak)]
)
def test_password_is_neither_logged_nor_stored_nor_shown(
    configure: Any, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WHIZBANG = {
        "SERVICE": "here",
        "OWNS": ["shop"],
        "SERVICES": {"there": {"OWNS": ["elsewhere"], "LISTENS_TO": ["shop"]}},
        "BROKERS": {"default": configure(free_port())},
    }
    caplog.set_level(logging.DEBUG)
    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text="a")])
    whizbang.publish(CallElsewhere(text="b"))
    drain()
    assert OutboxMessage.objects.filter(published_at__isnull=True).count() == 1
    told = Subscription.objects.get(name="whizbang.topic.shop").error
    assert "not available" in told
    assert "not available" in caplog.text
    shown = told + caplog.text + run("status") + run("status", "--json") + run("topology", "--json")
    assert told in run("status", "--json")
    assert PASSWORD not in shown + "".join(pages())


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("whizbang", *arguments, stdout=out)
    return out.getvalue()


def pages() -> list[str]:
    """Every list of the console, the page of the subscription that waits, and the overview."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    subscription = Subscription.objects.get(name="whizbang.topic.shop")
    urls = [
        reverse(f"admin:whizbang_{name}_changelist")
        for name in ("subscription", "inboxmessage", "deadletter", "operatoraction")
    ]
    urls.append(reverse("admin:whizbang_subscription_change", args=[subscription.pk]))
    urls.append(reverse("admin:index"))
    found = [client.get(url) for url in urls]
    assert {page.status_code for page in found} == {200}
    return [page.text for page in found]
