"""Streams: the catalogue, one stream as a timeline, and one event."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.domain import aggregate
from whizbang.models import Stream
from whizbang.store.event_store import EventStore, event_store
from whizbang_admin.frame.documents import MOST_CHARACTERS, ShownEvent, show_event
from whizbang_admin.frame.pages import Crumb, render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import streams_of_category, streams_starting_with

_PAGE_EVENTS = 50
_PAGE_BYTES = 4 * 1024 * 1024  # of payloads: what follows goes to the next page
_LAST_VERSION = 2**31 - 1  # versions are 32-bit integers


class CategoryFilter(admin.SimpleListFilter):
    """By aggregate, as the code declares them: reading them from the table would read all of it."""

    title = _("category")
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = sorted({cls.stream_of("").removesuffix("-") for cls in aggregate.declared})
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        category = self.value()
        if not category:
            return queryset
        is_searched = bool(request.GET.get(SEARCH_VAR))
        return streams_of_category(queryset, category, is_searched=is_searched)


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    """Newest streams first; search takes a stream's name or an aggregate's id, or the start of one."""

    list_display = ("timeline", "version", "last_type", "last_recorded_at")
    list_display_links = None
    list_filter = (CategoryFilter,)
    ordering = ("-last_position",)
    search_fields = ("^name", "^aggregate_id")
    search_help_text = _("The name of a stream or the id of an aggregate, or the start of either")
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (streams_starting_with(queryset, search_term) if search_term else queryset), False

    @admin.display(description=_("stream"))
    def timeline(self, stream: Stream) -> str:
        return format_html('<a href="{}">{}</a>', self._timeline_url(stream.name), stream.name)

    def get_urls(self) -> list[URLPattern]:
        timeline = self.admin_site.admin_view(self.timeline_view)
        event = self.admin_site.admin_view(self.event_view)
        own = [
            path("timeline/<path:name>/", timeline, name="whizbang_stream_timeline"),
            path("event/<int:version>/<path:name>/", event, name="whizbang_stream_event"),
        ]
        return [*own, *super().get_urls()]

    def timeline_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """One stream from its first event on, a page at a time; reads the log itself."""
        self._demand_view_permission(request)
        name = _name(name)
        after = _version_from(request.GET.get("after", "0"))
        store = event_store()
        last = store.driver.stream_version(name)
        if not last:
            raise Http404(f"Stream {name} has no events.")
        events = _read_page(store, name, after)
        until = events[-1].row.version if events else last
        return render_page(
            self,
            request,
            "whizbang_admin/timeline.html",
            title=name,
            key=quote(name),
            events=events,
            first_version=after + 1,
            until_version=until,
            last_version=last,
            earlier_after=max(0, min(after, last) - _PAGE_EVENTS) if after else None,
            later_after=until if until < last else None,
            latest_after=max(0, last - _PAGE_EVENTS),
        )

    def event_view(self, request: HttpRequest, version: int, name: str) -> HttpResponseBase:
        """One event with all of its data, however long."""
        self._demand_view_permission(request)
        name = _name(name)
        if not 0 < version <= _LAST_VERSION:
            raise Http404
        store = event_store()
        row = next(store.driver.read_stream(name, after=version - 1, until=version, limit=1), None)
        if row is None:
            raise Http404(f"Stream {name} has no version {version}.")
        return render_page(
            self,
            request,
            "whizbang_admin/event.html",
            title=translate("Event %(version)s") % {"version": version},
            crumbs=(Crumb(name, self._timeline_url(name)),),
            stream=name,
            key=quote(name),
            event=show_event(store, row),
        )

    def _timeline_url(self, name: str) -> str:
        # Quoted as Django's admin does with keys: a line break or a "../" in a name breaks addresses.
        return reverse(
            "admin:whizbang_stream_timeline",
            args=[quote(name)],
            current_app=self.admin_site.name,
        )

    def _demand_view_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def _read_page(store: EventStore, name: str, after: int) -> list[ShownEvent]:
    """The events after a version, until the page is full; a payload may be big, but not all of them."""
    events: list[ShownEvent] = []
    size = 0
    for row in store.driver.read_stream(name, after=after, limit=_PAGE_EVENTS):
        size += len(row.payload)
        if events and size > _PAGE_BYTES:
            break
        events.append(show_event(store, row, most=MOST_CHARACTERS))
    return events


def _name(text: str) -> str:
    """The name of a stream in an address. PostgreSQL refuses a question with a NUL in it."""
    name = unquote(text)
    if "\0" in name:
        raise Http404
    return name


def _version_from(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LAST_VERSION):
        raise Http404
    return int(text)
