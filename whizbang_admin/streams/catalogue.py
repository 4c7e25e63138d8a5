"""Streams: the catalogue, and the pages about what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from whizbang.domain import aggregate
from whizbang.models import Stream
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import streams_of_category, streams_starting_with
from whizbang_admin.streams.addresses import name_in, stream_url
from whizbang_admin.streams.event import event_download, event_page
from whizbang_admin.streams.search import search_page
from whizbang_admin.streams.state import state_page, travel
from whizbang_admin.streams.timeline import timeline_page
from whizbang_admin.streams.trace import trace_page


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
        return format_html(
            '<a href="{}">{}</a>',
            stream_url("timeline", stream=stream.name, site=self.admin_site.name),
            stream.name,
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"find_url": stream_url("search", site=self.admin_site.name)}
        return super().changelist_view(request, context | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        pages: dict[str, tuple[Callable[..., HttpResponseBase], str]] = {
            "search/": (self.search_view, "search"),
            "timeline/<path:name>/": (self.timeline_view, "timeline"),
            "event/<int:version>/<path:name>/": (self.event_view, "event"),
            "download/<int:version>/<path:name>/": (self.download_view, "download"),
            "state/<int:version>/<path:name>/": (self.state_view, "state"),
            "travel/<path:name>/": (self.travel_view, "travel"),
            "trace/<uuid:correlation_id>/": (self.trace_view, "trace"),
        }
        own = [
            path(route, wrap(view), name=f"whizbang_stream_{name}")
            for route, (view, name) in pages.items()
        ]
        return [*own, *super().get_urls()]

    def search_view(self, request: HttpRequest) -> HttpResponseBase:
        self._demand_view_permission(request)
        return search_page(self, request)

    def timeline_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        self._demand_view_permission(request)
        return timeline_page(self, request, name_in(name))

    def event_view(self, request: HttpRequest, version: int, name: str) -> HttpResponseBase:
        self._demand_view_permission(request)
        return event_page(self, request, name_in(name), version)

    def download_view(self, request: HttpRequest, version: int, name: str) -> HttpResponseBase:
        self._demand_view_permission(request)
        return event_download(request, name_in(name), version)

    def state_view(self, request: HttpRequest, version: int, name: str) -> HttpResponseBase:
        self._demand_view_permission(request)
        return state_page(self, request, name_in(name), version)

    def travel_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        self._demand_view_permission(request)
        return travel(self, request, name_in(name))

    def trace_view(self, request: HttpRequest, correlation_id: UUID) -> HttpResponseBase:
        self._demand_view_permission(request)
        return trace_page(self, request, correlation_id)

    def _demand_view_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied
