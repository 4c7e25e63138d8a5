"""Where everything stands: lag, owner, who holds the log back, rates, and whether work gets done."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test import RequestFactory

import whizbang
from tests.drivers.stores.rows import run_together
from tests.shop.messages import OrderGone, OrderNoted
from whizbang.drivers.stores.postgres_tail import shape_of
from whizbang.health import health
from whizbang.models import DeadLetter, Lease, Partition, StoredEvent, Subscription
from whizbang.operations.health import check_health
from whizbang.operations.history import rewriting
from whizbang.operations.status import rates_between, subscription_statuses

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "shop.OrderSummaries"


def note(order_id: str = "1") -> None:
    whizbang.event_store().append(
        f"shop.Order-{order_id}", [OrderNoted(order_id=order_id, text="a")]
    )


def status_of(name: str) -> Any:
    return next(s for s in subscription_statuses() if s.name == name)


def make_older(**age: float) -> None:
    """As if all events had been recorded before."""
    with rewriting(reason="time has passed"):
        StoredEvent.objects.update(recorded_at=Now() - timedelta(**age))


def test_lag_is_told_in_events_and_seconds(drain: Callable[..., Any]) -> None:
    note()
    drain()
    assert (status_of(NAME).lag_events, status_of(NAME).lag_seconds) == (0, 0.0)
    note("2")
    note("2")
    make_older(seconds=90)
    found = status_of(NAME)
    assert found.lag_events == 2
    assert found.lag_seconds is not None and 85 < found.lag_seconds < 300


def test_events_that_it_does_not_want_make_it_no_older(drain: Callable[..., Any]) -> None:
    note()
    drain()
    name = next(s.name for s in subscription_statuses() if s.kind == "subscriber")
    Partition.objects.filter(subscription=name).update(position=0)
    assert status_of(name).lag_seconds == 0.0


def test_unknown_is_none() -> None:
    Subscription.objects.all().delete()
    found = status_of(NAME)
    assert (found.position, found.lag_events, found.lag_seconds, found.owner) == (None,) * 4
    assert status_of("shop.CustomerTotals").lag_seconds is None


def test_owner_is_who_holds_a_lease_that_runs() -> None:
    lease = Lease.objects.create(name=NAME, owner="worker-1", expires_at=None)
    assert status_of(NAME).owner is None
    Lease.objects.filter(pk=lease.pk).update(expires_at=Now() + timedelta(minutes=5))
    assert status_of(NAME).owner == "worker-1"
    Lease.objects.filter(pk=lease.pk).update(expires_at=Now() - timedelta(seconds=5))
    assert status_of(NAME).owner is None


@pytest.mark.requires_postgres
def test_status_names_who_holds_the_log_back_and_nobodys_values() -> None:
    def work(number: int) -> str:
        with transaction.atomic():
            note()
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT %s, 4711 AS secret", ["top secret"])
                cursor.execute("SELECT pg_backend_pid()")
                pid = cursor.fetchone()[0]
                cursor.execute("SELECT 'top secret' -- and a comment")
            out = StringIO()
            run_together(1, lambda _: call_command("whizbang", "status", stdout=out))
            return f"{pid}\n{out.getvalue()}"

    pid, _, shown = work(0).partition("\n")
    line = next(line for line in shown.splitlines() if "held back by" in line)
    assert f"pid {pid}" in line and "idle in transaction" in line and "open for" in line
    assert line.endswith("ran last: SELECT …") and "secret" not in shown


@pytest.mark.parametrize(
    ("statement", "shape"),
    [
        ("SELECT 1", "SELECT …"),
        ("UPDATE t1 SET a = $1\n  WHERE b = $2", "UPDATE t1 SET a = $1 WHERE b = $2"),
        ("INSERT INTO t VALUES ('it''s', 2)", "INSERT INTO t VALUES ( …"),
        (r"SELECT E'a\'secret'", "SELECT E …"),
        ("SELECT $tag$secret$tag$", "SELECT …"),
        ("DELETE FROM t /* secret */", "DELETE FROM t …"),
        ("x" * 300, "x" * 160 + " …"),
    ],
)
def test_values_of_statements_are_left_out(statement: str, shape: str) -> None:
    assert shape_of(statement) == shape


def test_rates_between_two_looks() -> None:
    def look(head: int, **positions: int | None) -> dict[str, Any]:
        return {
            "head": head,
            "subscriptions": [
                {"name": n, "position": p, "lag_events": None if p is None else head - p}
                for n, p in positions.items()
            ],
        }

    before = look(100, quick=0, slow=0, done=100, new=None)
    after = look(120, quick=100, slow=10, done=120, new=5, newer=1)
    assert rates_between(before, after, 2.0) == {
        "quick": (50.0, 20 / 40),
        "slow": (5.0, None),
        "done": (10.0, 0.0),
    }


def test_status_as_json_and_for_people(drain: Callable[..., Any]) -> None:
    note()
    drain()
    note()
    out = StringIO()
    call_command("whizbang", "status", "--json", stdout=out)
    found = next(s for s in json.loads(out.getvalue())["subscriptions"] if s["name"] == NAME)
    assert found["lag_events"] == 1 and "events_per_second" not in found
    out = StringIO()
    call_command("whizbang", "status", stdout=out)
    assert "lag 1 (" in out.getvalue() and "by nobody" in out.getvalue()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "week"])
def test_interval_of_watching_has_bounds(seconds: str) -> None:
    with pytest.raises(CommandError, match="--watch"):
        call_command("whizbang", "status", "--watch", seconds)


def test_all_is_well_until_an_event_waits_too_long(drain: Callable[..., Any]) -> None:
    drain()
    assert check_health().is_well
    note()
    make_older(seconds=90)
    found = check_health(max_lag_seconds=60)
    assert not found.is_well and found.late > 0
    assert check_health(max_lag_seconds=600).is_well
    Subscription.objects.update(status=Subscription.Status.PAUSED)
    assert check_health(max_lag_seconds=60).is_well


def test_what_waits_for_somebody_is_counted_and_what_stands_still_fails(
    drain: Callable[..., Any],
) -> None:
    whizbang.event_store().append(
        "shop.Order-1",
        [OrderNoted(order_id="1", text="poison"), OrderGone(order_id="1")],
    )
    drain()
    DeadLetter.objects.all().delete()
    found = check_health()
    assert (found.is_well, found.parked, found.stopped) == (True, 1, 0)
    Subscription.objects.filter(name=NAME).update(error="It broke.")
    assert not check_health().is_well


def test_subscription_without_a_row_is_late() -> None:
    Subscription.objects.all().delete()
    assert check_health().late > 0


def test_view_answers_what_a_load_balancer_understands(drain: Callable[..., Any]) -> None:
    drain()
    view, requests = health(max_lag_seconds=60), RequestFactory()
    response = view(requests.get("/health/"))
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert json.loads(response.content)["status"] == "ok"
    assert view(requests.post("/health/")).status_code == 405
    note()
    make_older(seconds=90)
    response = view(requests.get("/health/"))
    assert response.status_code == 503 and "shop." not in response.content.decode()


def test_view_says_that_the_tables_are_missing() -> None:
    with connection.schema_editor() as editor:
        editor.alter_db_table(Subscription, "whizbang_subscription", "elsewhere")
    try:
        response = health()(RequestFactory().get("/"))
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Subscription, "elsewhere", "whizbang_subscription")
    assert response.status_code == 503
    assert json.loads(response.content)["is_reachable"] is False
