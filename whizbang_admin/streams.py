"""Streams: the catalogue, one stream as a timeline, and one event."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from whizbang.domain import aggregate
from whizbang.models import Stream
from whizbang.store.event_store import event_store
from whizbang_admin.events import MOST_CHARACTERS, show_event
from whizbang_admin.read_only import ReadOnlyAdmin

_PAGE_EVENTS = 50
_LAST_VERSION = 2**31 - 1  # versions are 32-bit integers


class CategoryFilter(admin.SimpleListFilter):
    """By aggregate, as the code declares them: reading them from the table would read all of it."""

    title = _("category")
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = sorted({cls.stream_of("").removesuffix("-") for cls in aggregate.declared})
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(category=self.value()) if self.value() else queryset


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    """Newest streams first; search takes a stream's whole name or the start of it."""

    list_display = ("timeline", "category", "version", "last_type", "last_recorded_at")
    list_display_links = None
    list_filter = (CategoryFilter,)
    ordering = ("-last_position",)
    search_fields = ("^name",)
    search_help_text = _("The whole name of a stream, or the start of it")
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """By the name's index on every database."""
        if not search_term:
            return queryset, False
        # PostgreSQL keeps an index for LIKE, and its collations put a range in an order of their own.
        # Elsewhere LIKE, as Django writes it, reads all rows.
        if connections[queryset.db].vendor == "postgresql":
            return queryset.filter(name__startswith=search_term), False
        last = search_term + chr(0x10FFFF)
        return queryset.filter(name__gte=search_term, name__lte=last), False

    @admin.display(description=_("stream"))
    def timeline(self, stream: Stream) -> str:
        url = reverse(
            "admin:whizbang_stream_timeline",
            args=[stream.name],
            current_app=self.admin_site.name,
        )
        return format_html('<a href="{}">{}</a>', url, stream.name)

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
        after = _version_from(request.GET.get("after", "0"))
        store = event_store()
        rows = list(store.driver.read_stream(_name(name), after=after, limit=_PAGE_EVENTS + 1))
        if not rows and not after:
            raise Http404(f"Stream {name} has no events.")
        context = {
            "title": name,
            "stream": name,
            "events": [show_event(store, row, most=MOST_CHARACTERS) for row in rows[:_PAGE_EVENTS]],
            "next_after": rows[_PAGE_EVENTS - 1].version if len(rows) > _PAGE_EVENTS else None,
            "is_later_page": after > 0,
        }
        return self._render(request, "whizbang_admin/timeline.html", context)

    def event_view(self, request: HttpRequest, version: int, name: str) -> HttpResponseBase:
        """One event with all of its data, however long."""
        self._demand_view_permission(request)
        if not 0 < version <= _LAST_VERSION:
            raise Http404
        store = event_store()
        row = next(
            store.driver.read_stream(_name(name), after=version - 1, until=version, limit=1), None
        )
        if row is None:
            raise Http404(f"Stream {name} has no version {version}.")
        context = {"title": f"{name} v{version}", "stream": name, "event": show_event(store, row)}
        return self._render(request, "whizbang_admin/event.html", context)

    def _demand_view_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _render(
        self, request: HttpRequest, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**shared, **context})


def _name(name: str) -> str:
    """A name that a stream can have. PostgreSQL refuses a question with a NUL in it."""
    if "\0" in name:
        raise Http404
    return name


def _version_from(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LAST_VERSION):
        raise Http404
    return int(text)
