"""Rebuilds and the inbox."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import InboxMessage, Rebuild
from whizbang.operations.rebuild import progress_of
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message


@admin.register(Rebuild)
class RebuildAdmin(ReadOnlyAdmin):
    """Who asked for which rebuild, why, and what became of it."""

    list_display = (
        "projection",
        "kind",
        "status",
        "progress",
        "requested_by",
        "requested_at",
        "finished_at",
    )
    list_filter = ("status",)
    ordering = ("-id",)
    fields = (
        "projection",
        "kind",
        "status",
        "progress",
        "method",
        "is_held",
        "changes",
        "requested_by",
        "reason",
        "events",
        "rows",
        "position",
        "requested_at",
        "started_at",
        "finished_at",
        "problem",
    )
    readonly_fields = ("progress", "changes", "problem")
    deferred = ("error", "difference")

    @admin.display(description=_("progress"))
    def progress(self, row: Rebuild) -> str:
        return progress_of(row).text()

    @admin.display(description=_("changes"))
    def changes(self, row: Rebuild) -> str:
        """How the new rows differ from those that were live, with samples."""
        if not row.difference:
            return "–"
        text = json.dumps(row.difference, indent=2, ensure_ascii=False)
        return show_text(text, label=translate("changes"))

    @admin.display(description=_("error"))
    def problem(self, row: Rebuild) -> str:
        return show_text(row.error, label=translate("error"))


@admin.register(InboxMessage)
class InboxMessageAdmin(ReadOnlyAdmin):
    """Commands that wait, run, or were handled."""

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
    search_help_text = _("A whole message id")
    fields = ("service", *list_display, "problem", "trace")
    readonly_fields = ("problem", "trace")
    deferred = ("payload", "metadata", "result", "error", "traceback")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (rows_of_message(queryset, search_term) if search_term else queryset), False

    @admin.display(description=_("error"))
    def problem(self, row: InboxMessage) -> str:
        return show_text(row.error, label=translate("error"))

    @admin.display(description=_("traceback"))
    def trace(self, row: InboxMessage) -> str:
        return show_text(row.traceback, label=translate("traceback"))
