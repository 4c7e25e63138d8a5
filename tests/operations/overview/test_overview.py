"""The overview: whether all is well, and what is not, in few statements."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import whizbang
from tests.operations.overview.samples import NAME, sample
from tests.shop.messages import OrderNoted
from whizbang.models import (
    ActionRequest,
    MetricSample,
    Partition,
    StoreHead,
    Subscription,
    WorkerProcess,
)
from whizbang.operations.overview.overview import Overview, read_overview
from whizbang.operations.overview.presence import Presence
from whizbang.operations.overview.subscription_state import SubscriptionState
from whizbang.operations.overview.trouble import Place
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _worker(db: None) -> None:
    """One is there, and has measured."""
    drain()
    note()
    StoreHead.objects.update(published_at=None)  # whoever looks settles it
    head = whizbang.event_store().head()
    Partition.objects.update(position=head)  # positions of other tests' events are drawn and gone
    sample(seconds_ago=70, head=head)
    sample(seconds_ago=10, head=head)
    Presence("one", using="default", parts=["events"], state=lambda: "ok").tell()


def note(count: int = 1) -> None:
    events = [OrderNoted(order_id="1", text="a")] * count
    whizbang.event_store().append("shop.Order-1", events)


def state_of(found: Overview, name: str = NAME) -> SubscriptionState:
    return next(state for state in found.subscriptions if state.name == name)


def texts(found: Overview) -> str:
    return "\n".join(trouble.text for trouble in found.troubles)


def lag(*, was: int, now: int) -> None:
    """The newest samples say so, and it is true."""
    note(now)
    Partition.objects.exclude(subscription=NAME).update(position=whizbang.event_store().head())
    sample(seconds_ago=50, lag=was, head=100)
    sample(seconds_ago=5, lag=now, head=190)


def test_all_is_well() -> None:
    found = read_overview()
    assert found.is_well and not found.troubles
    assert found.measured_seconds == pytest.approx(10, abs=5)
    assert state_of(found).lag_events == 0
    assert state_of(found).seconds_to_catch_up == 0.0


def test_lag_is_that_of_now_and_its_seconds_and_rates_are_measured() -> None:
    lag(was=165, now=120)
    found = read_overview()
    state = state_of(found)
    assert (state.lag_events, state.lag_seconds) == (120, 120.0)
    assert state.seconds_to_catch_up == pytest.approx(120, abs=1)  # by one event a second
    assert found.events_per_second == pytest.approx(2, abs=0.1)
    assert state.lags[-1] == 165
    assert "is 120 s behind, and catches up" in texts(found)
    assert not found.troubles[0].is_urgent


def test_lag_that_grows_is_urgent_and_leads_to_its_subscription() -> None:
    lag(was=61, now=80)
    trouble = read_overview().troubles[0]
    assert "does not come nearer" in trouble.text and trouble.is_urgent
    assert (trouble.place, trouble.name) == (Place.SUBSCRIPTION, NAME)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"error": "It broke."}, "stands still with an error"),
        ({"status": "paused"}, "is paused"),
        ({"version": 99}, "needs a rebuild"),
    ],
)
def test_subscription_that_needs_somebody_is_told(change: dict[str, Any], text: str) -> None:
    Subscription.objects.filter(name=NAME).update(**change)
    assert f"{NAME} {text}" in texts(read_overview())


def test_subscription_without_a_row_has_not_begun() -> None:
    Subscription.objects.filter(name=NAME).delete()
    found = read_overview()
    assert state_of(found).lag_events is None
    assert "has not begun" in texts(found)


@pytest.mark.parametrize(
    ("figures", "text", "place", "is_urgent"),
    [
        ({"dead_letters": 1}, "1 dead letter waits", Place.DEAD_LETTERS, False),
        ({"dead_letters": 100_000}, "100,000+ dead letters wait", Place.DEAD_LETTERS, False),
        ({"parked": 2}, "2 streams are parked", Place.PARKED, False),
        ({"outbox": 1, "outbox_oldest_seconds": 90.0}, "waits for 90 s", Place.OUTBOX, True),
        ({"timeouts_overdue": 3}, "3 timeouts of sagas are overdue", Place.SAGAS, True),
        ({"timeouts_failed": 1}, "1 timeout of a saga has failed", Place.SAGAS, False),
    ],
)
def test_figures_that_need_somebody_are_told(
    figures: dict[str, Any], text: str, place: Place, is_urgent: bool
) -> None:
    sample(seconds_ago=0, **figures)
    trouble = read_overview().troubles[0]
    assert text in trouble.text
    assert (trouble.place, trouble.is_urgent) == (place, is_urgent)


def test_outbox_row_that_is_young_is_no_trouble() -> None:
    sample(seconds_ago=0, outbox=5, outbox_oldest_seconds=2.0)
    assert read_overview().is_well


def test_requests_that_wait_for_a_second_person_are_told() -> None:
    known: dict[str, Any] = {"parameters": {}, "seen": {}, "status": "waiting"}
    ActionRequest.objects.create(action="pause", target="x", **known)
    assert "1 request waits for approval" in texts(read_overview())


def test_worker_that_was_lost_is_news_for_a_while() -> None:
    lost = timezone.now() - timedelta(seconds=60)
    WorkerProcess.objects.create(
        name="two",
        service="s",
        host="h",
        process_id=1,
        parts="events",
        state="ok",
        started_at=lost,
        seen_at=lost,
    )
    assert "1 worker was lost lately" in texts(read_overview())
    WorkerProcess.objects.filter(name="two").update(seen_at=timezone.now() - timedelta(hours=1))
    assert read_overview().is_well
    WorkerProcess.objects.filter(name="two").update(seen_at=timezone.now(), state="stuck")
    assert "1 worker is stuck" in texts(read_overview())


class TestWithoutWorker:
    @pytest.fixture(autouse=True)
    def _nobody(self, _worker: None) -> None:
        old = timezone.now() - timedelta(minutes=10)
        MetricSample.objects.update(at=old)
        WorkerProcess.objects.update(seen_at=old)

    def test_it_is_urgent_and_said_once(self) -> None:
        note(100)
        found = read_overview()
        assert [t.place for t in found.troubles] == [Place.WORKERS]
        assert found.troubles[0].is_urgent

    def test_figures_are_read_now(self) -> None:
        note(3)
        found = read_overview()
        assert found.measured_seconds == 0.0
        assert state_of(found).lag_events == 3
        assert state_of(found).lag_seconds is not None
        assert found.events_per_second is None

    def test_a_sample_that_is_young_tells_that_one_worked(self) -> None:
        """Celery's tasks are workers for seconds."""
        WorkerProcess.objects.all().delete()
        sample(seconds_ago=20)
        assert read_overview().is_well


def test_head_is_the_published_one_while_somebody_publishes() -> None:
    note()
    StoreHead.objects.update(position=1, published_at=timezone.now())
    assert read_overview().head == 1
    StoreHead.objects.update(published_at=timezone.now() - timedelta(minutes=1))
    assert read_overview().head == whizbang.event_store().head()


def test_statements_are_few_however_many_subscriptions_lag() -> None:
    lag(was=165, now=120)
    Partition.objects.update(position=0)
    StoreHead.objects.update(position=whizbang.event_store().head(), published_at=timezone.now())
    read_overview()
    with CaptureQueriesContext(connection) as captured:
        found = read_overview()
    assert len(found.subscriptions) > 5
    assert len(captured) <= 12


def test_command_tells_people_and_machines() -> None:
    out = StringIO()
    call_command("whizbang", "overview", stdout=out)
    assert out.getvalue().startswith("All is well.")
    sample(
        seconds_ago=0,
        dead_letters=2,
        letter_groups=[{"type": "shop.OpenOrder", "reason": "boom", "letters": 2}],
    )
    out = StringIO()
    call_command("whizbang", "overview", stdout=out)
    shown = out.getvalue()
    assert "2 dead letters wait" in shown and "manage.py whizbang deadletters" in shown
    assert "2 shop.OpenOrder: boom" in shown
    out = StringIO()
    call_command("whizbang", "overview", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["is_well"] is False
    assert found["figures"]["dead_letters"] == 2
    assert found["troubles"][0]["place"] == "dead letters"


def test_watching_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whizbang.management.verbs.overview.time.sleep", stop)
    out = StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("whizbang", "overview", "--watch", "1", stdout=out)
    assert "All is well." in out.getvalue()
