"""One box that takes anything that is known of a stream, an event or a message; and a form for the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import EventType, Stream
from whizbang.operations.events.facts import id_in
from whizbang.operations.events.finding import EventQuery, FoundEvents, find_events
from whizbang.operations.events.messages import messages_of_correlation, messages_with_ids
from whizbang.operations.events.trace import node_of_message
from whizbang.store.event_store import EventStore, event_store
from whizbang_admin.frame.pages import render_page
from whizbang_admin.frame.searching import streams_starting_with
from whizbang_admin.streams.addresses import node_address, position_in, stream_url

_MOST_STREAMS = 20
_MOST_TYPES = 500


class Hit(NamedTuple):
    """Something that the box has found; without a URL it is told, and has no page for this user."""

    kind: str
    text: str
    url: str


class SearchForm(forms.Form):
    """What events are wanted."""

    correlation_id = forms.UUIDField(label=_("Correlation id"), required=False)
    type = forms.CharField(
        label=_("Type"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"list": "event-types", "autocomplete": "off"}),
    )
    user = forms.CharField(label=_("User, as it is stored"), max_length=150, required=False)
    since = forms.DateTimeField(
        label=_("Recorded since"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    before = forms.DateTimeField(
        label=_("Recorded before"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


def search_page(model_admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Goes straight to what a term names alone; else shows what there is."""
    request.current_app = model_admin.admin_site.name
    store = event_store()
    term = request.GET.get("q", "").replace("\0", "").strip()[:300]
    hits = _hits(request, store, term) if term else []
    if len(hits) == 1 and hits[0].url:
        return HttpResponseRedirect(hits[0].url)
    is_asked = any(request.GET.get(name) for name in SearchForm.base_fields)
    form = SearchForm(request.GET if is_asked else None)
    found = _found(request, store, form) if is_asked and form.is_valid() else None
    names = EventType.objects.using(store.using).order_by("name").values_list("name", flat=True)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/streams/search.html",
        title=translate("Find"),
        term=term,
        hits=hits,
        form=form,
        types=list(names[:_MOST_TYPES]),
        found=found,
        lines=[] if found is None else _lines(request, found),
        pages=_pages(request, found),
    )


def _hits(request: HttpRequest, store: EventStore, term: str) -> list[Hit]:
    id = id_in(term)
    hits = [] if id is None else _hits_of_id(request, store, id)
    exact, near = _streams(store, term)
    streams = exact or ([] if hits else near)
    site = request.current_app
    hits += [
        Hit(translate("stream"), name, stream_url("timeline", stream=name, site=site))
        for name in streams
    ]
    return hits


def _hits_of_id(request: HttpRequest, store: EventStore, id: UUID) -> list[Hit]:
    """An event, a correlation, or rows of a command."""
    site, address_of = request.current_app, node_address(request)
    events = find_events(EventQuery(message_id=id), store=store, limit=_MOST_STREAMS).events
    hits = [
        Hit(
            translate("event"),
            f"{event.type}, {event.stream} {event.version}",
            stream_url("event", event.version, stream=event.stream, site=site),
        )
        for event in events
    ]
    if _is_correlation(store, id):
        hits.append(Hit(translate("correlation"), str(id), stream_url("trace", id, site=site)))
    for message in messages_with_ids([id], using=store.using).values():
        node = node_of_message(message, None)
        hits.append(Hit(translate("message"), f"{node.type}, {node.status}", address_of(node)))
    return hits


def _is_correlation(store: EventStore, id: UUID) -> bool:
    """Of events; or of messages that have led to none yet."""
    if find_events(EventQuery(correlation_id=id), store=store, limit=1).events:
        return True
    return bool(messages_of_correlation(id, using=store.using))


def _streams(store: EventStore, term: str) -> tuple[list[str], list[str]]:
    """Those that are named so, or whose aggregate is; and those that begin so."""
    if store.driver.stream_version(term):  # the catalogue may lag
        return [term], []
    rows = Stream.objects.using(store.using).order_by("-last_position")
    same = rows.filter(aggregate_id=term).values_list("name", flat=True)[:_MOST_STREAMS]
    if exact := list(same):
        return exact, []
    near = streams_starting_with(rows, term).values_list("name", flat=True)[:_MOST_STREAMS]
    return [], list(near)


def _found(request: HttpRequest, store: EventStore, form: SearchForm) -> FoundEvents:
    asked = {name: value for name, value in form.cleaned_data.items() if value}
    return find_events(
        EventQuery(**asked),
        store=store,
        older_than=position_in(request.GET.get("older")),
        newer_than=position_in(request.GET.get("newer")),
    )


class Line(NamedTuple):
    """One event of the list."""

    position: int
    recorded_at: datetime
    type: str
    stream: str
    version: int
    user: str
    url: str
    stream_url: str
    trace_url: str


def _lines(request: HttpRequest, found: FoundEvents) -> list[Line]:
    site = request.current_app
    return [
        Line(
            position=event.position,
            recorded_at=event.recorded_at,
            type=event.type,
            stream=event.stream,
            version=event.version,
            user=event.user,
            url=stream_url("event", event.version, stream=event.stream, site=site),
            stream_url=stream_url("timeline", stream=event.stream, site=site),
            trace_url=stream_url("trace", event.correlation_id, site=site)
            if event.correlation_id
            else "",
        )
        for event in found.events
    ]


def _pages(request: HttpRequest, found: FoundEvents | None) -> list[tuple[str, str]]:
    """Links to the pages beside this one."""
    if found is None:
        return []
    kept: dict[str, Any] = {n: request.GET.get(n, "") for n in SearchForm.base_fields}
    places = [("newer", translate("Newer events"), found.newer_than)]
    places.append(("older", translate("Older events"), found.older_than))
    site = request.current_app
    return [
        (text, stream_url("search", site=site, **{**kept, name: at}))
        for name, text, at in places
        if at is not None
    ]
