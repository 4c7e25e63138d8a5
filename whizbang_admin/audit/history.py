"""Who changed recorded history, when, why, and how many rows."""

from __future__ import annotations

from django.contrib import admin

from whizbang.models import HistoryChange
from whizbang_admin.frame.read_only import ReadOnlyAdmin


@admin.register(HistoryChange)
class HistoryChangeAdmin(ReadOnlyAdmin):
    list_display = ("operation", "changed_rows", "user", "reason", "began_at", "finished_at")
    ordering = ("-id",)
    fields = list_display
