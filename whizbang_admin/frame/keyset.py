"""Pages of a list by the key of their first or last row: the millionth page is as quick as the first."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest
from django.utils.formats import number_format
from django.utils.functional import cached_property

AFTER, BEFORE = "after", "before"  # rows behind a key in the list's order, and those ahead of it
MOST_COUNTED = 10_000


def count_up_to(rows: Any, most: int) -> int:
    """How many rows a queryset has, or `most`; the database stops there."""
    found: int = rows.order_by()[:most].count()
    return found


class KeysetChangeList(ChangeList):
    """Reads one row more than a page, from a key on; counts rows up to a bound, and says where it stopped.

    The list is ordered by one column, which has an index and no value twice (the first of `ordering`).
    """

    def get_filters_params(self, params: Any = None) -> Any:
        found = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in (AFTER, BEFORE)}

    def get_results(self, request: HttpRequest) -> None:
        after, before = (self._key(request.GET.get(name)) for name in (AFTER, BEFORE))
        # Links of filters, and a new search, begin at the first page.
        self.params = {k: v for k, v in self.params.items() if k not in (AFTER, BEFORE)}
        column, is_descending = self._order
        rows = self.queryset
        if before is not None:
            ahead = rows.filter(**{f"{column}__{'gt' if is_descending else 'lt'}": before})
            found = list(ahead.reverse()[: self.list_per_page + 1])
            page = found[: self.list_per_page][::-1]
            self._has_ahead, self._has_behind = len(found) > len(page), True
        else:
            if after is not None:
                rows = rows.filter(**{f"{column}__{'lt' if is_descending else 'gt'}": after})
            found = list(rows[: self.list_per_page + 1])
            page = found[: self.list_per_page]
            self._has_ahead, self._has_behind = after is not None, len(found) > len(page)
        self.result_list = page
        self.result_count = min(self._counted, MOST_COUNTED)
        self.full_result_count = None
        self.show_full_result_count, self.show_admin_actions = False, bool(page)
        self.can_show_all = self.multi_page = False  # Django's own numbers of pages are not shown
        self.paginator = self.model_admin.get_paginator(request, rows, self.list_per_page)

    @property
    def ahead_url(self) -> str:
        """Of the page before this one; empty on the first."""
        return self._url_of(BEFORE, 0) if self._has_ahead and self.result_list else ""

    @property
    def behind_url(self) -> str:
        """Of the page after this one; empty on the last."""
        return self._url_of(AFTER, -1) if self._has_behind and self.result_list else ""

    @property
    def first_url(self) -> str:
        """Of the first page; empty where that is shown."""
        return self.get_query_string() if self._has_ahead else ""

    @property
    def count_text(self) -> str:
        """Such as 10,000+ where it stopped to count."""
        more = "+" if self._counted > MOST_COUNTED else ""
        return f"{number_format(self.result_count, force_grouping=True)}{more}"

    @property
    def has_more_than_counted(self) -> bool:
        return self._counted > MOST_COUNTED

    @cached_property
    def _counted(self) -> int:
        return count_up_to(self.queryset, MOST_COUNTED + 1)

    @cached_property
    def _order(self) -> tuple[str, bool]:
        ordering: Any = self.model_admin.ordering
        first = str(ordering[0])
        return first.removeprefix("-"), first.startswith("-")

    def _key(self, text: str | None) -> Any:
        if text is None:
            return None
        if "\0" in text:  # PostgreSQL refuses a question with one
            raise Http404
        field: Any = self.model._meta.get_field(self._order[0])
        try:
            key = field.to_python(text)
            field.run_validators(key)
        except (ValidationError, OverflowError) as exc:
            raise Http404 from exc
        return key

    def _url_of(self, name: str, index: int) -> str:
        key = getattr(self.result_list[index], self._order[0])
        return self.get_query_string({name: key})
