"""Rate limits: how many messages of a handler the workers of a service take."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import override_settings

import whizbang
from tests.messaging.handlers import Declare
from tests.shop.messages import CountOrders, NoteOrder, OpenOrder
from whizbang import handles
from whizbang.messaging.claims import claim_due, give_back
from whizbang.messaging.processing import InboxProcessor
from whizbang.models import DeadLetter, InboxMessage, RateLimit, StoredEvent
from whizbang.operations.worker import Worker
from whizbang.routing.rate import parse_rate

pytestmark = pytest.mark.django_db


def publish(count: int, *, start: int = 0, **known: Any) -> None:
    for number in range(start, start + count):
        whizbang.publish(NoteOrder(order_id=str(number), text=str(number)), **known)


def pass_time(seconds: float) -> None:
    """Move all due times and tokens into the past instead of the clock into the future."""
    by = timedelta(seconds=seconds)
    InboxMessage.objects.update(available_at=F("available_at") - by, token_at=F("token_at") - by)
    RateLimit.objects.update(next_at=F("next_at") - by)


def claim(limit: int = 500) -> list[InboxMessage]:
    return claim_due(using="default", limit=limit)


def handle(rows: list[InboxMessage]) -> None:
    InboxMessage.objects.filter(pk__in=[row.pk for row in rows]).update(
        status="handled", finished_at=F("occurred_at"), ordering_key=None
    )


def take() -> list[int]:
    rows = claim()
    handle(rows)
    return [row.pk for row in rows]


def test_what_is_over_the_limit_stays_stored_for_later_and_uses_no_attempt(
    declare: Declare,
) -> None:
    declare(NoteOrder, rate=parse_rate("100/m"))  # a token each 0.6 s, ten at once
    publish(25)
    ids = list(InboxMessage.objects.order_by("id").values_list("pk", flat=True))
    assert [row.pk for row in claim()] == ids[:10]
    waiting = list(InboxMessage.objects.filter(status="stored").order_by("available_at"))
    assert [row.pk for row in waiting] == ids[10:]
    assert {row.attempts for row in waiting} == {0}
    times = [row.available_at for row in waiting]
    gaps = {later - sooner for sooner, later in zip(times, times[1:], strict=False)}
    assert gaps == {timedelta(seconds=0.6)}


def test_other_types_go_on_though_a_whole_claim_is_over_the_limit(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    publish(30)
    whizbang.publish(OpenOrder(order_id="1"))
    assert [row.type for row in claim(limit=5)] == ["shop.NoteOrder"]
    assert [row.type for row in claim(limit=5)] == ["shop.OpenOrder"]
    assert claim(limit=5) == []


def test_worker_until_idle_ends_and_leaves_what_is_over_the_limit(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("2/m"))
    publish(3)
    assert Worker().run(until_idle=True)["commands"] == 1
    assert InboxMessage.objects.filter(status="stored").count() == 2


def test_batch_is_limited_too_and_what_may_run_is_one_batch(
    declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = InboxProcessor._handle_batch
    monkeypatch.setattr(
        InboxProcessor,
        "_handle_batch",
        lambda self, rows: (sizes.append(len(rows)), plain(self, rows))[1],
    )
    declare(NoteOrder, rate=parse_rate("100/m"))
    whizbang.publish_batch(NoteOrder(order_id=str(n), text="a") for n in range(40))
    InboxProcessor(whizbang.event_store()).run_once()
    assert sizes == [10]
    assert StoredEvent.objects.count() == 10
    pass_time(6)
    InboxProcessor(whizbang.event_store()).run_once()
    assert sizes == [10, 10]


def test_inline_send_is_not_limited(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    for number in range(3):
        whizbang.send(NoteOrder(order_id=str(number), text="a"))
    assert StoredEvent.objects.count() == 3


def test_what_comes_later_does_not_overtake_what_waits(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("60/m"))
    publish(20)
    order = take()
    publish(20, start=20)
    for _ in range(80):
        pass_time(1)
        order += take()
    assert order == sorted(order)
    assert len(order) == 40


@pytest.mark.parametrize("text", ["60/m", "7/m", "5/s", "300/h"])
def test_no_period_sees_more_than_the_limit_allows(declare: Declare, text: str) -> None:
    """Whenever workers look, whatever fails or comes late; and nothing is lost."""
    seed = random.randrange(2**32)
    chosen = random.Random(seed)
    rate = parse_rate(text)
    assert rate is not None
    declare(NoteOrder, rate=rate)
    now, taken, period = 0.0, [], rate.period.total_seconds()
    publish(40)
    while InboxMessage.objects.filter(finished_at__isnull=True).exists():
        step = chosen.choice([0.01, 0.2, 1, 3]) * rate.interval.total_seconds()
        step *= chosen.choice([1, 1, 1, 10])  # at times nobody works for long
        now += step
        pass_time(step)
        if chosen.random() < 0.2 and InboxMessage.objects.count() < 80:
            publish(10, start=InboxMessage.objects.count())
        rows = claim(limit=chosen.randint(1, 50))
        taken += [now] * len(rows)
        given_back = [row for row in rows if chosen.random() < 0.1]
        give_back(given_back, using="default")
        handle([row for row in rows if row not in given_back])
    allowed = (rate.period + rate.slack) / rate.interval + 1
    most = max(sum(at <= one < at + period for one in taken) for at in taken)
    assert most <= allowed, seed
    assert InboxMessage.objects.filter(status="handled").count() >= 40


def test_a_long_pause_is_no_credit(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("60/m"))
    publish(100)
    assert len(take()) == 6
    pass_time(3600)
    assert len(take()) == 6


def test_retry_takes_a_token_of_its_own(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    publish(1)
    (row,) = claim()
    InboxMessage.objects.update(status="retrying", available_at=row.available_at)
    assert claim() == []
    assert InboxMessage.objects.get().attempts == 1


def test_retry_of_what_was_held_back_does_not_use_its_token_again(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("60/m"))
    publish(7)
    take()
    pass_time(1)
    assert len(claim()) == 1
    InboxMessage.objects.filter(status="running").update(
        status="retrying", available_at=F("token_at") + timedelta(microseconds=1)
    )
    assert claim() == []


def test_held_back_head_holds_its_ordering_key(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    publish(2, ordering_key="k")
    whizbang.publish(OpenOrder(order_id="1"), ordering_key="k")
    handle(claim())
    assert claim() == []
    waiting = InboxMessage.objects.filter(ordering_key="k").order_by("id")
    assert [row.type for row in waiting] == ["shop.NoteOrder", "shop.OpenOrder"]


def test_message_that_expires_while_it_is_held_back_is_not_handled(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    publish(2, expires=timedelta(minutes=1))
    handle(claim())
    pass_time(3600)
    InboxMessage.objects.update(expires_at=F("available_at") - timedelta(minutes=1))
    claim()
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"handled", "expired"}


def test_services_on_one_database_have_limits_of_their_own(declare: Declare) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    for service in ("one", "two"):
        with override_settings(WHIZBANG={"SERVICE": service}):
            publish(2)
            assert len(claim()) == 1


def test_drain_does_not_wait_for_limits(declare: Declare, drain: Callable[..., Any]) -> None:
    declare(NoteOrder, rate=parse_rate("1/h"))
    publish(5)
    assert drain().commands == 5
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize(
    ("text", "count", "seconds"), [("1/s", 1, 1), ("100/m", 100, 60), ("999999/h", 999999, 3600)]
)
def test_rate_is_a_number_and_a_period(text: str, count: int, seconds: int) -> None:
    rate = parse_rate(text)
    assert rate is not None
    assert (rate.count, rate.period) == (count, timedelta(seconds=seconds))


def test_rate_limit_is_checked_where_it_is_declared() -> None:
    for text in (
        "0/s",
        "100",
        "100/d",
        "1.5/s",
        "-1/s",
        "100 / m",
        "1000000/s",
        "١/s",
        "1/s\n",
        "",
    ):
        with pytest.raises(ValueError, match="write N/s, N/m or N/h"):
            handles(NoteOrder, rate_limit=text)
    with pytest.raises(TypeError, match="'100/m'"):
        handles(NoteOrder, rate_limit=100)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="never waits in a queue"):
        handles(CountOrders, rate_limit="1/s")
