"""Pages that show no one table, in the place where Django's admin has the list of a model."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from whizbang_admin.frame.pages import frame_context
from whizbang_admin.frame.read_only import ReadOnlyAdmin


class PageAdmin(ReadOnlyAdmin):
    """Registered for a model without a table (models.py); `page` answers where its list would be."""

    @abstractmethod
    def page(self, request: HttpRequest) -> HttpResponseBase:
        """The page, for somebody who has the permission to view it."""

    def changelist_view(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.page(request)

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        """There are no rows."""
        return self.changelist_view(request)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        return self.changelist_view(request)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        """Django would look for the row first, in a table that is not there."""
        raise PermissionDenied

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:
        """There is no list to save."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        raise Http404

    def render(
        self, request: HttpRequest, template: str, *, title: str, **context: Any
    ) -> TemplateResponse:
        """The page itself: what render_page gives to pages below it, without its list among the crumbs."""
        return TemplateResponse(
            request, template, frame_context(self, request, title=title, crumbs=()) | context
        )
