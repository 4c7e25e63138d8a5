"""What an operator does with a subscription: skip, pause, resume, and seeing that its model changed."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import models
from django.utils.translation import gettext_lazy

import whizbang
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from tests.shop.projections import OrderSummaries
from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SkippedEvent, Subscription
from whizbang.operations.parked import skip_parked
from whizbang.operations.rebuild import rebuild_here, request_rebuild
from whizbang.operations.status import subscription_statuses
from whizbang.operations.subscriptions import pause, resume
from whizbang.projections.fingerprint import fingerprint_of
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"
STREAM = "shop.Order-1"


def note(*texts: str) -> None:
    events = [OrderNoted(order_id="1", text=text) for text in texts]
    whizbang.event_store().append(STREAM, events)


def notes() -> int:
    return OrderSummary.objects.get(order_id="1").notes


def needs_rebuild() -> bool:
    return next(s for s in subscription_statuses() if s.name == NAME).needs_rebuild


# Skip


def test_skip_goes_on_behind_the_event_and_says_who_and_why(drain: Drain) -> None:
    note("a", "poison", "b")
    drain()
    note("c")
    skipped = skip_parked(NAME, stream=STREAM, reason="A typo, ticket 7.", skipped_by="ada")
    drain()
    assert notes() == 3 and not ParkedStream.objects.exists()
    assert (skipped.version, skipped.reason, skipped.skipped_by) == (2, "A typo, ticket 7.", "ada")
    assert "cannot be projected" in skipped.error
    note("d")
    drain()
    assert notes() == 4


def test_skip_of_the_last_event_leaves_nothing_parked(drain: Drain) -> None:
    note("a", "poison")
    drain()
    skip_parked(NAME, stream=STREAM, reason="A typo.")
    drain()
    assert notes() == 1 and not ParkedStream.objects.exists()


def test_each_poison_is_skipped_by_itself(drain: Drain) -> None:
    note("a", "poison", "poison", "b")
    drain()
    skip_parked(NAME, stream=STREAM, reason="A typo.")
    drain()
    assert ParkedStream.objects.get().version == 3
    skip_parked(NAME, stream=STREAM, reason="Another one.")
    drain()
    assert notes() == 2
    assert sorted(SkippedEvent.objects.values_list("version", flat=True)) == [2, 3]


def test_skip_needs_a_reason_and_a_parked_stream(drain: Drain) -> None:
    note("a", "poison")
    drain()
    with pytest.raises(ValueError, match="reason"):
        skip_parked(NAME, stream=STREAM, reason=" ")
    with pytest.raises(WhizbangError, match="is not parked"):
        skip_parked(NAME, stream="shop.Order-2", reason="A typo.")
    with pytest.raises(WhizbangError, match="No subscription"):
        skip_parked("shop.Nothing", stream=STREAM, reason="A typo.")
    assert ParkedStream.objects.count() == 1 and not SkippedEvent.objects.exists()


def test_skip_on_the_command_line(drain: Drain) -> None:
    note("poison", "b")
    drain()
    out = StringIO()
    call_command("whizbang", "skip", NAME, STREAM, "--reason", "A typo.", stdout=out)
    assert "left out" in out.getvalue()
    with pytest.raises(CommandError, match="reason"):
        call_command("whizbang", "skip", NAME, STREAM, "--reason", "")


# Pause and resume


def test_paused_subscription_stands_still_and_goes_on_from_there(drain: Drain) -> None:
    note("a")
    drain()
    call_command("whizbang", "pause", NAME, stdout=StringIO())
    note("b")
    drain()
    assert notes() == 1
    call_command("whizbang", "resume", NAME, stdout=StringIO())
    drain()
    assert notes() == 2


def test_resume_clears_the_error_that_stopped_it() -> None:
    pause(NAME)
    Subscription.objects.filter(name=NAME).update(error="It broke.")
    resume(NAME)
    row = Subscription.objects.get(name=NAME)
    assert (row.status, row.error) == ("active", "")


@pytest.mark.parametrize(
    ("name", "reason"), [("shop.CustomerTotals", "transaction"), ("shop.Nothing", "there are")]
)
def test_what_cannot_stand_still_is_refused(name: str, reason: str) -> None:
    with pytest.raises(WhizbangError, match=reason):
        pause(name)


# Fingerprints


def test_changed_model_needs_a_rebuild_and_serves_until_then(drain: Drain) -> None:
    note("a")
    drain()
    assert not needs_rebuild()
    Subscription.objects.filter(name=NAME).update(fingerprint="of another model")
    assert needs_rebuild() and notes() == 1
    note("b")
    drain()
    assert notes() == 2
    rebuild_here(request_rebuild(NAME)[0])
    assert not needs_rebuild() and notes() == 2


def test_row_from_before_fingerprints_takes_todays(drain: Drain) -> None:
    drain()
    Subscription.objects.filter(name=NAME).update(fingerprint="")
    assert not needs_rebuild()
    ensure_rows(all_definitions(whizbang.event_store()))
    row = Subscription.objects.get(name=NAME)
    assert row.fingerprint == fingerprint_of(OrderSummaries()) != ""


def test_only_what_is_stored_counts() -> None:
    class Fake:
        def __init__(self, **options: Any) -> None:
            field = models.CharField(**{"max_length": 9, **options})
            field.set_attributes_from_name("text")
            meta = type("Meta", (), {"db_table": "t", "concrete_fields": [field]})
            self.model = type("Model", (), {"_meta": meta})

    plain = fingerprint_of(Fake())
    assert plain == fingerprint_of(
        Fake(help_text="x", verbose_name=gettext_lazy("Text"), blank=True)
    )
    others = [Fake(max_length=10), Fake(null=True), Fake(default="a"), Fake(unique=True)]
    assert len({plain, *map(fingerprint_of, others)}) == 5
