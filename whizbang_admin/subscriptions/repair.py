"""Edited copies that subscriptions apply in place of events."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate

from whizbang.models import EditedEvent
from whizbang.operations.actions.parked import DiscardEdit
from whizbang.store.event_store import event_store
from whizbang_admin.actions.links import offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.documents import show_payload, show_text
from whizbang_admin.frame.object_page import ObjectPageAdmin
from whizbang_admin.frame.pages import render_page
from whizbang_admin.subscriptions.parked import SubscriptionFilter


@admin.register(EditedEvent)
class EditedEventAdmin(ObjectPageAdmin):
    """What is in them, who made them and why; one can be discarded."""

    list_display = ("stream", "version", "subscription", "type", "reason", "edited_by", "edited_at")
    list_filter = (SubscriptionFilter,)
    deferred = ("payload",)
    ordering = ("-id",)

    def object_page(self, request: HttpRequest, row: Any) -> HttpResponseBase:
        name, stream = row.subscription, row.stream
        shown = show_payload(
            event_store().serializer, bytes(row.payload), type=row.type, who=request.user
        )
        action = DiscardEdit(subscription=name, stream=stream, version=row.version)
        return render_page(
            self,
            request,
            "whizbang_admin/subscriptions/edited.html",
            title=translate("Edited copy: %s") % row,
            row=row,
            data=show_text(shown.text, label=translate("data")),
            offered=offer(request, action),
            history_url=self.url_of("history", quote(row.pk)),
            trail=actions_on(request, f"subscription {name} stream {stream}"),
        )
