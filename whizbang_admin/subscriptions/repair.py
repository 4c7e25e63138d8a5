"""What operators did to mend read models: edited copies, and backfills."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import Backfill, EditedEvent
from whizbang.store.event_store import event_store
from whizbang_admin.frame.documents import show_document, show_text
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.subscriptions.parked import SubscriptionFilter


@admin.register(EditedEvent)
class EditedEventAdmin(ReadOnlyAdmin):
    """Copies that a subscription applies in place of events: what is in them, who made them and why."""

    list_display = ("stream", "version", "subscription", "type", "reason", "edited_by", "edited_at")
    list_filter = (SubscriptionFilter,)
    fields = ("stream", "position", *list_display[1:], "data")
    readonly_fields = ("data",)
    deferred = ("payload",)
    ordering = ("-id",)

    @admin.display(description=_("data"))
    def data(self, row: EditedEvent) -> str:
        shown = show_document(event_store().serializer, bytes(row.payload), most=None)
        return show_text(shown.text, label=translate("data"))


@admin.register(Backfill)
class BackfillAdmin(ReadOnlyAdmin):
    """Parts of the past that were given to subscriptions: who asked, why, and what became of it."""

    list_display = (
        "subscription",
        "status",
        "events_done",
        "events",
        "requested_by",
        "requested_at",
        "finished_at",
    )
    list_filter = ("status",)
    fields = (
        *list_display,
        "after",
        "until",
        "position",
        "events_left_out",
        "events_per_second",
        "reason",
        "started_at",
        "problem",
    )
    readonly_fields = ("problem",)
    deferred = ("error", "scope")
    ordering = ("-id",)

    @admin.display(description=_("error"))
    def problem(self, row: Backfill) -> str:
        return show_text(row.error, label=translate("error"))
