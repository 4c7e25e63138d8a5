"""The audit trail."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import OperatorAction
from whizbang.operations.actions import action_class, action_names
from whizbang_admin.actions.page import action_page
from whizbang_admin.audit.objects import object_url
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message
from whizbang_admin.messages.options import MomentField
from whizbang_admin.messages.things import Box, Line, original_box, show_thing

# Of records that no action of that name writes.
_OTHER_NAMES = ("approve request", "refuse request", "withdraw request")


class WhoAndWhen(forms.Form):
    """What the list is narrowed to; the names are those of Django's own filters."""

    operator__exact = forms.CharField(label=_("Who"), required=False, max_length=150)
    target__exact = forms.CharField(label=_("On what"), required=False, max_length=200)
    at__gte = MomentField(label=_("From"), required=False)
    at__lt = MomentField(label=_("Until"), required=False)


class ActionFilter(admin.SimpleListFilter):
    """By the names that there are: reading which ones are stored would read all rows."""

    title = _("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = {action_class(name).recorded_as or name for name in action_names()}
        return [(name, name) for name in sorted({*names, *_OTHER_NAMES})]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Who did what, when and why; and the page that does an action (whizbang_admin/actions)."""

    list_display = ("at", "operator", "action", "target", "reason")
    list_filter = (ActionFilter,)
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

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        given = request.GET.copy()
        asked = WhoAndWhen(given or None)
        read = asked.cleaned_data if asked.is_valid() else {}
        for name in asked.fields:
            given.pop(name, None)
            if read.get(name):
                given[name] = str(read[name])
        request.GET = given  # type: ignore[assignment]
        kept = [(name, value) for name, value in given.items() if name not in asked.fields]
        context = {"asked": asked, "kept": [item for item in kept if item[0] in ("q", "action")]}
        return super().changelist_view(request, context | (extra_context or {}))

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return rows_of_message(queryset, term) | queryset.filter(target=term), False

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """A page of our own, with a way to what it was done to."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return show_thing(
            self,
            request,
            title=f"{row.action} {row.target}",
            lines=_lines(request, row),
            boxes=_boxes(request, row),
            offers=[],
            trail=actions_on(request, row.target),
        )


def _lines(request: HttpRequest, row: OperatorAction) -> list[Line]:
    return [
        Line(translate("When"), row.at),
        Line(translate("Who"), row.operator),
        Line(translate("What"), row.action),
        Line(translate("On"), row.target, object_url(request, row.target)),
        Line(translate("Why"), row.reason),
        Line(translate("Message id"), row.message_id),
        Line(translate("Result"), row.result),
    ]


def _boxes(request: HttpRequest, row: OperatorAction) -> list[Box]:
    """The payload that was edited or discarded is for those who may see dead letters."""
    text = json.dumps(row.parameters, indent=2, ensure_ascii=False, default=str)
    boxes = [Box(translate("Parameters"), text)]
    if request.user.has_perm("whizbang.view_deadletter"):
        boxes.append(original_box(translate("Payload before it"), row, request))
    return boxes
