"""Pages of a list that an operation gives row by row: it goes on behind the last one that was shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import Http404, HttpRequest

from whizbang.exceptions import WhizbangError
from whizbang_admin.frame.keyset import AFTER

_MOST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, with the address of what follows and of the beginning; each is empty where that is shown."""

    rows: Sequence[Any]
    next_url: str = ""
    first_url: str = ""
    problem: str = ""  # why nothing is shown


def ask_page(
    request: HttpRequest,
    read: Callable[[str | None, int], Sequence[Any]],
    *,
    form: forms.Form,
    limit: int,
    key: Callable[[Any], str],
) -> Page:
    """The page that an address asks for; `read` gives rows behind a key. What is wrong is said on the page."""
    after = request.GET.get(AFTER)
    if after is not None and "\0" in after:  # PostgreSQL refuses a question with one
        raise Http404
    first_url = "" if after is None else f"?{_without_after(request)}"
    if not form.is_valid():
        return Page([], first_url="?")
    try:
        found = read(after, limit + 1)
    except WhizbangError as exc:
        return Page([], first_url=first_url, problem=str(exc))
    rows = found[:limit]
    next_url = ""
    if len(found) > limit:
        query = request.GET.copy()
        query[AFTER] = key(rows[-1])
        next_url = f"?{query.urlencode()}"
    return Page(rows, next_url=next_url, first_url=first_url)


def number_in(text: str | None) -> int:
    """A row's number in an address; 0 without one."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MOST_NUMBER):
        raise Http404
    return int(text)


def _without_after(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop(AFTER, None)
    return query.urlencode()
