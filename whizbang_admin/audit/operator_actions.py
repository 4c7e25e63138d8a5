"""The audit trail."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import OperatorAction
from whizbang.store.codec import JSON
from whizbang_admin.actions.page import action_page
from whizbang_admin.frame.documents import MOST_CHARACTERS, show_document, show_text
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Who did what, when and why; and the page that does an action (whizbang_admin/actions)."""

    list_display = ("at", "operator", "action", "target", "reason")
    fields = (*list_display, "message_id", "facts", "result", "before")
    readonly_fields = ("facts", "before")
    deferred = ("original", "parameters")
    ordering = ("-id",)
    search_fields = ("=message_id", "=target")
    search_help_text = _(
        "A whole message id, or what it was done to, such as: subscription shop.Orders"
    )

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.action_view)
        return [
            path("do/<slug:name>/", page, name="whizbang_operatoraction_do"),
            *super().get_urls(),
        ]

    def action_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """Each action has a permission of its own."""
        return action_page(self, request, name)

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return rows_of_message(queryset, term) | queryset.filter(target=term), False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The payload that an edit replaced is for those who may see dead letters."""
        may_see = request.user.has_perm("whizbang.view_deadletter")
        return [name for name in self.fields if may_see or name != "before"]

    @admin.display(description=_("parameters"))
    def facts(self, row: OperatorAction) -> str:
        text = json.dumps(row.parameters, indent=2, ensure_ascii=False)
        return show_text(text, label=translate("parameters"))

    @admin.display(description=_("payload before the edit"))
    def before(self, row: OperatorAction) -> str:
        if row.original is None:
            return "–"
        shown = show_document(JSON, bytes(row.original), most=MOST_CHARACTERS)
        more = translate("\n… there is more.") if shown.is_cut else ""
        return show_text(shown.text + more, label=translate("payload before the edit"))
