"""Streams: the catalogue, and one stream as a timeline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import Stream
from whizbang.store.event_store import EventStore, event_store
from whizbang_admin.read_only import ReadOnlyAdmin

_PAGE_EVENTS = 50
_MOST_SHOWN = 20_000  # characters of one payload


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event as the timeline shows it; data is JSON text, cut when it is very long."""

    row: StoredRow
    data: str
    metadata: str
    is_cut: bool


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    """Newest streams first; search takes a stream's whole name or the start of it."""

    list_display = ("timeline", "category", "version", "last_type", "last_recorded_at")
    list_display_links = None
    ordering = ("-last_position",)
    search_fields = ("^name",)
    search_help_text = _("The whole name of a stream, or the start of it")
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """A range over the name's index, on every database; LIKE would often read all rows."""
        if not search_term:
            return queryset, False
        last = search_term + chr(0x10FFFF)
        return queryset.filter(name__gte=search_term, name__lte=last), False

    @admin.display(description=_("stream"), ordering="last_position")
    def timeline(self, stream: Stream) -> str:
        url = reverse("admin:whizbang_stream_timeline", args=[stream.name])
        return format_html('<a href="{}">{}</a>', url, stream.name)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.timeline_view)
        own = [path("timeline/<path:name>/", page, name="whizbang_stream_timeline")]
        return [*own, *super().get_urls()]

    def timeline_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """One stream from its first event on, a page at a time; reads the log itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        after = request.GET.get("after", "0")
        if not after.isdigit():
            raise Http404
        store = event_store()
        rows = list(store.driver.read_stream(name, after=int(after), limit=_PAGE_EVENTS + 1))
        if not rows and after == "0":
            raise Http404(f"Stream {name} has no events.")
        shown = [show_event(store, row) for row in rows[:_PAGE_EVENTS]]
        context = {
            **self.admin_site.each_context(request),
            "title": name,
            "opts": self.opts,
            "events": shown,
            "next_after": rows[_PAGE_EVENTS - 1].version if len(rows) > _PAGE_EVENTS else None,
            "is_later_page": after != "0",
        }
        return TemplateResponse(request, "whizbang_admin/timeline.html", context)


def show_event(store: EventStore, row: StoredRow) -> ShownEvent:
    """The stored form, so that a type which is gone can be looked at too."""
    data = _format(store.serializer.decode_plain(row.payload))
    metadata = _format(store.serializer.decode_plain(row.metadata))
    return ShownEvent(row, data[:_MOST_SHOWN], metadata, len(data) > _MOST_SHOWN)


def _format(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
