"""Rebuilds."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import Rebuild
from whizbang.operations.rebuild import progress_of
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.read_only import ReadOnlyAdmin


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
