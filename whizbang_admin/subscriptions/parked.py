"""Parked streams: what one subscription has set aside, trying it again, and what was left out for good."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import ParkedStream, SkippedEvent
from whizbang.operations.actions.parked import RetrySelected
from whizbang.operations.rebuild.twin import KEPT, NEW
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions
from whizbang_admin.actions.links import action_url
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.object_page import ObjectPageAdmin
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.subscriptions.parked_edit import edit_page
from whizbang_admin.subscriptions.parked_page import parked_page

_ERROR_BEGINS = 200  # characters of it that are read for a list
_MOST_AT_ONCE = 200  # their numbers stand in an address


class SubscriptionFilter(admin.SimpleListFilter):
    """By subscription, as the code declares them."""

    title = _("subscription")
    parameter_name = "subscription"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = sorted(definition.name for definition in all_definitions(event_store()))
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(subscription=self.value()) if self.value() else queryset


@admin.register(ParkedStream)
class ParkedStreamAdmin(ObjectPageAdmin):
    """Streams with the event that failed, and what can be done about it."""

    goes_when_mended = True
    list_display = (
        "stream",
        "subscription",
        "reason",
        "type",
        "attempts",
        "parked_at",
        "is_retry_requested",
        "version",
        "key",
    )
    list_filter = (SubscriptionFilter,)
    deferred = ("error", "traceback")
    ordering = ("-id",)
    actions = ("retry",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without those of tables beside the live ones, which come and go with them."""
        rows = super().get_queryset(request).annotate(error_begins=Left("error", _ERROR_BEGINS))
        return rows.exclude(subscription__endswith=NEW).exclude(subscription__endswith=KEPT)

    @admin.display(description=_("reason"))
    def reason(self, row: Any) -> str:
        """The type of the error: many streams usually have one cause."""
        begins: str = row.error_begins
        return begins.partition(":")[0]

    def get_urls(self) -> list[URLPattern]:
        edit = self.admin_site.admin_view(self.edit_view)
        own = [path("<int:pk>/edit/", edit, name="whizbang_parkedstream_edit")]
        return [*own, *super().get_urls()]

    def object_page(self, request: HttpRequest, row: Any) -> HttpResponseBase:
        return parked_page(self, request, row)

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """A form with the payload, then the difference and a question."""
        return edit_page(self, request, pk)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("whizbang.retry_parkedstream")

    @admin.action(description=_("Retry selected parked streams…"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        """Leads to the page that asks why."""
        pks = queryset.order_by("id").values_list("pk", flat=True)[:_MOST_AT_ONCE]
        action = RetrySelected(ids=",".join(str(pk) for pk in pks))
        site = self.admin_site.name
        return HttpResponseRedirect(action_url(action, back=request.get_full_path(), site=site))


@admin.register(SkippedEvent)
class SkippedEventAdmin(ReadOnlyAdmin):
    """Events that somebody let a subscription leave out: who, when and why."""

    list_display = (
        "stream",
        "version",
        "key",
        "subscription",
        "type",
        "reason",
        "skipped_by",
        "skipped_at",
    )
    list_filter = (SubscriptionFilter,)
    fields = (
        "stream",
        "version",
        "position",
        "key",
        "subscription",
        "type",
        "reason",
        "skipped_by",
        "skipped_at",
        "problem",
    )
    readonly_fields = ("problem",)
    deferred = ("error",)
    ordering = ("-id",)

    @admin.display(description=_("error"))
    def problem(self, row: SkippedEvent) -> str:
        return show_text(row.error, label=translate("error"))
