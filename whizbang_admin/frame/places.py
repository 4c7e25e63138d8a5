"""Links to other pages of the console, for those who may see them."""

from __future__ import annotations

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode


def list_of(request: HttpRequest, model: str, **chosen: str) -> str:
    """The address of a list such as "deadletter"; empty for who may not see it, and where there is none."""
    url = _reverse(request, model, "changelist")
    return f"{url}?{urlencode(chosen)}" if url and chosen else url


def page_of(request: HttpRequest, model: str, key: int | str) -> str:
    """The address of one row's page; empty as `list_of`."""
    return _reverse(request, model, "change", quote(key))


def _reverse(request: HttpRequest, model: str, kind: str, *args: object) -> str:
    if not request.user.has_perm(f"whizbang.view_{model}"):
        return ""
    try:
        return reverse(f"admin:whizbang_{model}_{kind}", args=args, current_app=request.current_app)
    except NoReverseMatch:
        return ""
