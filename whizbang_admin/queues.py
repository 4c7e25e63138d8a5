"""Rebuilds, parked streams, inbox and dead letters."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter, InboxMessage, ParkedStream, Rebuild
from whizbang.operations.parked import retry_parked
from whizbang_admin.read_only import ReadOnlyAdmin


@admin.register(Rebuild)
class RebuildAdmin(ReadOnlyAdmin):
    list_display = ("projection", "status", "events", "requested_by", "requested_at", "finished_at")
    list_filter = ("status",)
    ordering = ("-id",)
    deferred = ("error",)


@admin.register(ParkedStream)
class ParkedStreamAdmin(ReadOnlyAdmin):
    list_display = ("stream", "subscription", "type", "version", "attempts", "parked_at")
    deferred = ("error", "traceback")
    ordering = ("-id",)
    actions = ("retry",)

    def has_rebuild_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("whizbang.rebuild_subscription")

    @admin.action(description=_("Retry selected parked streams"), permissions=["rebuild"])
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        asked = 0
        for row in queryset:
            try:
                retry_parked(row.subscription, stream=row.stream)
            except WhizbangError as exc:  # its subscription is gone from the code
                self.message_user(request, str(exc), messages.ERROR)
                continue
            self.log_change(request, row, "Retry requested")
            asked += 1
        text = ngettext("%d stream will be tried again.", "%d streams will be tried again.", asked)
        if asked:
            self.message_user(request, text % asked, messages.SUCCESS)


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
    deferred = ("payload", "metadata", "result", "error", "traceback")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ("message_id", "type", "reason", "attempts", "died_at")
    ordering = ("-id",)
    search_fields = ("=message_id",)
    fields = (*list_display, "error", "traceback")
    deferred = ("payload", "metadata", "error", "traceback")
