"""What all lists of the console share: they show, and never count, sort or skip over a big table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse

from whizbang_admin.frame.exports import FORMATS, export, plain_columns
from whizbang_admin.frame.keyset import KeysetChangeList

# Django's classes take type arguments only for type checkers.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """A list to look at, and to have as CSV or JSON: nothing is added, changed or deleted by hand.

    Columns do not sort: only the list's own order, by one column (see KeysetChangeList), is known to have an index.
    """

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_max_show_all = 0
    sortable_by: ClassVar[tuple[str, ...]] = ()
    goes_when_mended: ClassVar[bool] = False  # the row is removed by what operators do about it
    deferred: ClassVar[tuple[str, ...]] = ()  # columns that are big, and in no list and no export

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("whizbang_admin/whizbang.css",)}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer(*self.deferred)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """None for a key with a NUL too: PostgreSQL refuses the question, which would be a server error."""
        if "\0" in object_id:
            return None
        return super().get_object(request, object_id, from_field)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django passes over an action that its user may not run; here that is refused."""
        asked = {name for name in request.POST.getlist("action") if name in (self.actions or ())}
        if asked - set(self.get_actions(request)):
            raise PermissionDenied
        exports = [(format.upper(), self._export_url(request, format)) for format in FORMATS]
        return super().changelist_view(request, {"exports": exports, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.export_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/<slug:format>/", page, name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:
        """The list with the same filters and search, up to a bound; payloads are not in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if format not in FORMATS:
            raise Http404
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters as exc:
            raise Http404 from exc
        names = plain_columns(self.model, self.deferred)
        return export(rows, format, names=names, file_name=str(self.opts.model_name))

    def _export_url(self, request: HttpRequest, format: str) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_export"
        url = reverse(name, args=[format], current_app=self.admin_site.name)
        return f"{url}?{request.GET.urlencode()}" if request.GET else url

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
