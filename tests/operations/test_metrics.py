"""Gauges of where everything stands, as an OpenTelemetry SDK collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from opentelemetry.sdk.metrics.export import Gauge

import whizbang
from tests.collected import collecting
from tests.shop.messages import OrderNoted
from whizbang.models import DeadLetter, Lease, Subscription
from whizbang.operations.metrics import MetricsPart
from whizbang.operations.worker import Worker

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
Collect = Callable[[], dict[str, dict[str, float]]]


@pytest.fixture
def collect() -> Iterator[Collect]:
    """What is collected now: values by gauge and by what they are of."""

    def collect_now() -> dict[str, dict[str, float]]:
        data: Any = collected.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: {
                str(next(iter(point.attributes.values()))): point.value
                for point in metric.data.data_points
            }
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if isinstance(metric.data, Gauge)
        }

    with collecting(spans=False) as collected:
        yield collect_now


def make_part(owner: str = "one") -> MetricsPart:
    return MetricsPart(whizbang.event_store(), owner)


def test_lag_and_queues_are_collected(collect: Collect, drain: Callable[..., Any]) -> None:
    store = whizbang.event_store()
    store.append("shop.Order-1", [OrderNoted(order_id="1", text="poison")])
    drain()
    store.append("shop.Order-2", [OrderNoted(order_id="2", text="a")])
    make_part().run_once()
    found = collect()
    assert found["whizbang.projection.lag"][NAME] == 1
    assert found["whizbang.projection.lag_time"][NAME] >= 0
    assert found["whizbang.parked.count"][NAME] == 1
    assert found["whizbang.dead_letter.count"]["default"] == DeadLetter.objects.count()
    assert found["whizbang.outbox.oldest_age"]["default"] == 0


def test_unknown_lag_is_absent(collect: Collect) -> None:
    Subscription.objects.filter(name=NAME).delete()
    make_part().run_once()
    found = collect()
    assert NAME not in found.get("whizbang.projection.lag", {})
    assert NAME not in found.get("whizbang.projection.lag_time", {})


def test_one_worker_tells_them_and_another_when_it_is_gone(collect: Collect) -> None:
    first, second = make_part("one"), make_part("two")
    first.run_once()
    second.run_once()
    assert collect() == {}  # the second said that it has nothing to say, in the same process
    Lease.objects.filter(name="whizbang.metrics").update(expires_at=Now() - timedelta(seconds=1))
    second._next_at = 0.0
    second.run_once()
    assert NAME in collect()["whizbang.projection.lag"]
    second.close()
    assert collect() == {}


def test_worker_measures(collect: Collect) -> None:
    worker = Worker()
    worker.run_once()
    assert NAME in collect()["whizbang.projection.lag"]
    worker.close()


def test_nobody_measures_where_nobody_collects(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        make_part().run_once()
