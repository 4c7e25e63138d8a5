"""Redrives with their progress, and cancelling one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import Redrive
from whizbang.operations.actions.dead_letters import CancelRedrive
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import OPEN
from whizbang_admin.actions.links import offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.pages import render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.messages.things import Line

_LOOKS = {
    Redrive.Status.DONE: "ok",
    Redrive.Status.STOPPED: "fail",
    Redrive.Status.CANCELLED: "warn",
}


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
    ordering = ("-id",)
    deferred = ("waiting",)

    @admin.display(description=_("put back"))
    def progress(self, row: Redrive) -> str:
        return translate("%(done)s of %(total)s") % {"done": row.done, "total": row.total}

    @admin.display(description=_("which letters"))
    def chosen(self, row: Redrive) -> str:
        return str(LetterFilter.from_plain(row.filter))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """A page of our own: how far it has come."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, object_id)
        if run is None:
            raise Http404
        return self._page(request, run)

    def _page(self, request: HttpRequest, run: Redrive) -> HttpResponseBase:
        request.current_app = self.admin_site.name
        is_open = run.status in OPEN
        return render_page(
            self,
            request,
            "whizbang_admin/messages/redrive.html",
            title=translate("Redrive %s") % run.pk,
            run=run,
            look=_LOOKS.get(Redrive.Status(run.status), "warn"),
            percent=100 * run.done // run.total if run.total else 100,
            lines=_lines(self, run),
            offers=offer(request, CancelRedrive(redrive=run.pk)) if is_open else [],
            trail=actions_on(request, f"redrive {run.pk}"),
        )


def _lines(model_admin: RedriveAdmin, run: Redrive) -> list[Line]:
    pace = translate("as fast as it goes")
    if run.rate_per_second:
        pace = translate("at most %s a second") % f"{run.rate_per_second:g}"
    ends = translate("goes on") if run.is_keeping_going else translate("stops")
    lines = [
        Line(translate("Which letters"), model_admin.chosen(run)),
        Line(translate("Pace"), pace),
        Line(translate("When another one dies again"), ends),
        Line(translate("Asked for by"), run.requested_by),
        Line(translate("Reason"), run.reason),
        Line(translate("Asked for"), run.requested_at),
        Line(translate("Begun"), run.started_at),
        Line(translate("Ended"), run.finished_at),
    ]
    return [line for line in lines if line.value not in (None, "")]
