"""The inbox."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import InboxMessage
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message


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
