"""One event: its data as stored and as read today, its metadata, what caused it, and what it caused."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate

from whizbang.drivers.stores.base import StoredRow
from whizbang.operations.events.causes import surroundings_of
from whizbang.operations.events.facts import EventFacts, events_at
from whizbang.operations.events.messages import messages_with_ids
from whizbang.operations.events.states import aggregate_of
from whizbang.operations.events.trace import node_of_message
from whizbang.store.event_store import EventStore, event_store
from whizbang_admin.audit.trail import Trail, actions_on
from whizbang_admin.frame.documents import (
    ShownDocument,
    as_json,
    show_document,
    show_event,
    show_payload,
)
from whizbang_admin.frame.pages import Crumb, render_page
from whizbang_admin.streams.addresses import LAST_VERSION, node_address, stream_url
from whizbang_admin.streams.nodes import show_nodes

MOST_SHOWN = 200_000  # characters of a document; a download has the rest


def event_page(model_admin: Any, request: HttpRequest, name: str, version: int) -> HttpResponseBase:
    """Everything about one event, however big its payload is."""
    site = model_admin.admin_site.name
    request.current_app = site
    store = event_store()
    row = find_row(store, name, version)
    facts = events_at([row.position], using=store.using).get(row.position)
    context = {} if facts is None else _relations(request, store, facts)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/streams/event.html",
        title=translate("Event %(version)s") % {"version": version},
        crumbs=(Crumb(name, stream_url("timeline", stream=name, site=site)),),
        stream=name,
        key=quote(name),
        event=show_event(store, row, who=request.user, most=MOST_SHOWN),
        facts=facts,
        download_url=stream_url("download", version, stream=name, site=site),
        earlier_url=stream_url("event", version - 1, stream=name, site=site) if version > 1 else "",
        later_url=_later_url(store, name, version, site),
        state_url=stream_url("state", version, stream=name, site=site)
        if aggregate_of(name)
        else "",
        **context,
    )


def event_download(request: HttpRequest, name: str, version: int) -> HttpResponseBase:
    """The whole event as a JSON file; personal data are masked as on its page."""
    store = event_store()
    row = find_row(store, name, version)
    data = show_payload(store.serializer, row.payload, type=row.type, who=request.user)
    metadata = show_document(store.serializer, row.metadata)
    head = {
        "stream": row.stream,
        "version": row.version,
        "position": str(row.position),
        "type": row.type,
        "schema": row.schema,
        "occurred_at": row.occurred_at,
        "recorded_at": row.recorded_at,
    }
    # What cannot be read is a text; what can is JSON already.
    parts = {"metadata": metadata, "data": data}
    text = as_json(head).removesuffix("\n}")
    for key, shown in parts.items():
        text += f',\n  "{key}": {_as_value(shown)}'
    response = HttpResponse(text + "\n}\n", content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="event-{row.position}.json"'
    return response


def find_row(store: EventStore, name: str, version: int) -> StoredRow:
    """Raises Http404."""
    row = None
    if 0 < version <= LAST_VERSION:
        rows = store.driver.read_stream(name, after=version - 1, until=version, limit=1)
        row = next(iter(rows), None)
    if row is None:
        raise Http404(f"Stream {name} has no version {version}.")
    return row


def _as_value(shown: ShownDocument) -> str:
    return as_json(shown.text) if shown.is_unreadable else shown.text


def _later_url(store: EventStore, name: str, version: int, site: str) -> str:
    if store.driver.stream_version(name) <= version:
        return ""
    return stream_url("event", version + 1, stream=name, site=site)


def _relations(request: HttpRequest, store: EventStore, facts: EventFacts) -> dict[str, Any]:
    around = surroundings_of(facts, store=store)
    address_of = node_address(request)
    trace_url = ""
    if facts.correlation_id is not None:
        trace_url = stream_url("trace", facts.correlation_id, site=request.current_app)
    return {
        "trace_url": trace_url,
        "cause": show_nodes([around.cause], address_of)[0] if around.cause is not None else None,
        "effects": show_nodes(around.effects, address_of),
        "effects_are_cut": around.is_cut,
        "rows": _rows_of(request, store, facts),
        "trail": _trail(request, facts),
    }


def _rows_of(request: HttpRequest, store: EventStore, facts: EventFacts) -> list[Any]:
    """Rows of inbox and dead letters with the event's own id."""
    if facts.message_id is None:
        return []
    known = messages_with_ids([facts.message_id], using=store.using)
    return show_nodes([node_of_message(m, None) for m in known.values()], node_address(request))


def _trail(request: HttpRequest, facts: EventFacts) -> Trail:
    return actions_on(request, message_id=facts.message_id) if facts.message_id else Trail([], [])
