"""Searches that an index answers, on every database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import CharField, Func, Q

from whizbang.models import Stream
from whizbang_admin.frame.keyset import MOST_COUNTED, count_up_to

_LAST_CHARACTER = chr(0x10FFFF)


class Unindexed(Func):
    """A column for which SQLite shall use no index."""

    template = "+%(expressions)s"
    output_field = CharField()


def streams_starting_with(queryset: Any, text: str) -> Any:
    """Streams whose name, or whose aggregate's id, is this text or begins with it.

    Each of both columns has an index. The queryset is ordered by the last position.
    """
    vendor = connections[queryset.db].vendor
    # PostgreSQL keeps an index for LIKE, and its collations put a range in an order of their own.
    # Elsewhere LIKE, as Django writes it, reads all rows.
    if vendor == "postgresql":
        return queryset.filter(Q(name__startswith=text) | Q(aggregate_id__startswith=text))
    found = _between("name", text) | _between("aggregate_id", text)
    streams = Stream.objects.using(queryset.db)
    if vendor == "sqlite" and count_up_to(streams.filter(found), MOST_COUNTED + 1) > MOST_COUNTED:
        # SQLite would sort all that is found. So many are soon met on the way from the newest back.
        whole = queryset.alias(whole_name=Unindexed("name"), whole_id=Unindexed("aggregate_id"))
        return whole.filter(_between("whole_name", text) | _between("whole_id", text))
    return queryset.filter(found)


def streams_of_category(queryset: Any, category: str, *, is_searched: bool) -> Any:
    """Streams of one category; where they are searched too, by the search's indexes."""
    if is_searched and connections[queryset.db].vendor == "sqlite":
        # SQLite takes one index, and that of categories leads past all that the search leaves out.
        return queryset.alias(whole_category=Unindexed("category")).filter(whole_category=category)
    return queryset.filter(category=category)


def rows_of_message(queryset: Any, text: str) -> Any:
    """Rows with this message id, none when it is no id."""
    try:
        return queryset.filter(message_id=UUID(text.strip()))
    except ValueError:
        return queryset.none()


def _between(column: str, start: str) -> Q:
    return Q(**{f"{column}__gte": start, f"{column}__lte": start + _LAST_CHARACTER})
