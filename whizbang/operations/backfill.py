"""Backfill: give events of the past to one subscription again, on demand."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.messages.text import error_text
from whizbang.models import Backfill, Rebuild
from whizbang.operations.rebuild import open_rebuild
from whizbang.operations.scope import Scope, Section, fix_scope, section_to_plain
from whizbang.operations.subscriptions import find_subscription
from whizbang.projections.model import ModelProjection
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.checkpoint import hold_still
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows

Status = Backfill.Status
OPEN = (Status.REQUESTED, Status.RUNNING)
_FEWEST_TIMED = 100  # events of an earlier run that tell its speed


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """What a backfill would do: how many events, and about how long.

    `seconds` is None where nothing tells the speed. `refusal` says why it needs `force`, or is empty;
    `problem` is the error of the events that were tried, or is empty.
    """

    subscription: str
    events: int
    after: int
    until: int
    seconds: float | None
    refusal: str
    problem: str


def plan_backfill(
    subscription: str, scope: Scope, *, events_per_second: float | None = None
) -> BackfillPlan:
    """Count the events of a backfill and estimate its time; nothing is changed.

    The speed is that of the last run, else of a first batch which is applied and rolled back, for a
    ModelProjection; a rate limit makes it longer. Raises as `request_backfill`, but for `force`.
    """
    store = event_store()
    definition = _find(store, subscription)
    _check_rate(events_per_second)
    section = _fix(definition, scope)
    events = section.count(store)
    speed, problem = speed_of_last(definition), ""
    if speed is None and events and isinstance(_projection(definition), ModelProjection):
        speed, problem = _try_out(definition, section)
    speeds = [known for known in (speed, events_per_second) if known]
    return BackfillPlan(
        subscription=subscription,
        events=events,
        after=section.after,
        until=section.until,
        seconds=events / min(speeds) if speeds else 0.0 if not events else None,
        refusal=_refusal(definition),
        problem=problem,
    )


def request_backfill(
    subscription: str,
    scope: Scope,
    *,
    events_per_second: float | None = None,
    force: bool = False,
    requested_by: str = "",
    reason: str = "",
) -> tuple[Backfill, bool]:
    """Ask for a backfill, which a worker does; gives the run, and whether it is a new one.

    The scope is fixed now, and ends where the subscription stands: what comes behind is its own. Events
    are applied again, after whatever was applied already; so it takes a projection that says
    `is_repeatable = True`, or `force` from somebody who knows that these events were never applied. A
    subscription has one open run at most: who asks again gets that one, False.

    Raises WhizbangError for what cannot be backfilled.
    """
    store = event_store()
    definition = refuse_backfill(subscription, events_per_second=events_per_second, force=force)
    section = _fix(definition, scope)
    events = section.count(store)
    with transaction.atomic(using=definition.using):
        hold_still(definition)  # so that two who ask do so one after the other
        runs = Backfill.objects.using(definition.using)
        known = runs.filter(subscription=subscription, status__in=OPEN).first()
        if known is not None:
            return known, False
        last_rebuild = _last_rebuild(definition)
        run = runs.create(
            subscription=subscription,
            scope=section_to_plain(section),
            after=section.after,
            position=section.after,
            until=section.until,
            events=events,
            last_rebuild=last_rebuild,
            events_per_second=events_per_second,
            requested_by=requested_by,
            reason=reason,
        )
        return run, True


def refuse_backfill(
    subscription: str, *, events_per_second: float | None = None, force: bool = False
) -> SubscriptionDefinition:
    """Raise WhizbangError for what cannot be backfilled; else what it is that can be."""
    definition = _find(event_store(), subscription)
    _check_rate(events_per_second)
    refusal = _refusal(definition)
    if refusal and not force:
        raise WhizbangError(refusal)
    return definition


def open_backfill(subscription: str) -> Backfill | None:
    """The run of a subscription that is requested or running."""
    using = find_subscription(event_store(), subscription).using
    runs = Backfill.objects.using(using)
    return runs.filter(subscription=subscription, status__in=OPEN).first()


def cancel_backfill(subscription: str) -> Backfill:
    """End the open backfill of a subscription behind its batch at hand; what is applied stays.

    Raises WhizbangError where none is open.
    """
    definition = _find(event_store(), subscription)
    runs = Backfill.objects.using(definition.using)
    run = runs.filter(subscription=subscription, status__in=OPEN).first()
    if run is None or not runs.filter(pk=run.pk, status__in=OPEN).update(
        status=Status.CANCELLED, finished_at=Now()
    ):
        raise WhizbangError(f"No backfill of {subscription!r} is open.")
    run.refresh_from_db(using=definition.using)
    return run


def backfills(*, limit: int = 50) -> list[Backfill]:
    """The newest runs of all subscriptions."""
    found: list[Backfill] = []
    for using in aliases_of(all_definitions(event_store())):
        found.extend(Backfill.objects.using(using).order_by("-requested_at", "-id")[:limit])
    return sorted(found, key=lambda run: run.requested_at, reverse=True)[:limit]


def aliases_of(definitions: Iterable[SubscriptionDefinition]) -> list[str]:
    """The databases that hold their runs."""
    return list(dict.fromkeys(definition.using for definition in definitions))


def _find(store: EventStore, subscription: str) -> SubscriptionDefinition:
    definition = find_subscription(store, subscription)
    if definition.kind == "catalogue":
        raise WhizbangError(f"{subscription!r} keeps itself: it cannot be backfilled.")
    if definition.kind == "saga":
        raise WhizbangError(
            f"{subscription!r} is a saga: what it has heard before would make it send its commands once more. "
            "Where it begins is said by backfill_from, before its first `migrate`."
        )
    ensure_rows([definition])
    return definition


def _check_rate(events_per_second: float | None) -> None:
    if events_per_second is not None and events_per_second <= 0:
        raise WhizbangError("A rate is a number of events a second above 0.")


def _projection(definition: SubscriptionDefinition) -> Any:
    return getattr(definition, "projection", None)


def _refusal(definition: SubscriptionDefinition) -> str:
    projection = _projection(definition)
    if projection is None:
        return (
            f"{definition.name!r} is a subscriber: a backfill calls it again for each event, with all that "
            "it does outside. Force it if that is wanted."
        )
    if projection.is_repeatable:
        return ""
    return (
        f"{definition.name!r} may have applied these events already, and would apply them twice. Say "
        "is_repeatable = True in its class if an event may be applied again, rebuild it, or force the "
        "backfill if it never saw them."
    )


def _fix(definition: SubscriptionDefinition, scope: Scope) -> Section:
    return fix_scope(
        definition.store, scope, types=definition.type_names, until=_standing(definition)
    )


def _last_rebuild(definition: SubscriptionDefinition) -> int:
    """The id of the last one; raises WhizbangError while one is open, which makes all rows anew."""
    rebuilds = Rebuild.objects.using(definition.store.using).filter(projection=definition.name)
    if open_rebuild(definition.store, definition.name) is not None:
        raise WhizbangError(f"A rebuild of {definition.name!r} is open: it applies all of history.")
    return rebuilds.aggregate(last=Max("id"))["last"] or 0


def _standing(definition: SubscriptionDefinition) -> int:
    if definition.kind == "inline":
        return definition.store.head()
    with transaction.atomic(using=definition.using):
        return hold_still(definition)


def speed_of_last(definition: SubscriptionDefinition) -> float | None:
    """Events a second of the last run that had no limit; None where there was none."""
    runs = Backfill.objects.using(definition.using).filter(
        subscription=definition.name,
        status=Status.DONE,
        events_per_second__isnull=True,
        events_done__gte=_FEWEST_TIMED,
    )
    run = runs.order_by("-id").first()
    if run is None or run.started_at is None or run.finished_at is None:
        return None
    return run.events_done / max(0.001, (run.finished_at - run.started_at).total_seconds())


def _try_out(definition: SubscriptionDefinition, section: Section) -> tuple[float | None, str]:
    """Events a second of a first batch that is rolled back; or the error that it ended with."""
    rows = section.read(definition.store, limit=settings.BATCH_SIZE)
    began = time.perf_counter()
    try:
        with transaction.atomic(using=definition.using):
            definition.deliver(rows)
            transaction.set_rollback(True, using=definition.using)
    except Exception as exc:
        return None, error_text(exc)
    return len(rows) / max(0.000_001, time.perf_counter() - began), ""
