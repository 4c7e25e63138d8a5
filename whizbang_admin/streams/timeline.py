"""One stream as a timeline, from its first event on or from its last back."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from whizbang.models import ParkedStream
from whizbang.operations.events.states import aggregate_of
from whizbang.store.event_store import EventStore, event_store
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.documents import MOST_CHARACTERS, ShownEvent, show_event
from whizbang_admin.frame.pages import render_page
from whizbang_admin.streams.addresses import LAST_VERSION, stream_url, version_in

PAGE_EVENTS = 50
PAGE_BYTES = 4 * 1024 * 1024  # of payloads: what follows goes to the next page
_MOST_PARKED = 20


def timeline_page(model_admin: Any, request: HttpRequest, name: str) -> HttpResponseBase:
    """A page of events, which are read from the log itself; `before` reads from there back."""
    store = event_store()
    last = store.driver.stream_version(name)
    if not last:
        raise Http404(f"Stream {name} has no events.")
    is_newest_first = "before" in request.GET
    read = _read_back if is_newest_first else _read_on
    site = model_admin.admin_site.name
    request.current_app = site
    return render_page(
        model_admin,
        request,
        "whizbang_admin/streams/timeline.html",
        title=name,
        key=quote(name),
        last_version=last,
        is_newest_first=is_newest_first,
        state_url=stream_url("state", last, stream=name, site=site) if aggregate_of(name) else "",
        parked=_parked_in(request, store, name),
        trail=actions_on(request, f"stream {name}", name),
        **read(request, store, name, last),
    )


def _read_on(request: HttpRequest, store: EventStore, name: str, last: int) -> dict[str, Any]:
    after = version_in(request.GET.get("after", "0"))
    events = _read(store, name, request, after=after)
    until = events[-1].row.version if events else last
    return {
        "events": events,
        "first_version": after + 1,
        "until_version": until,
        "earlier_after": max(0, min(after, last) - PAGE_EVENTS) if after else None,
        "later_after": until if until < last else None,
        "latest_after": max(0, last - PAGE_EVENTS),
    }


def _read_back(request: HttpRequest, store: EventStore, name: str, last: int) -> dict[str, Any]:
    before = version_in(request.GET["before"] or str(LAST_VERSION))
    events = _read(store, name, request, until=before - 1, backwards=True)
    lowest = events[-1].row.version if events else 1
    return {
        "events": events,
        "first_version": lowest,
        "until_version": events[0].row.version if events else 0,
        "earlier_before": lowest if lowest > 1 else None,
        "later_before": before + PAGE_EVENTS if before <= last else None,
    }


def _read(store: EventStore, name: str, request: HttpRequest, **part: Any) -> list[ShownEvent]:
    """Events until the page is full; a payload may be big, but not all of them."""
    events: list[ShownEvent] = []
    size = 0
    for row in store.driver.read_stream(name, limit=PAGE_EVENTS, **part):
        size += len(row.payload)
        if events and size > PAGE_BYTES:
            break
        events.append(show_event(store, row, who=request.user, most=MOST_CHARACTERS))
    return events


def _parked_in(request: HttpRequest, store: EventStore, name: str) -> list[ParkedStream]:
    """Which subscriptions have set it aside."""
    if not request.user.has_perm("whizbang.view_parkedstream"):
        return []
    rows = ParkedStream.objects.using(store.using).filter(stream=name)
    return list(rows.only("subscription", "version", "type")[:_MOST_PARKED])
