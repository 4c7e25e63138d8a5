"""Addresses of the pages about what happened, and what stands in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin.utils import quote, unquote
from django.http import Http404, HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from whizbang.operations.events.trace import TraceNode

LAST_VERSION = 2**31 - 1  # versions are 32-bit integers
_LAST_POSITION = 2**63 - 1


def stream_url(
    page: str, *args: Any, stream: str = "", site: str | None = None, **query: Any
) -> str:
    """Of a page such as "timeline", "event", "state" or "trace"; the stream's name comes last."""
    # Quoted as Django's admin does with keys: a line break or a "../" in a name breaks addresses.
    whole = [*args, quote(stream)] if stream else args
    url = reverse(f"admin:whizbang_stream_{page}", args=whole, current_app=site)
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{url}?{urlencode(given)}" if given else url


def node_address(request: HttpRequest) -> Callable[[TraceNode], str]:
    """Gives the page of a node, for who may see it; empty where there is none."""
    site, may_see = request.current_app, request.user.has_perm

    def address(node: TraceNode) -> str:
        if node.stream:
            return stream_url("event", node.version, stream=node.stream, site=site)
        for model, key in (
            ("deadletter", node.dead_letter),
            ("inboxmessage", node.inbox),
            ("outboxmessage", node.outbox),
        ):
            if key is not None and may_see(f"whizbang.view_{model}"):
                return _row_url(model, key, site)
        return ""

    return address


def _row_url(model: str, key: int, site: str | None) -> str:
    try:
        return reverse(f"admin:whizbang_{model}_change", args=[key], current_app=site)
    except NoReverseMatch:  # nobody has registered a page for it
        return ""


def name_in(text: str) -> str:
    """The name of a stream in an address. PostgreSQL refuses a question with a NUL in it."""
    name = unquote(text)
    if "\0" in name:
        raise Http404
    return name


def version_in(text: str) -> int:
    """Raises Http404 for what is no version."""
    return _number_in(text, LAST_VERSION)


def position_in(text: str | None) -> int | None:
    """None where nothing is given. Raises Http404 for what is no position."""
    return None if text is None else _number_in(text, _LAST_POSITION)


def _number_in(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= most):
        raise Http404
    return int(text)
