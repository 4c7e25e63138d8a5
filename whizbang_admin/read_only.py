"""What all lists of the console share: they show, and never count or sort a big table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

# Django's classes take type arguments only for type checkers.
if TYPE_CHECKING:
    _Paginator = Paginator[Any]
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _Paginator = Paginator
    _ModelAdmin = admin.ModelAdmin

_MOST_COUNTED = 10_000


class BoundedPaginator(_Paginator):
    """Counts rows up to a bound: counting all of a big table would take longer than showing a page."""

    @cached_property
    def count(self) -> int:
        return count_up_to(self.object_list, _MOST_COUNTED)


def count_up_to(rows: Any, most: int) -> int:
    """How many rows a queryset has, or `most`; the database stops there."""
    found: int = rows.order_by()[:most].count()
    return found


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

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer(*self.deferred)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
