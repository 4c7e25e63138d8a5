"""The page of one parked stream: the event, what it failed with, and the ways to go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as translate

from whizbang.models import ParkedStream
from whizbang.operations.actions.parked import Heal, Retry, Skip
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions
from whizbang_admin.actions.links import Offered, offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.documents import MOST_CHARACTERS, ShownEvent, show_event, show_text
from whizbang_admin.frame.pages import render_page
from whizbang_admin.streams.addresses import stream_url
from whizbang_admin.subscriptions.parked_edit import may_edit


def parked_page(model_admin: Any, request: HttpRequest, row: ParkedStream) -> HttpResponseBase:
    what = row.key if row.unit == ParkedStream.Unit.KEY else row.stream
    site = model_admin.admin_site.name
    event_url = reverse(
        "admin:whizbang_stream_event", args=[row.version, quote(row.stream)], current_app=site
    )
    subscription_url = reverse(
        "admin:whizbang_subscription_change", args=[quote(row.subscription)], current_app=site
    )
    target = f"subscription {row.subscription}"
    return render_page(
        model_admin,
        request,
        "whizbang_admin/subscriptions/parked.html",
        title=translate("%(what)s in %(name)s") % {"what": what, "name": row.subscription},
        row=row,
        event=_event_of(request, row),
        event_url=event_url if row.type else "",
        stream_url=_timeline_of(request, row),
        subscription_url=subscription_url
        if request.user.has_perm("whizbang.view_subscription")
        else "",
        problem=show_text(row.error, label=translate("error")),
        trace=show_text(row.traceback, label=translate("traceback"), is_trace=True),
        offered=list(_offered(model_admin, request, row)),
        history_url=model_admin.url_of("history", quote(row.pk)),
        trail=actions_on(
            request,
            f"{target} stream {row.stream}",
            f"{target} key {row.key}",
            target,
        ),
    )


def _timeline_of(request: HttpRequest, row: ParkedStream) -> str:
    """For those who may see streams."""
    may_see = row.stream and request.user.has_perm("whizbang.view_stream")
    return stream_url("timeline", stream=row.stream, site=request.current_app) if may_see else ""


def _event_of(request: HttpRequest, row: ParkedStream) -> ShownEvent | None:
    """For those who may see streams."""
    if not row.type or not request.user.has_perm("whizbang.view_stream"):
        return None
    store = event_store()
    rows = store.driver.read_stream(row.stream, after=row.version - 1, until=row.version, limit=1)
    found = next(iter(rows), None)
    return (
        None if found is None else show_event(store, found, who=request.user, most=MOST_CHARACTERS)
    )


def _offered(model_admin: Any, request: HttpRequest, row: ParkedStream) -> Iterator[Offered]:
    name, stream = row.subscription, row.stream
    definition = next((d for d in all_definitions(event_store()) if d.name == name), None)
    if definition is None:
        return
    is_key = row.unit == ParkedStream.Unit.KEY
    what = {"key": row.key} if is_key else {"stream": stream}
    yield from offer(request, Retry(subscription=name, **what))
    if row.type:
        yield from offer(request, Skip(subscription=name, **what))
        if definition.event_types and may_edit(request, row):
            yield Offered("edit", translate("Edit a copy"), model_admin.url_of("edit", row.pk))
    if isinstance(definition, ProjectionSubscription):
        yield from offer(request, Heal(subscription=name, stream=stream))
