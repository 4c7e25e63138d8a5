"""Redrives with their progress, and cancelling one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import Redrive
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import OPEN, cancel_redrive
from whizbang.store.event_store import event_store
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.pages import ReasonForm, render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.messages.letter_decisions import REDRIVE_PERMISSION


@admin.register(Redrive)
class RedriveAdmin(ReadOnlyAdmin):
    """Who asked for which dead letters to be handled again, why, and how far it has come."""

    list_display = (
        "id",
        "status",
        "progress",
        "chosen",
        "canary",
        "requested_by",
        "requested_at",
    )
    list_filter = ("status",)
    fields = (
        *list_display[1:5],
        "handled",
        "failed",
        "rate_per_second",
        "is_keeping_going",
        "reason",
        "requested_by",
        "requested_at",
        "started_at",
        "finished_at",
        "problem",
    )
    readonly_fields = ("progress", "chosen", "problem")
    ordering = ("-id",)

    @admin.display(description=_("put back"))
    def progress(self, row: Redrive) -> str:
        return translate("%(done)s of %(total)s") % {"done": row.done, "total": row.total}

    @admin.display(description=_("which letters"))
    def chosen(self, row: Redrive) -> str:
        return str(LetterFilter.from_plain(row.filter))

    @admin.display(description=_("error"))
    def problem(self, row: Redrive) -> str:
        return show_text(row.error, label=translate("error"))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Who may start one may end one."""
        return request.user.has_perm(REDRIVE_PERMISSION) and self.has_view_permission(request)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        can_cancel = run is not None and run.status in OPEN and self.has_cancel_permission(request)
        context = {"cancel_url": self._url("cancel", object_id) if can_cancel else ""}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.cancel_view)
        return [
            path("<int:pk>/cancel/", page, name="whizbang_redrive_cancel"),
            *super().get_urls(),
        ]

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Asks why, and ends the run on POST."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._cancel(request, pk, form.cleaned_data["reason"])
            return redirect(self._url("change", pk))
        return render_page(
            self,
            request,
            "whizbang_admin/cancel_redrive.html",
            title=translate("Cancel redrive %s") % pk,
            form=form,
            verb=translate("Cancel the redrive"),
            back_url=self._url("change", pk),
        )

    def _cancel(self, request: HttpRequest, pk: int, reason: str) -> None:
        try:
            with transaction.atomic(using=event_store().using):
                run = cancel_redrive(pk, operator=request.user.get_username(), reason=reason)
                self.log_change(request, run, f"Cancelled: {reason}")
        except WhizbangError as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, translate("Redrive %s is cancelled.") % pk)

    def _url(self, page: str, pk: Any) -> str:
        name = f"admin:whizbang_redrive_{page}"
        return reverse(name, args=[pk], current_app=self.admin_site.name)
