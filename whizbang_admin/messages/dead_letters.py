"""Dead letters: what was given up, and ways to decide about it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from whizbang.models import DeadLetter
from whizbang.operations.actions.dead_letters import DiscardLetters, RedriveLetters
from whizbang.operations.letter_discards import newest_letter
from whizbang_admin.actions.links import action_url
from whizbang_admin.frame.pages import list_url
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message
from whizbang_admin.messages.letter import letter_page
from whizbang_admin.messages.letter_edit import edit_page
from whizbang_admin.messages.letter_groups import groups_page, offers_for
from whizbang_admin.messages.shown_letters import ids_of


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages with the reason for which they were given up: first their groups, then each of them."""

    goes_when_mended = True
    list_display = ("message_id", "type", "reason", "attempts", "died_at")
    ordering = ("-id",)
    search_fields = ("=message_id",)
    search_help_text = _("A whole message id")
    deferred = ("payload", "metadata", "error", "traceback", "document")
    actions = ("redrive", "discard")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (rows_of_message(queryset, search_term) if search_term else queryset), False

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RedriveLetters.permission)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DiscardLetters.permission)

    @admin.action(description=_("Redrive selected dead letters…"), permissions=["redrive"])
    def redrive(self, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        """Goes to the page that asks; nothing is done here."""
        return self._ask(request, RedriveLetters(ids=ids_of(queryset)))

    @admin.action(description=_("Discard selected dead letters…"), permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        """Goes to the page that asks; nothing is done here."""
        return self._ask(request, DiscardLetters(ids=ids_of(queryset)))

    def _ask(
        self, request: HttpRequest, action: RedriveLetters | DiscardLetters
    ) -> HttpResponseBase:
        back = request.get_full_path()
        return HttpResponseRedirect(action_url(action, back=back, site=self.admin_site.name))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The groups, where nothing is asked for; `all` is the plain list."""
        if request.method == "GET" and not request.GET:
            return groups_page(self, request)
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        names = {"type": "type__exact", "reason": "reason__exact"}
        chosen = {name: request.GET[key] for name, key in names.items() if request.GET.get(key)}
        context: dict[str, Any] = {
            "chosen": ", ".join(f"{name} {value}" for name, value in chosen.items()),
            "groups_url": list_url(self),
            "offers": [],
        }
        if chosen:
            type, cause = chosen.get("type", ""), chosen.get("reason", "")
            context["offers"] = offers_for(request, until=newest_letter(), type=type, cause=cause)
        given = request.GET.copy()
        given.pop("all", None)
        request.GET = given  # type: ignore[assignment]
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """A page of our own: what happened to it, and what can be done."""
        return letter_page(self, request, object_id)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.edit_view)
        own = [path("<int:pk>/edit/", page, name="whizbang_deadletter_edit")]
        return [*own, *super().get_urls()]

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        return edit_page(self, request, pk)
