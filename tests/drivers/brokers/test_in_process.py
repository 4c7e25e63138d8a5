"""The broker that is a database, by the suite of every broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from whizbang.drivers.brokers.base import Broker
from whizbang.drivers.brokers.in_process import InProcessBroker
from whizbang.models import QueuedMessage
from whizbang.testing.conformance.broker import BrokerContract

pytestmark = pytest.mark.django_db


class TestInProcessBroker(BrokerContract):
    @pytest.fixture
    def prefix(self) -> str:
        return f"suite-{uuid4().hex[:8]}"

    @pytest.fixture
    def make_broker(self, prefix: str) -> Callable[..., Broker]:
        def make(service: str, **options: Any) -> Broker:
            return InProcessBroker(using=connection.alias, options={"prefix": prefix, **options})

        return make

    @pytest.fixture
    def send_raw(self, prefix: str) -> Callable[[str, bytes], None]:
        def send(service: str, body: bytes) -> None:
            QueuedMessage.objects.create(queue=f"{prefix}.{service}", body=body)

        return send
