"""The timeouts of all sagas: what is due next, what was due already, and what has failed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as translate

from whizbang.models import SagaTimeout
from whizbang.operations.actions.sagas import FireTimeoutNow, RetrySaga, SkipSaga
from whizbang.operations.sagas.finding import known_sagas
from whizbang.operations.sagas.waiting import DUE, ListedTimeout, list_timeouts, timeouts
from whizbang.store.event_store import event_store
from whizbang_admin.actions.links import Offered, offer
from whizbang_admin.frame.exports import FORMATS, export, plain_columns
from whizbang_admin.frame.pages import frame_context
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.sagas.addresses import Addresses
from whizbang_admin.sagas.choosing import TimeoutFilter
from whizbang_admin.sagas.paging import ask_page, number_in

_PAGE_ROWS = 50


@admin.register(SagaTimeout)
class SagaTimeoutAdmin(ReadOnlyAdmin):
    """The first to be due first; two may be due at one instant, which Django's own list could not page by."""

    deferred = ("traceback",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._demand_view_permission(request)
        request.current_app = self.admin_site.name
        form = TimeoutFilter(request.GET)

        def read(after: str | None, limit: int) -> list[ListedTimeout]:
            data = form.cleaned_data
            pk = None if after is None else number_in(after)
            kind, saga = data["kind"] or DUE, data["saga"] or None
            return list_timeouts(kind, saga=saga, after=pk, limit=limit)

        page = ask_page(request, read, form=form, limit=_PAGE_ROWS, key=lambda row: str(row.id))
        addresses, known = Addresses(request), set(known_sagas())
        context = frame_context(self, request, title=translate("Timeouts of sagas"), crumbs=())
        return TemplateResponse(
            request,
            "whizbang_admin/sagas/timeouts.html",
            context
            | {
                "form": form,
                "page": page,
                "rows": [
                    (
                        row,
                        addresses.instance(row.stream),
                        _actions(request, row) if row.saga in known else [],
                    )
                    for row in page.rows
                ],
                "exports": [
                    (format.upper(), self._export_url(request, format)) for format in FORMATS
                ],
            },
        )

    def change_view(  # type: ignore[override]
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """The page of its instance tells it all."""
        self._demand_view_permission(request)
        pk = number_in(unquote(object_id))
        row = SagaTimeout.objects.using(event_store().using).filter(pk=pk).first()
        request.current_app = self.admin_site.name
        url = "" if row is None else Addresses(request).instance(row.stream)
        if not url:
            raise Http404
        return HttpResponseRedirect(url)

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:
        """What the filters leave, up to a bound, as a file."""
        self._demand_view_permission(request)
        form = TimeoutFilter(request.GET)
        if format not in FORMATS or not form.is_valid():
            raise Http404
        data = form.cleaned_data
        rows = timeouts(data["kind"] or DUE, saga=data["saga"] or None)
        names = plain_columns(self.model, self.deferred)
        return export(rows, format, names=names, file_name="saga-timeouts")

    def _demand_view_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def _actions(request: HttpRequest, row: ListedTimeout) -> list[Offered]:
    own = {"saga": row.saga, "key": row.key, "timeout": row.name}
    actions: list[Any] = []
    if row.parked_at is not None:
        actions = [RetrySaga(**own), SkipSaga(**own)]
    elif not row.is_overdue:
        actions = [FireTimeoutNow(**own)]
    return offer(request, *actions)
