"""The outbox: what waits to be sent, for whom and since when."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.drivers.brokers.base import Kind
from whizbang.exceptions import WhizbangError
from whizbang.models import OutboxMessage
from whizbang.operations.actions.outbox import DiscardOutbox, SendNow
from whizbang.operations.messages.outbox import (
    MOST_COUNTED,
    WaitingOutbox,
    age_of,
    find_outbox_message,
    waiting_outbox,
)
from whizbang_admin.actions.links import offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message
from whizbang_admin.messages.things import Line, document_box, payload_box, show_thing


def _waiting(request: HttpRequest) -> WaitingOutbox:
    """Counted once a request."""
    found: WaitingOutbox = vars(request).setdefault("_whizbang_outbox", None) or waiting_outbox()
    vars(request)["_whizbang_outbox"] = found
    return found


class DestinationFilter(admin.SimpleListFilter):
    """Among the oldest, as they are counted: to find the few of one service may need to read all rows."""

    title = _("destination")
    parameter_name = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(group.service, group.service) for group in _waiting(request).destinations]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        if not wanted:
            return queryset
        until = _waiting(request).until
        rows = queryset if until is None else queryset.filter(id__lt=until)
        return rows.filter(service=wanted)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """Commands and answers for other services that wait, the oldest first; a search finds sent ones too."""

    goes_when_mended = True
    list_display = ("message_id", "type", "kind", "service", "waits", "available_at")
    list_filter = (DestinationFilter,)
    ordering = ("id",)
    search_fields = ("=message_id",)
    search_help_text = _("A whole message id")
    deferred = ("payload", "metadata")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Sent ones are kept for a while, and are many."""
        rows = super().get_queryset(request)
        return rows if request.GET.get("q") else rows.filter(published_at__isnull=True)

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        return rows_of_message(queryset, search_term), False

    @admin.display(description=_("waits"))
    def waits(self, row: OutboxMessage) -> str:
        if row.published_at is not None:
            return translate("sent")
        return translate("%s s") % f"{age_of(row):,.0f}"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context: dict[str, Any] = {"most_counted": f"{MOST_COUNTED:,}"}
        if self.has_view_permission(request):
            context["waiting"] = _waiting(request)
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """A page of our own: where it goes, and what can be done."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        try:
            row = find_outbox_message(object_id)
        except WhizbangError as exc:
            raise Http404(str(exc)) from exc
        actions = (SendNow(message=str(row.pk)), DiscardOutbox(message=str(row.pk)))
        return show_thing(
            self,
            request,
            title=translate("Message %s of the outbox") % row.pk,
            lines=self._lines(row),
            boxes=[
                payload_box(translate("Payload"), row, request),
                document_box(translate("Metadata"), row.metadata),
            ],
            offers=offer(request, *actions) if row.published_at is None else [],
            trail=actions_on(request, f"outbox message {row.pk}", message_id=row.message_id),
        )

    def _lines(self, row: OutboxMessage) -> list[Line]:
        is_reply = row.kind == Kind.REPLY
        return [
            Line(translate("Type"), row.type),
            Line(translate("Message id"), row.message_id),
            Line(translate("What it is"), translate("an answer") if is_reply else row.kind),
            Line(translate("To service"), row.service),
            Line(translate("Waits"), self.waits(row)),
            Line(translate("Sent"), row.published_at),
            Line(translate("Occurred"), row.occurred_at),
            Line(translate("To be handled there"), row.available_at),
            Line(translate("Expires"), row.expires_at),
            Line(translate("Ordering key"), row.ordering_key),
            Line(translate("Service that waits for the answer"), row.reply_to),
        ]
