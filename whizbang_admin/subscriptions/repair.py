"""What operators did to mend read models: edited copies, and what was left out."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import EditedEvent
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
