"""Rebuilds, parked streams, inbox and dead letters."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from whizbang.models import DeadLetter, InboxMessage, ParkedStream, Rebuild
from whizbang.operations.parked import retry_parked
from whizbang_admin.read_only import ReadOnlyAdmin


@admin.register(Rebuild)
class RebuildAdmin(ReadOnlyAdmin):
    list_display = ("projection", "status", "events", "requested_by", "requested_at", "finished_at")
    list_filter = ("status",)
    ordering = ("-id",)


@admin.register(ParkedStream)
class ParkedStreamAdmin(ReadOnlyAdmin):
    list_display = ("stream", "subscription", "type", "version", "error", "attempts", "parked_at")
    ordering = ("-id",)
    actions = ("retry",)

    def has_rebuild_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("whizbang.rebuild_subscription")

    @admin.action(description=_("Retry selected parked streams"), permissions=["rebuild"])
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        parked = list(queryset)
        for row in parked:
            retry_parked(row.subscription, stream=row.stream)
            self.log_change(request, row, "Retry requested")
        text = ngettext(
            "%d stream will be tried again.", "%d streams will be tried again.", len(parked)
        )
        self.message_user(request, text % len(parked), messages.SUCCESS)


@admin.register(InboxMessage)
class InboxMessageAdmin(ReadOnlyAdmin):
    list_display = (
        "message_id",
        "type",
        "status",
        "mode",
        "attempts",
        "available_at",
        "finished_at",
    )
    list_filter = ("status",)
    ordering = ("-id",)
    search_fields = ("=message_id",)
    fields = (*list_display, "error", "traceback")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ("message_id", "type", "reason", "attempts", "died_at")
    ordering = ("-id",)
    search_fields = ("=message_id",)
    fields = (*list_display, "error", "traceback")
