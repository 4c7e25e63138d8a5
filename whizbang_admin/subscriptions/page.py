"""The page of one subscription: where it stands, what is done with it, and what operators can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode

from whizbang.models import (
    Backfill,
    EditedEvent,
    ParkedStream,
    Rebuild,
    SkippedEvent,
    Subscription,
)
from whizbang.operations.actions import Action
from whizbang.operations.actions.backfills import CancelBackfill
from whizbang.operations.actions.parked import Retry
from whizbang.operations.actions.rebuilds import (
    CancelRebuild,
    DropOldRows,
    PublishRebuild,
    RequestRebuild,
    ResumeRebuild,
    UndoRebuild,
)
from whizbang.operations.actions.subscriptions import Pause, Resume
from whizbang.operations.estimates import say_duration
from whizbang.operations.overview.standing import QuickAge, Standing, read_standings
from whizbang.operations.rebuild.twin import KEPT
from whizbang.store.event_store import event_store
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import needs_rebuild
from whizbang_admin.actions.links import Offered, offer, offer_named
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.keyset import count_up_to
from whizbang_admin.frame.pages import render_page
from whizbang_admin.subscriptions.options import rehearsable_names
from whizbang_admin.subscriptions.pace import pace_of
from whizbang_admin.subscriptions.progress import OPEN, show_backfill, show_rebuild
from whizbang_admin.subscriptions.state import state_of

_MOST_PARTITIONS = 100
_MOST_RUNS = 5
_MOST_ROWS = 10
_MOST_COUNTED = 10_000


def subscription_page(
    model_admin: Any, request: HttpRequest, row: Subscription
) -> HttpResponseBase:
    """Everything about one subscription, in a bounded number of statements."""
    store = event_store()
    definition = next((d for d in all_definitions(store) if d.name == row.name), None)
    needs = definition is not None and needs_rebuild(definition, row)
    state, tone = state_of(row, definition is not None, needs=needs)
    runs = _Runs(request, row)
    set_aside = _set_aside(request, row)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/subscriptions/subscription.html",
        title=row.name,
        row=row,
        state=state,
        tone=tone,
        needs_rebuild=needs,
        problem=show_text(row.error, label="error") if row.error else "",
        offered=list(_offered(request, row, definition, runs)),
        runs=runs,
        history_url=model_admin.url_of("history", quote(row.name)),
        trail=actions_on(request, *_targets(row, set_aside)),
        **_standing(row, definition),
        **set_aside,
    )


class _Runs:
    """The last rebuilds and backfills, for those who may see them."""

    def __init__(self, request: HttpRequest, row: Subscription) -> None:
        using, name = row._state.db or "default", row.name
        rebuilds = Rebuild.objects.using(event_store().using).filter(projection=name)
        found = list(rebuilds.defer("difference").order_by("-id")[:_MOST_RUNS])
        self.last_rebuild = found[0] if found else None
        backfills = Backfill.objects.using(using).filter(subscription=name)
        given = list(backfills.defer("scope").order_by("-id")[:_MOST_RUNS])
        self.last_backfill = given[0] if given else None
        user = request.user
        may_rebuilds, may_backfills = (
            user.has_perm(f"whizbang.view_{model}") for model in ("rebuild", "backfill")
        )
        self.rebuilds = [(run, show_rebuild(run)) for run in found] if may_rebuilds else []
        self.backfills = [(run, show_backfill(run)) for run in given] if may_backfills else []
        kept = Subscription.objects.using(using).filter(name=name + KEPT)
        self.has_kept = bool(found) and kept.exists()

    @property
    def open_rebuild(self) -> Rebuild | None:
        run = self.last_rebuild
        return run if run is not None and run.status in OPEN else None

    @property
    def has_open_backfill(self) -> bool:
        run = self.last_backfill
        return run is not None and run.status in (
            Backfill.Status.REQUESTED,
            Backfill.Status.RUNNING,
        )


def _standing(row: Subscription, definition: SubscriptionDefinition | None) -> dict[str, Any]:
    store = event_store()
    head = store.head()
    all_of_them: Sequence[Standing] = read_standings(store, head) if definition else ()
    found = next((s for s in all_of_them if s.name == row.name), None)
    if found is None or definition is None or not found.partitions:
        return {"head": head, "standing": None}
    lag = found.lag_events or 0
    age = None
    if lag and found.position is not None:
        slowest = min(found.partitions, key=lambda part: part.position)
        age = say_duration(QuickAge()(definition, slowest.position, slowest.slices))
    pace = pace_of(row.name, lag)
    left = pace.seconds_left
    return {
        "head": head,
        "standing": found,
        "partitions": found.partitions[:_MOST_PARTITIONS],
        "is_cut": len(found.partitions) > _MOST_PARTITIONS,
        "partition_by": definition.partition_by,
        "lag_age": age,
        "per_second": pace.per_second,
        "catches_up_in": None if left is None or not lag else say_duration(left),
    }


def _set_aside(request: HttpRequest, row: Subscription) -> dict[str, Any]:
    """Parked streams, edited and skipped events, each for those who may see them; the newest first."""
    found: dict[str, Any] = {}
    models = {"parked": ParkedStream, "edited": EditedEvent, "skipped": SkippedEvent}
    query = urlencode({"subscription": row.name})
    for key, model in models.items():
        name = model._meta.model_name
        if not request.user.has_perm(f"whizbang.view_{name}"):
            continue
        rows = model.objects.using(row._state.db).filter(subscription=row.name)  # type: ignore[attr-defined]
        big = [f for f in ("traceback", "payload") if f in {c.name for c in model._meta.fields}]
        listed = list(rows.defer(*big).order_by("-id")[: _MOST_ROWS + 1])
        url = reverse(f"admin:whizbang_{name}_changelist", current_app=request.current_app)
        found[key] = listed[:_MOST_ROWS]
        found[f"{key}_url"] = f"{url}?{query}" if len(listed) > _MOST_ROWS else ""
        if key == "parked":
            count = count_up_to(rows, _MOST_COUNTED + 1) if len(listed) > _MOST_ROWS else None
            found["parked_count"] = (
                len(listed)
                if count is None
                else f"{min(count, _MOST_COUNTED):,}{'+' if count > _MOST_COUNTED else ''}"
            )
    return found


def _targets(row: Subscription, set_aside: dict[str, Any]) -> list[str]:
    """As actions name them: the subscription, and of its streams those that the page shows."""
    target = f"subscription {row.name}"
    shown = (item for key in ("parked", "edited", "skipped") for item in set_aside.get(key, ()))
    streams = dict.fromkeys(item.stream for item in shown)
    return [target, *(f"{target} stream {stream}" for stream in streams)]


def _offered(
    request: HttpRequest,
    row: Subscription,
    definition: SubscriptionDefinition | None,
    runs: _Runs,
) -> Iterator[Offered]:
    """What can be done as it is now."""
    if definition is None:
        return
    name = row.name
    projection = getattr(definition, "projection", None)
    if definition.kind != "inline":
        is_going = row.status == Subscription.Status.ACTIVE and not row.error
        yield from offer(
            request, Pause(subscription=name) if is_going else Resume(subscription=name)
        )
    if projection is not None and projection.is_rebuildable:
        yield from offer(request, *_of_rebuilds(name, runs))
    if runs.has_open_backfill:
        yield from offer(request, CancelBackfill(subscription=name))
    elif definition.kind in ("projection", "inline", "subscriber"):
        yield from offer_named(request, "backfill", subscription=name)
    if name in rehearsable_names():
        yield from offer_named(request, "dry-run", subscription=name)
    if definition.partition_by is not None:
        yield from offer_named(request, "split", subscription=name)
        yield from offer_named(request, "partitions", subscription=name)
    if definition.kind not in ("inline", "catalogue"):
        yield from offer_named(request, "park", subscription=name)
        rows = ParkedStream.objects.using(row._state.db).filter(subscription=name)
        if rows.exists():
            yield from offer(request, Retry(subscription=name))
    if projection is not None:
        yield from offer_named(request, "heal", subscription=name)


def _of_rebuilds(name: str, runs: _Runs) -> Iterator[Action]:
    run, last = runs.open_rebuild, runs.last_rebuild
    if run is not None:
        if run.is_held:
            yield PublishRebuild(subscription=name)
        yield CancelRebuild(subscription=name)
        return
    yield RequestRebuild(subscription=name)
    if last is not None and last.status in (Rebuild.Status.CANCELLED, Rebuild.Status.FAILED):
        yield ResumeRebuild(subscription=name)
    if runs.has_kept:
        yield UndoRebuild(subscription=name)
        yield DropOldRows(subscription=name)
