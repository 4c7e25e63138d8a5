"""A page of our own in the place where Django's admin shows the form of one row."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from whizbang_admin.frame.read_only import ReadOnlyAdmin


class ObjectPageAdmin(ReadOnlyAdmin):
    """`object_page` answers for somebody who has the permission to view the row."""

    @abstractmethod
    def object_page(self, request: HttpRequest, row: Any) -> HttpResponseBase:
        """The page of one row, with all of its columns read."""

    def change_view(  # type: ignore[override]
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        request.current_app = self.admin_site.name  # whom links are made for
        return self.object_page(request, self.row_or_404(request, object_id))

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """Raises PermissionDenied for who may not view it, Http404 where there is none."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = unquote(object_id)
        if "\0" in key:  # PostgreSQL refuses a question with one
            raise Http404
        try:
            value = self.opts.pk.to_python(key) if self.opts.pk is not None else key
        except Exception as exc:
            raise Http404 from exc
        row = self.get_queryset(request).defer(None).filter(pk=value).first()
        if row is None:
            raise Http404
        return row

    def url_of(self, page: str, *args: Any) -> str:
        """Address of a page of this model, such as "change" or "history"."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)
