"""What all lists of the console share: they show, and never count or sort a big table."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils.formats import number_format
from django.utils.functional import cached_property

# Django's classes take type arguments only for type checkers.
if TYPE_CHECKING:
    _Paginator = Paginator[Any]
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _Paginator = Paginator
    _ModelAdmin = admin.ModelAdmin

MOST_COUNTED = 10_000


class BoundedPaginator(_Paginator):
    """Counts rows up to a bound: counting all of a big table would take longer than showing a page."""

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_COUNTED)

    @property
    def has_more(self) -> bool:
        """Are there rows beyond what was counted?"""
        return self._counted > MOST_COUNTED

    @cached_property
    def _counted(self) -> int:
        return count_up_to(self.object_list, MOST_COUNTED + 1)


def count_up_to(rows: Any, most: int) -> int:
    """How many rows a queryset has, or `most`; the database stops there."""
    found: int = rows.order_by()[:most].count()
    return found


class BoundedChangeList(ChangeList):
    """Says that there are more rows than it counted. The templates in admin/whizbang ask it."""

    @property
    def count_and_more(self) -> str:
        """Such as 10,000+; empty where all rows were counted."""
        if not getattr(self.paginator, "has_more", False):
            return ""
        return f"{number_format(MOST_COUNTED, force_grouping=True)}+"

    @property
    def as_paged(self) -> Any:
        """Itself, as Django's own template of page numbers should say it."""
        if not self.count_and_more:
            return self
        paged: Any = copy.copy(self)
        paged.result_count = self.count_and_more
        return paged


class ReadOnlyAdmin(_ModelAdmin):
    """A list to look at: nothing is added, changed or deleted by hand.

    Columns do not sort: only the list's own order is known to have an index.
    """

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    list_max_show_all = 0
    sortable_by: ClassVar[tuple[str, ...]] = ()
    deferred: ClassVar[tuple[str, ...]] = ()  # columns that are big, and not in the list

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("whizbang_admin/whizbang.css",)}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer(*self.deferred)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django passes over an action that its user may not run; here that is refused."""
        asked = {name for name in request.POST.getlist("action") if name in (self.actions or ())}
        if asked - set(self.get_actions(request)):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
