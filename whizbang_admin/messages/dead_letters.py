"""Dead letters: what was given up, and ways to decide about it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import DeadLetter
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.pages import list_url
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message
from whizbang_admin.messages.letter_decisions import (
    DISCARD,
    DISCARD_PERMISSION,
    REDRIVE,
    REDRIVE_PERMISSION,
    decide,
)
from whizbang_admin.messages.letter_edit import EDIT_PERMISSION, edit_page
from whizbang_admin.messages.letter_groups import groups_page, matching_url, redrive_matching_page
from whizbang_admin.messages.shown_letters import numbers_of, show_cut


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages with the reason for which they were given up: first their groups, then each of them."""

    list_display = ("message_id", "type", "reason", "attempts", "died_at")
    ordering = ("-id",)
    search_fields = ("=message_id",)
    search_help_text = _("A whole message id")
    fields = (*list_display, "occurred_at", "problem", "trace", "data", "origin")
    readonly_fields = ("problem", "trace", "data", "origin")
    deferred = ("payload", "metadata", "error", "traceback", "document")
    actions = ("redrive", "discard")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (rows_of_message(queryset, search_term) if search_term else queryset), False

    @admin.display(description=_("error"))
    def problem(self, row: DeadLetter) -> str:
        return show_text(row.error, label=translate("error"))

    @admin.display(description=_("traceback"))
    def trace(self, row: DeadLetter) -> str:
        return show_text(row.traceback, label=translate("traceback"))

    @admin.display(description=_("payload"))
    def data(self, row: DeadLetter) -> str:
        return show_cut(row.payload, label=translate("payload"))

    @admin.display(description=_("metadata"))
    def origin(self, row: DeadLetter) -> str:
        return show_cut(row.metadata, label=translate("metadata"))

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REDRIVE_PERMISSION)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DISCARD_PERMISSION)

    @admin.action(description=_("Redrive selected dead letters…"), permissions=["redrive"])
    def redrive(self, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        """Goes to the page that asks; nothing is done here."""
        return HttpResponseRedirect(self._page_of("redrive", *numbers_of(queryset)))

    @admin.action(description=_("Discard selected dead letters…"), permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        """Goes to the page that asks; nothing is done here."""
        return HttpResponseRedirect(self._page_of("discard", *numbers_of(queryset)))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The groups, where nothing is asked for; `all` is the plain list."""
        if request.method == "GET" and not request.GET:
            return groups_page(self, request)
        given = request.GET.copy()
        given.pop("all", None)
        request.GET = given  # type: ignore[assignment]
        names = {"type": "type__exact", "reason": "reason__exact"}
        chosen = {name: request.GET[key] for name, key in names.items() if request.GET.get(key)}
        context = {
            "chosen": ", ".join(f"{name} {value}" for name, value in chosen.items()),
            "groups_url": list_url(self),
            "matching_url": "",
        }
        if self.has_redrive_permission(request) and chosen:
            context["matching_url"] = matching_url(self, **chosen)
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may_edit = request.user.has_perm(EDIT_PERMISSION)
        may_discard = self.has_discard_permission(request)
        may_redrive = self.has_redrive_permission(request)
        context = {
            "redrive_url": self._page_of("redrive", object_id) if may_redrive else "",
            "discard_url": self._page_of("discard", object_id) if may_discard else "",
            "edit_url": self._url("edit", object_id) if may_edit and object_id.isdigit() else "",
        }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("redrive/", wrap(self.redrive_view), name="whizbang_deadletter_redrive"),
            path("discard/", wrap(self.discard_view), name="whizbang_deadletter_discard"),
            path("<int:pk>/edit/", wrap(self.edit_view), name="whizbang_deadletter_edit"),
            path(
                "redrive-matching/",
                wrap(self.redrive_matching_view),
                name="whizbang_deadletter_redrive_matching",
            ),
        ]
        return [*own, *super().get_urls()]

    def redrive_view(self, request: HttpRequest) -> HttpResponseBase:
        return decide(self, request, REDRIVE)

    def discard_view(self, request: HttpRequest) -> HttpResponseBase:
        return decide(self, request, DISCARD)

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        return edit_page(self, request, pk)

    def redrive_matching_view(self, request: HttpRequest) -> HttpResponseBase:
        return redrive_matching_page(self, request)

    def _page_of(self, page: str, *pks: Any) -> str:
        return f"{self._url(page)}?{urlencode([('id', pk) for pk in pks])}"

    def _url(self, page: str, *args: Any) -> str:
        name = f"admin:whizbang_deadletter_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)
