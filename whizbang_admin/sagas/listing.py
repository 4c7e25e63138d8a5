"""The list of sagas, the keys that could not start, and the pages of one instance and of one saga."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as translate

from whizbang.exceptions import WhizbangError
from whizbang.models import SagaInstance
from whizbang.operations.sagas.listing import (
    instances,
    list_instances,
    list_unstarted,
    states_of,
)
from whizbang_admin.frame.exports import FORMATS, export, plain_columns
from whizbang_admin.frame.pages import Crumb, frame_context, render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin
from whizbang_admin.sagas.addresses import Addresses
from whizbang_admin.sagas.choosing import InstanceFilter, UnstartedFilter
from whizbang_admin.sagas.diagrams import show_diagram
from whizbang_admin.sagas.instance import instance_context
from whizbang_admin.sagas.masking import Sight
from whizbang_admin.sagas.paging import ask_page, number_in
from whizbang_admin.sagas.story import brief

_PAGE_ROWS = 50


@admin.register(SagaInstance)
class SagaInstanceAdmin(ReadOnlyAdmin):
    """Instances, the newest first; Django's own list would sort all of them."""

    deferred = ("state", "plans", "origin")

    def get_urls(self) -> list[URLPattern]:
        def page(view: Any) -> Any:
            return self.admin_site.admin_view(view)

        own = [
            path("unstarted/", page(self.unstarted_view), name="whizbang_sagainstance_unstarted"),
            path(
                "diagram/<path:saga>/",
                page(self.diagram_view),
                name="whizbang_sagainstance_diagram",
            ),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._demand_view_permission(request)
        request.current_app = self.admin_site.name
        form = InstanceFilter(request.GET)
        page = ask_page(
            request,
            lambda after, limit: list_instances(**form.chosen(), after=after, limit=limit),
            form=form,
            limit=_PAGE_ROWS,
            key=lambda row: row.stream,
        )
        states = states_of([row.stream for row in page.rows])
        found = list_unstarted(limit=1)
        context = frame_context(self, request, title=translate("Sagas"), crumbs=())
        addresses = Addresses(request)
        exports = [(format.upper(), self._export_url(request, format)) for format in FORMATS]
        return TemplateResponse(
            request,
            "whizbang_admin/sagas/list.html",
            context
            | {
                "form": form,
                "page": page,
                "rows": [
                    (
                        row,
                        addresses.instance(row.stream),
                        _state_of(row, states, request.user),
                    )
                    for row in page.rows
                ],
                "are_some_unstarted": bool(found),
                "unstarted_url": self._own_url("unstarted"),
                "timeouts_url": addresses.list("sagatimeout"),
                "exports": exports,
            },
        )

    def unstarted_view(self, request: HttpRequest) -> HttpResponseBase:
        """Keys without an instance, because the event that would start it fails."""
        self._demand_view_permission(request)
        request.current_app = self.admin_site.name
        form = UnstartedFilter(request.GET)

        def read(after: str | None, limit: int) -> Any:
            saga = form.cleaned_data["saga"] or None
            return list_unstarted(saga=saga, after=number_in(after), limit=limit)

        page = ask_page(request, read, form=form, limit=_PAGE_ROWS, key=lambda row: str(row.id))
        addresses = Addresses(request)
        return render_page(
            self,
            request,
            "whizbang_admin/sagas/unstarted.html",
            title=translate("Not started"),
            form=form,
            page=page,
            rows=[
                (
                    row,
                    addresses.instance(f"{row.saga}-{row.key}"),
                    addresses.event(row.stream, row.version),
                )
                for row in page.rows
            ],
        )

    def change_view(  # type: ignore[override]
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """The story of one instance; also of a key that could not start, and of one whose row was cleaned up."""
        self._demand_view_permission(request)
        request.current_app = self.admin_site.name
        stream = unquote(object_id)
        if "\0" in stream:
            raise Http404
        context = instance_context(request, stream)
        return render_page(self, request, "whizbang_admin/sagas/instance.html", **context)

    def diagram_view(self, request: HttpRequest, saga: str) -> HttpResponseBase:
        """The picture of one saga, as its code tells it."""
        self._demand_view_permission(request)
        name = unquote(saga)
        try:
            diagram = show_diagram(name)
        except WhizbangError as exc:
            raise Http404(str(exc)) from exc
        return render_page(
            self,
            request,
            "whizbang_admin/sagas/diagram.html",
            title=translate("Diagram of %(saga)s") % {"saga": name},
            crumbs=(Crumb(name),),
            diagram=diagram,
        )

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:
        """What the filters leave, up to a bound, as a file; states are not in it."""
        self._demand_view_permission(request)
        form = InstanceFilter(request.GET)
        if format not in FORMATS or not form.is_valid():
            raise Http404
        names = plain_columns(self.model, self.deferred)
        return export(instances(**form.chosen()), format, names=names, file_name="sagas")

    def _own_url(self, name: str) -> str:
        site = self.admin_site.name
        return reverse(f"admin:whizbang_sagainstance_{name}", current_app=site)

    def _demand_view_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def _state_of(row: Any, states: dict[str, Any], who: Any) -> str:
    """In a few words; nothing where the row went meanwhile."""
    state = states.get(row.stream)
    return brief(state if state is None else Sight(row.saga, who).state(state))
