"""The inbox: messages that wait, run, or were handled; and what is due later."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.messages.types import public_types
from whizbang.models import DeadLetter, InboxMessage
from whizbang.operations.actions.inbox import DiscardInbox, HandleNow
from whizbang.operations.messages.inbox import (
    Due,
    ahead_of,
    count_behind,
    find_inbox_message,
    list_scheduled,
    why_it_waits,
)
from whizbang.operations.messages.inbox_decisions import check_waiting
from whizbang_admin.actions.links import Offered, offer, offer_named
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.pages import render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.frame.searching import rows_of_message
from whizbang_admin.messages.newest import NEWEST, among_newest
from whizbang_admin.messages.things import (
    Box,
    Line,
    correlation_line,
    document_box,
    linked,
    page_url,
    payload_box,
    show_thing,
)

_PAGE_ROWS = 50


class StatusFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return InboxMessage.Status.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        if wanted not in InboxMessage.Status.values:
            return queryset
        if wanted == InboxMessage.Status.STORED:  # most of those that have an index
            return queryset.filter(status=wanted, finished_at__isnull=True)
        return among_newest(queryset).filter(status=wanted)


class TypeFilter(admin.SimpleListFilter):
    """Types that are declared here: reading which ones are stored would read all rows."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        infos = (cls.__whizbang__ for cls in public_types())
        names = sorted({info.type_name for info in infos if info.kind == "command"})
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        return queryset if not wanted else among_newest(queryset).filter(type=wanted)


@admin.register(InboxMessage)
class InboxMessageAdmin(ReadOnlyAdmin):
    """Commands that wait, run, or were handled; receipts of those that other services handle."""

    list_display = (
        "message_id",
        "type",
        "status",
        "mode",
        "attempts",
        "available_at",
        "finished_at",
    )
    list_filter = (StatusFilter, TypeFilter)
    ordering = ("-id",)
    search_fields = ("=message_id",)
    search_help_text = _("A whole message id")
    deferred = ("payload", "metadata", "result", "error", "traceback")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (rows_of_message(queryset, search_term) if search_term else queryset), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        is_cut = "type" in request.GET or request.GET.get("status", "stored") != "stored"
        context = {
            "scheduled_url": page_url(self, "inboxmessage", "scheduled"),
            "note": translate("Among the newest %s messages.") % f"{NEWEST:,}" if is_cut else "",
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.scheduled_view)
        own = [path("scheduled/", page, name="whizbang_inboxmessage_scheduled")]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """A page of our own: what happened to it, and what can be done."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        try:
            row = find_inbox_message(object_id)
        except WhizbangError as exc:
            raise Http404(str(exc)) from exc
        return show_thing(
            self,
            request,
            title=translate("Message %s of the inbox") % row.pk,
            lines=[*_lines(self, request, row), correlation_line(request, row.metadata)],
            boxes=[
                Box(translate("Error"), row.error),
                payload_box(translate("Payload"), row, request),
                document_box(translate("Metadata"), row.metadata),
                Box(translate("Traceback"), row.traceback, is_trace=True),
            ],
            offers=_offers(request, row),
            trail=actions_on(request, f"inbox message {row.pk}", message_id=row.message_id),
        )

    def scheduled_view(self, request: HttpRequest) -> HttpResponseBase:
        """What is due later, the soonest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        found = list_scheduled(after=_place_in(request), limit=_PAGE_ROWS + 1)
        rows = found[:_PAGE_ROWS]
        more = _after(rows[-1]) if len(found) > len(rows) else ""
        return render_page(
            self,
            request,
            "whizbang_admin/messages/scheduled.html",
            title=translate("Messages that are due later"),
            rows=[(row, why_it_waits(row), self._page_of(row)) for row in rows],
            more_url=f"?{more}" if more else "",
            is_first=not request.GET.get("after"),
        )

    def _page_of(self, row: InboxMessage) -> str:
        return page_url(self, "inboxmessage", "change", row.pk)


def _lines(model_admin: Any, request: HttpRequest, row: InboxMessage) -> list[Line]:
    letters = DeadLetter.objects.using(row._state.db or "default")
    letter = letters.filter(message_id=row.message_id).only("id", "message_id", "type").first()
    return [
        Line(translate("Type"), row.type),
        Line(translate("Message id"), row.message_id),
        Line(translate("Status"), row.get_status_display()),
        Line(translate("Why it waits"), why_it_waits(row)),
        Line(translate("Attempts"), row.attempts),
        Line(translate("Due"), row.available_at if row.finished_at is None else None),
        Line(translate("Expires"), row.expires_at),
        Line(translate("Ended"), row.finished_at),
        Line(translate("Occurred"), row.occurred_at),
        Line(translate("Handled by service"), row.service),
        Line(translate("Mode"), row.mode),
        Line(translate("Priority"), row.priority),
        Line(translate("Answer goes to service"), row.reply_to),
        *_key_lines(model_admin, request, row),
        linked(model_admin, request, translate("Dead letter"), letter),
    ]


def _key_lines(model_admin: Any, request: HttpRequest, row: InboxMessage) -> list[Line]:
    if row.ordering_key is None:
        return []
    ahead = next(iter(ahead_of(row)), None)
    return [
        Line(translate("Ordering key"), row.ordering_key),
        linked(model_admin, request, translate("Waits behind"), ahead),
        Line(translate("Messages that wait behind it"), count_behind(row)),
    ]


def _offers(request: HttpRequest, row: InboxMessage) -> list[Offered]:
    id = str(row.pk)
    found = []
    if _can_be_decided(row):
        found += offer(request, HandleNow(message=id))
        found += offer_named(request, "reschedule", message=id)
    if _can_be_decided(row, is_abandoned_too=True):
        found += offer(request, DiscardInbox(message=id))
    return found


def _can_be_decided(row: InboxMessage, *, is_abandoned_too: bool = False) -> bool:
    try:
        check_waiting(row, is_abandoned_too=is_abandoned_too)
    except WhizbangError:
        return False
    return True


def _place_in(request: HttpRequest) -> Due | None:
    """Behind which row the page begins. Raises Http404 for what is none."""
    text, number = request.GET.get("after", ""), request.GET.get("id", "0")
    if not text:
        return None
    try:
        at: datetime | None = parse_datetime(text)
    except ValueError as exc:
        raise Http404 from exc
    if at is None or at.tzinfo is None or not (number.isascii() and number.isdigit()):
        raise Http404
    return Due(at, min(int(number[:19]), 2**63 - 1))


def _after(row: InboxMessage) -> str:
    return urlencode({"after": row.available_at.isoformat(), "id": str(row.pk)})
