"""Backfills: the list, and the page of one."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as translate

from whizbang.models import Backfill
from whizbang.operations.actions.backfills import CancelBackfill
from whizbang_admin.actions.links import offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.object_page import ObjectPageAdmin
from whizbang_admin.frame.pages import render_page
from whizbang_admin.subscriptions.progress import show_backfill


@admin.register(Backfill)
class BackfillAdmin(ObjectPageAdmin):
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
    deferred = ("error", "scope")
    ordering = ("-id",)

    def object_page(self, request: HttpRequest, row: Any) -> HttpResponseBase:
        shown = show_backfill(row)
        may_view = request.user.has_perm("whizbang.view_subscription")
        return render_page(
            self,
            request,
            "whizbang_admin/subscriptions/backfill.html",
            title=translate("Backfill %(pk)s: %(name)s") % {"pk": row.pk, "name": row.subscription},
            row=row,
            shown=shown,
            scope=show_text(_scope_text(row), label=translate("scope")),
            problem=show_text(row.error, label=translate("error")) if row.error else "",
            offered=offer(request, CancelBackfill(subscription=row.subscription))
            if shown.is_open
            else [],
            subscription_url=reverse(
                "admin:whizbang_subscription_change",
                args=[quote(row.subscription)],
                current_app=self.admin_site.name,
            )
            if may_view
            else "",
            history_url=self.url_of("history", quote(row.pk)),
            trail=actions_on(request, f"subscription {row.subscription}"),
        )


def _scope_text(row: Backfill) -> str:
    """Between which positions, and what else is demanded of them."""
    given = {name: value for name, value in row.scope.items() if value is not None}
    places = translate("positions %(after)s to %(until)s")
    text = places % {"after": row.after + 1, "until": row.until}
    more = json.dumps(given, indent=2, ensure_ascii=False) if given else ""
    return f"{text}\n{more}".strip()
