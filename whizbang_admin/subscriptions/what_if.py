"""What-if: today's code over history, without writing; asking for it, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as translate

from whizbang.messages.personal import MASK
from whizbang.models import ActionRequest
from whizbang.operations.actions.rehearsals import Rehearse, RehearseOutside
from whizbang.store.event_store import event_store
from whizbang_admin.actions.links import BACK
from whizbang_admin.frame.documents import HIDDEN, may_see_personal_data
from whizbang_admin.frame.exports import FORMATS, download
from whizbang_admin.frame.page_admin import PageAdmin
from whizbang_admin.frame.pages import render_page
from whizbang_admin.models import WhatIf
from whizbang_admin.subscriptions.options import RehearsalForm

_NAMES = (Rehearse.name, RehearseOutside.name)
_MOST_LISTED = 50
_COLUMNS = ("key", "change", "field", "today", "recorded")


@admin.register(WhatIf)
class WhatIfAdmin(PageAdmin):
    """A form, the rehearsals that were asked for, and a page for each of them."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:pk>/", view(self.result_view), name="whizbang_admin_whatif_result"),
            path(
                "<int:pk>/<slug:format>/",
                view(self.download_view),
                name="whizbang_admin_whatif_download",
            ),
        ]
        return [*own, *super().get_urls()]

    def page(self, request: HttpRequest) -> HttpResponseBase:
        rows = _requests().defer("document", "seen").order_by("-id")[: _MOST_LISTED + 1]
        asked = list(rows)
        offers = [
            (str(cls.label), self._do_url(cls.name))
            for cls in (Rehearse, RehearseOutside)
            if request.user.has_perm(cls.permission)
        ]
        return self.render(
            request,
            "whizbang_admin/what_if/list.html",
            title=translate("What-if"),
            form=RehearsalForm(None, initial=request.GET.dict()) if offers else None,
            offers=offers,
            back_name=BACK,
            back=request.path,
            asked=asked[:_MOST_LISTED],
            is_cut=len(asked) > _MOST_LISTED,
        )

    def result_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """What one rehearsal found, or how far it is."""
        found = self._found(request, pk)
        document = found.document or {}
        is_hidden = not may_see_personal_data(request.user)
        downloads = [
            (format.upper(), self._url("whizbang_admin_whatif_download", pk, format))
            for format in FORMATS
        ]
        return render_page(
            self,
            request,
            "whizbang_admin/what_if/result.html",
            title=translate("What-if %(pk)s: %(name)s")
            % {"pk": pk, "name": found.parameters.get("subscription", "")},
            found=found,
            is_open=found.status in _OPEN,
            parameters=sorted(_told_parameters(found)),
            document=document,
            lines=list(_lines(document, is_hidden=is_hidden)),
            hidden=HIDDEN if is_hidden else "",
            has_more=_count_of(document) > len(document.get("samples", ())),
            downloads=downloads if document.get("samples") else [],
        )

    def download_view(self, request: HttpRequest, pk: int, format: str) -> HttpResponseBase:
        """The differences as CSV or JSON, as the page shows them."""
        found = self._found(request, pk)
        if format not in FORMATS:
            raise Http404
        is_hidden = not may_see_personal_data(request.user)
        lines = _lines(found.document or {}, is_hidden=is_hidden)
        return download(lines, format, names=_COLUMNS, file_name=f"what-if-{pk}")

    def _found(self, request: HttpRequest, pk: int) -> ActionRequest:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found: ActionRequest | None = _requests().filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

    def _do_url(self, name: str) -> str:
        return self._url("whizbang_operatoraction_do", name)

    def _url(self, name: str, *args: Any) -> str:
        return reverse(f"admin:{name}", args=args, current_app=self.admin_site.name)


_OPEN = (ActionRequest.Status.WAITING, ActionRequest.Status.QUEUED, ActionRequest.Status.RUNNING)


def _requests() -> Any:
    return ActionRequest.objects.using(event_store().using).filter(action__in=_NAMES)


def _told_parameters(found: ActionRequest) -> Iterator[tuple[str, str]]:
    for name, value in found.parameters.items():
        if name in ("subscription", "samples"):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield name.replace("_", " "), translate("yes") if value is True else text


def _count_of(document: dict[str, Any]) -> int:
    return sum(document.get(f"rows_{what}", 0) for what in ("made", "changed", "removed"))


def _lines(
    document: dict[str, Any], *, is_hidden: bool
) -> Iterator[tuple[str, str, str, str, str]]:
    """A field of a row a line: its value by today's code, and the one in the read model.

    `is_hidden`: keys and values are masked.
    """
    for sample in document.get("samples", ()):
        key, change = MASK if is_hidden else sample["key"], sample["change"]
        if not sample["fields"]:
            yield key, change, "", "", ""
        for field, (recorded, today) in sample["fields"].items():
            if is_hidden:
                today, recorded = _mask(today), _mask(recorded)
            yield key, change, field, today, recorded


def _mask(value: str) -> str:
    return MASK if value else value  # that there is none is no secret
