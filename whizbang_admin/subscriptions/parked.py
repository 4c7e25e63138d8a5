"""Parked streams: what one subscription has set aside, trying it again, and what was left out for good."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SkippedEvent
from whizbang.operations.parked import retry_parked
from whizbang.operations.rebuild.twin import KEPT, NEW
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.read_only import ReadOnlyAdmin

_MOST_AT_ONCE = 1_000


class SubscriptionFilter(admin.SimpleListFilter):
    """By subscription, as the code declares them."""

    title = _("subscription")
    parameter_name = "subscription"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = sorted(definition.name for definition in all_definitions(event_store()))
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(subscription=self.value()) if self.value() else queryset


@admin.register(ParkedStream)
class ParkedStreamAdmin(ReadOnlyAdmin):
    """Streams with the event that failed, its error, and an action that asks for a retry."""

    list_display = (
        "stream",
        "key",
        "subscription",
        "type",
        "version",
        "attempts",
        "parked_at",
        "is_retry_requested",
    )
    list_filter = (SubscriptionFilter,)
    fields = (
        "stream",
        "key",
        "subscription",
        "event",
        "type",
        "attempts",
        "parked_at",
        "is_retry_requested",
        "problem",
        "trace",
    )
    readonly_fields = ("event", "problem", "trace")
    deferred = ("error", "traceback")
    ordering = ("-id",)
    actions = ("retry",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without those of tables beside the live ones, which come and go with them."""
        rows = super().get_queryset(request)
        return rows.exclude(subscription__endswith=NEW).exclude(subscription__endswith=KEPT)

    @admin.display(description=_("event that failed"))
    def event(self, row: ParkedStream) -> str:
        url = reverse(
            "admin:whizbang_stream_event",
            args=[row.version, quote(row.stream)],
            current_app=self.admin_site.name,
        )
        text = translate("version %(version)s at position %(position)s")
        place = text % {"version": row.version, "position": row.position}
        return format_html('<a href="{}">{}</a>', url, place)

    @admin.display(description=_("error"))
    def problem(self, row: ParkedStream) -> str:
        return show_text(row.error, label=translate("error"))

    @admin.display(description=_("traceback"))
    def trace(self, row: ParkedStream) -> str:
        return show_text(row.traceback, label=translate("traceback"))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("whizbang.retry_parkedstream")

    @admin.action(description=_("Retry selected parked streams"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        asked = 0
        for row in queryset[:_MOST_AT_ONCE]:
            try:
                self._retry(request, row)
            except WhizbangError as exc:  # its subscription is gone from the code
                text = translate("Stream %(stream)s is not retried: %(error)s")
                values = {"stream": row.stream, "error": exc}
                self.message_user(request, text % values, messages.ERROR)
            else:
                asked += 1
        text = ngettext("%d stream will be tried again.", "%d streams will be tried again.", asked)
        if asked:
            self.message_user(request, text % asked, messages.SUCCESS)

    def _retry(self, request: HttpRequest, row: ParkedStream) -> None:
        with transaction.atomic(using=row._state.db):
            if row.unit == ParkedStream.Unit.KEY:
                retry_parked(row.subscription, key=row.key)
            else:
                retry_parked(row.subscription, stream=row.stream)
            self.log_change(request, row, "Retry requested")


@admin.register(SkippedEvent)
class SkippedEventAdmin(ReadOnlyAdmin):
    """Events that somebody let a subscription leave out: who, when and why."""

    list_display = (
        "stream",
        "version",
        "key",
        "subscription",
        "type",
        "reason",
        "skipped_by",
        "skipped_at",
    )
    list_filter = (SubscriptionFilter,)
    fields = (
        "stream",
        "version",
        "position",
        "key",
        "subscription",
        "type",
        "reason",
        "skipped_by",
        "skipped_at",
        "problem",
    )
    readonly_fields = ("problem",)
    deferred = ("error",)
    ordering = ("-id",)

    @admin.display(description=_("error"))
    def problem(self, row: SkippedEvent) -> str:
        return show_text(row.error, label=translate("error"))
