"""Dead letters: what was given up, and handling it once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter, InboxMessage
from whizbang.operations.dead_letters import retry_dead_letter
from whizbang.store.codec import JSON
from whizbang.store.event_store import event_store
from whizbang_admin.documents import (
    MOST_CHARACTERS,
    ShownDocument,
    show_document,
    show_text,
)
from whizbang_admin.pages import ReasonForm, back_to_list, list_url, render_page
from whizbang_admin.read_only import ReadOnlyAdmin
from whizbang_admin.searching import rows_of_message

_PERMISSION = "whizbang.redrive_deadletter"
_MOST_AT_ONCE = 100
_MOST_PAYLOAD = 4_000  # characters of each, on a page of up to that many
_CHUNK_ROWS = 10  # payloads in memory at a time


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """A dead letter as the confirmation page shows it; `inbox` is the row that will run again."""

    row: DeadLetter
    payload: ShownDocument
    inbox: InboxMessage | None


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages with the reason for which they were given up, and an action that redrives them."""

    list_display = ("message_id", "type", "reason", "attempts", "died_at")
    ordering = ("-id",)
    search_fields = ("=message_id",)
    search_help_text = _("A whole message id")
    fields = (*list_display, "occurred_at", "problem", "trace", "data", "origin")
    readonly_fields = ("problem", "trace", "data", "origin")
    deferred = ("payload", "metadata", "error", "traceback")
    actions = ("redrive",)

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
        return _show_cut(row.payload, label=translate("payload"))

    @admin.display(description=_("metadata"))
    def origin(self, row: DeadLetter) -> str:
        return _show_cut(row.metadata, label=translate("metadata"))

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(_PERMISSION)

    @admin.action(description=_("Redrive selected dead letters…"), permissions=["redrive"])
    def redrive(self, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        """Goes to the page that asks; nothing is done here."""
        pks = list(queryset.order_by("pk").values_list("pk", flat=True)[:_MOST_AT_ONCE])
        return HttpResponseRedirect(self._redrive_url(pks))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        url = self._redrive_url([object_id]) if self.has_redrive_permission(request) else ""
        context = {**(extra_context or {}), "redrive_url": url}
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.redrive_view)
        return [path("redrive/", page, name="whizbang_deadletter_redrive"), *super().get_urls()]

    def redrive_view(self, request: HttpRequest) -> HttpResponseBase:
        """Shows the dead letters that `id` names, and redrives them on POST."""
        if not (self.has_redrive_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        pks = _numbers_in(request.GET.getlist("id"))
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._redrive_all(request, pks, form.cleaned_data["reason"])
            return back_to_list(self)
        letters = _show_letters(self.get_queryset(request).filter(pk__in=pks).order_by("pk"))
        if not letters:
            messages.warning(request, translate("These dead letters are gone."))
            return back_to_list(self)
        count = len(letters)
        title = ngettext("Redrive %d dead letter", "Redrive %d dead letters", count) % count
        return render_page(
            self,
            request,
            "whizbang_admin/redrive.html",
            title=title,
            letters=letters,
            service=settings.SERVICE,
            attempts=settings.MAX_ATTEMPTS,
            form=form,
            verb=translate("Redrive"),
            back_url=list_url(self),
        )

    def _redrive_all(self, request: HttpRequest, pks: Sequence[int], reason: str) -> None:
        done = 0
        for pk in pks:
            try:
                self._redrive(request, pk, reason)
            except WhizbangError as exc:
                messages.error(request, str(exc))
            else:
                done += 1
        text = ngettext("%d message goes on again.", "%d messages go on again.", done)
        if done:
            messages.success(request, text % done)

    def _redrive(self, request: HttpRequest, pk: int, reason: str) -> None:
        with transaction.atomic(using=event_store().using):
            done = retry_dead_letter(pk)
            # On both: the letter is gone now, the message lives on.
            letter = DeadLetter(pk=pk, message_id=done.message_id, type=done.type)
            self.log_change(request, letter, f"Redriven: {reason}")
            if done.row is not None:
                self.log_change(request, done.row, f"Redriven from dead letter {pk}: {reason}")

    def _redrive_url(self, pks: Sequence[Any]) -> str:
        url = reverse("admin:whizbang_deadletter_redrive", current_app=self.admin_site.name)
        return f"{url}?{urlencode([('id', pk) for pk in pks])}"


def _show_letters(rows: Any) -> list[ShownLetter]:
    found = list(rows)
    inbox = {
        row.message_id: row
        for row in InboxMessage.objects.using(rows.db)
        .filter(message_id__in=[row.message_id for row in found], service=settings.SERVICE)
        .only("message_id", "service", "status")
    }
    payloads = rows.values_list("pk", "payload").iterator(chunk_size=_CHUNK_ROWS)
    shown = {pk: show_document(JSON, bytes(data), most=_MOST_PAYLOAD) for pk, data in payloads}
    return [
        ShownLetter(row, shown[row.pk], inbox.get(row.message_id))
        for row in found
        if row.pk in shown
    ]


def _show_cut(document: Any, *, label: str) -> str:
    shown = show_document(JSON, bytes(document), most=MOST_CHARACTERS)
    more = translate("\n… there is more.") if shown.is_cut else ""
    return show_text(shown.text + more, label=label)


def _numbers_in(texts: Sequence[str]) -> list[int]:
    numbers = sorted({int(text) for text in texts if text.isascii() and text.isdigit()})
    if not numbers or len(numbers) > _MOST_AT_ONCE or numbers[-1] >= 2**63:
        raise Http404
    return numbers
